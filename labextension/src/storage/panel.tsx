import { VDomRenderer, addIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import type * as React from 'react';

import type { Connection } from '../api';
import { Header } from '../components/header';
import { IconButton } from '../components/iconbutton';
import { Button, Notice } from '../components/notice';
import { wordsFor } from '../components/words';
import { storageIcon } from '../icons';
import type { ApiError } from '../request';
import { clearBox, fillBox } from './box';
import { Browser } from './browser';
import type { IBrowserProps } from './browser';
import type { Connecting } from './connecting';
import { STORAGE_PANEL_ID } from './context';
import type { IStorageView } from './context';
import { Entrance } from './entrance';
import { goTo } from './goto';
import { ExpiryWatch } from './expirywatch';
import { nameUrl } from './insert';
import type { StorageModel } from './model';
import { withRecent } from './paths';
import type { Place } from './state';
import type { Path } from './target';
import { Welcome } from './welcome';

interface IPanelOptions extends Omit<IBrowserProps, 'onRenew' | 'onWidened'> {
  readonly connecting: Connecting;
  readonly onCopy: (text: string) => void;
  readonly onWarn: (connection: Connection) => void;
}

/** While it is seen, "expires in 42 min" goes on counting. */
const CLOCK_MILLISECONDS = 20_000;

/** The left sidebar. */
export class StoragePanel
  extends VDomRenderer<StorageModel>
  implements IStorageView
{
  constructor(private readonly _options: IPanelOptions) {
    super(_options.model);
    this.id = STORAGE_PANEL_ID;
    this.addClass('jp-gpuext-Panel');
    this.title.icon = storageIcon;
    this.title.caption = _options.trans.__('Storage');
    this.node.tabIndex = -1;
    this.node.setAttribute('aria-label', _options.trans.__('Storage'));
    this._expiry = new ExpiryWatch(_options.onWarn, () => this.update());
    for (const signal of this._signals()) {
      signal.connect(this._onChange, this);
    }
    this.model.stateChanged.connect(this._onModel, this);
    this.node.addEventListener('keydown', event => this._onKey(event));
    document.addEventListener('visibilitychange', this._watch);
  }

  override dispose(): void {
    window.clearInterval(this._clock);
    document.removeEventListener('visibilitychange', this._watch);
    this._expiry.watch([]);
    Signal.clearData(this);
    super.dispose();
  }

  /** Put a text into the box, for a person to go on with. */
  offer(text: string): void {
    fillBox(this.node, text);
  }

  /** Begin to type behind a folder's path. */
  find(place: Place): void {
    this.offer(nameUrl(place.connection, place.prefix));
  }

  /** Take the next link as the new one of a connection. */
  renew(connection: string): void {
    this._options.connecting.renew(connection);
    this.offer('');
  }

  async goTo(path: Path): Promise<void> {
    this._adding = false;
    this._options.memory.update(paths => withRecent(paths, path));
    await goTo(this.model, path);
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    window.clearInterval(this._clock);
    this._watch();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._ask();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._ask();
  }

  protected override onActivateRequest(): void {
    (this._treeNode() ?? this.node).focus();
  }

  protected override onUpdateRequest(msg: Message): void {
    if (this.isVisible) {
      super.onUpdateRequest(msg);
    }
  }

  protected override render(): React.JSX.Element {
    const { model, jobs, trans } = this._options;
    return (
      <>
        <Header
          title={trans.__('Storage')}
          refreshLabel={trans.__('Refresh')}
          busy={model.isBusy}
          onRefresh={() => {
            void model.refresh();
            void jobs.peek();
          }}
        >
          <IconButton
            icon={addIcon}
            label={trans.__('Connect storage')}
            onClick={() => this._add(!this._adding)}
          />
        </Header>
        {this._body()}
      </>
    );
  }

  /** Nothing is asked before somebody looks; a failure is asked about again. */
  private _ask(): void {
    this._watch();
    if (!this.isVisible) {
      return;
    }
    window.clearInterval(this._clock);
    this._clock = window.setInterval(() => this.update(), CLOCK_MILLISECONDS);
    if (!this.model.isReady || this.model.problem) {
      void this.model.refresh();
    }
    // Another page may have started some.
    void this._options.jobs.peek();
    this.update();
  }

  private _body(): React.JSX.Element {
    const { model, trans } = this._options;
    if (model.problem) {
      return this._failure(model.problem);
    }
    if (!model.isReady) {
      return (
        <p className="jp-gpuext-Quiet">{trans.__('Asking the server…')}</p>
      );
    }
    return (
      <>
        <Entrance
          {...this._options}
          onGo={path => void this._go(path)}
          onConnected={path => void this._arrive(path)}
          onLeft={() => this._treeNode()?.focus()}
        />
        {model.rows.length === 0 || this._adding ? (
          this._welcome()
        ) : (
          <Browser
            {...this._options}
            onRenew={name => this.renew(name)}
            onWidened={() => clearBox(this.node)}
          />
        )}
      </>
    );
  }

  private _welcome(): React.JSX.Element | null {
    const { model, connecting, trans, onCopy } = this._options;
    return connecting.step.state === 'idle' ? (
      <Welcome
        {...model.setup}
        trans={trans}
        onCopy={onCopy}
        onOffer={link => this.offer(link)}
        onBack={model.rows.length === 0 ? null : () => this._add(false)}
      />
    ) : null;
  }

  /** Show how storage is connected and what was found, or the tree again. */
  private _add(adding: boolean): void {
    this._adding = adding;
    this.update();
    if (adding) {
      this.offer('');
    }
  }

  private _failure(problem: ApiError): React.JSX.Element {
    const { model, trans } = this._options;
    const said = wordsFor(problem, trans);
    return (
      <Notice tone="warning" message={said.message} hint={said.hint}>
        <Button
          label={trans.__('Try again')}
          onClick={() => void model.refresh()}
        />
      </Notice>
    );
  }

  private async _go(path: Path): Promise<void> {
    await this.goTo(path);
    this._treeNode()?.focus();
  }

  /** A connection is new, or has a new link: show it. */
  private async _arrive(path: Path): Promise<void> {
    this._adding = false;
    await this.model.refresh();
    await goTo(this.model, path);
    this._treeNode()?.focus();
  }

  /** Escape goes one step back, to the tree; box, form and tree have their own. */
  private _onKey(event: KeyboardEvent): void {
    const { target } = event;
    const hasOwn =
      !(target instanceof Element) ||
      target.closest('input, form, [role=tree]');
    if (event.key !== 'Escape' || hasOwn) {
      return;
    }
    const { connecting } = this._options;
    if (connecting.step.state !== 'idle') {
      connecting.cancel();
    } else if (this._adding) {
      this._add(false);
    } else {
      this.model.closeInside();
    }
    this._treeNode()?.focus();
  }

  private _treeNode(): HTMLElement | null {
    return this.node.querySelector<HTMLElement>('[role="tree"]');
  }

  private _signals(): ISignal<unknown, unknown>[] {
    const { connecting, memory, uploads, jobs } = this._options;
    const { stateChanged } = connecting;
    return [stateChanged, memory.stateChanged, uploads.changed, jobs.changed];
  }

  private _onChange(): void {
    this.update();
  }

  private _onModel(): void {
    const { connections } = this.model;
    if (connections !== this._watched) {
      this._watched = connections;
      this._expiry.watch(connections);
    }
  }

  /** What rows are is asked for only while they are seen. */
  private readonly _watch = (): void =>
    this.model.badges.watch(this.isVisible && !document.hidden);

  private readonly _expiry: ExpiryWatch;
  private _watched: readonly Connection[] = [];

  private _clock = 0;
  private _adding = false;
}
