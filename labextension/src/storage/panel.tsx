import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer, addIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import type * as React from 'react';

import { CommandIDs } from '../commands';
import type { Connection } from '../api';
import { Header } from '../components/header';
import { IconButton } from '../components/iconbutton';
import { Button, Notice } from '../components/notice';
import { wordsFor } from '../components/words';
import { storageIcon } from '../icons';
import type { ApiError } from '../request';
import { Box, fillBox } from './box';
import { Chips } from './chips';
import { Connect } from './connect';
import { dragText } from './drag';
import type { Connecting } from './connecting';
import { ExpiryWatch } from './expirywatch';
import { nameUrl } from './insert';
import { dragTextOf } from './insertrow';
import type { Jobs } from './jobs';
import { InsideStrip } from './inside';
import { MarksBar } from './marksbar';
import type { Memory } from './memory';
import type { StorageModel } from './model';
import { isPinned, togglePin, withRecent } from './paths';
import { callFor } from './readcode';
import { TransferList } from './transfers';
import type { Uploads } from './uploads';
import type { Row } from './rows';
import type { Place } from './state';
import type { Path } from './target';
import { folderOf, targetOf } from './target';
import { Tree } from './tree';
import { Welcome } from './welcome';

export const STORAGE_PANEL_ID = 'jupyter-gpu-ext-storage';

interface IPanelOptions {
  readonly model: StorageModel;
  readonly connecting: Connecting;
  readonly memory: Memory;
  readonly trans: TranslationBundle;
  readonly uploads: Uploads;
  readonly jobs: Jobs;
  /** Run a command on the selected row. */
  readonly run: (command: string) => void;
  readonly onCopy: (text: string) => void;
  /** Files from outside the browser. */
  readonly onDrop: (row: Row, data: DataTransfer) => void;
  readonly onWarn: (connection: Connection) => void;
}

/** While it is seen, "expires in 42 min" goes on counting. */
const CLOCK_MILLISECONDS = 20_000;

/** The left sidebar. */
export class StoragePanel extends VDomRenderer<StorageModel> {
  constructor(private readonly _options: IPanelOptions) {
    super(_options.model);
    this.id = STORAGE_PANEL_ID;
    this.addClass('jp-gpuext-Panel');
    this.title.icon = storageIcon;
    this.title.caption = _options.trans.__('Storage');
    this.node.tabIndex = -1;
    this.node.setAttribute('aria-label', _options.trans.__('Storage'));
    this._expiry = new ExpiryWatch(_options.onWarn);
    for (const signal of this._signals()) {
      signal.connect(this._onChange, this);
    }
    this.model.stateChanged.connect(this._onModel, this);
  }

  override dispose(): void {
    window.clearInterval(this._clock);
    this._expiry.watch([]);
    Signal.clearData(this);
    super.dispose();
  }

  /** Put a text into the box, for a person to go on with. */
  offer(text: string): void {
    fillBox(this.node, text);
  }

  async goTo(path: Path): Promise<void> {
    this._adding = false;
    this._options.memory.update(paths => withRecent(paths, path));
    await this.model.goTo(path);
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    window.clearInterval(this._clock);
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
        {this._entrance()}
        {model.rows.length === 0 || this._adding
          ? this._welcome()
          : this._browser()}
      </>
    );
  }

  private _entrance(): React.JSX.Element {
    const { connecting, memory, trans } = this._options;
    return (
      <>
        <Box
          trans={trans}
          onTyped={text => this._typed(text)}
          onEntered={text => this._entered(text)}
          onLeft={() => this._treeNode()?.focus()}
        />
        <Connect
          connecting={connecting}
          trans={trans}
          onConnected={offer => {
            const key = offer.one_object ?? '';
            void this._arrive({ connection: offer.name, key });
          }}
        />
        <Chips
          paths={memory.paths}
          trans={trans}
          onGo={path => void this.goTo(path)}
          onUnpin={path => memory.update(paths => togglePin(paths, path))}
        />
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

  private _browser(): React.JSX.Element {
    const { model, trans, run, uploads, jobs } = this._options;
    return (
      <>
        <Tree
          rows={model.rows}
          selected={model.selected}
          marked={model.marked}
          stripState={model.inside?.state ?? null}
          trans={trans}
          onSelect={row => model.select(row)}
          onToggle={row => model.toggle(row)}
          onOpen={() => run(CommandIDs.insertLoad)}
          onNext={row => this._next(row)}
          onMeant={row => model.select(row, { look: false })}
          onMark={row => model.mark(row)}
          onReach={row => model.reach(row)}
          onUnmark={() => model.unmark()}
          onRemove={() => run(CommandIDs.remove)}
          onRename={() => run(CommandIDs.rename)}
          onFind={() => run(CommandIDs.find)}
          onPaste={() => this.offer('')}
          onDrag={dragRow}
          onDrop={this._options.onDrop}
        />
        <MarksBar model={model} run={run} trans={trans} />
        <TransferList uploads={uploads} jobs={jobs} trans={trans} />
        {this._strip()}
      </>
    );
  }

  private _strip(): React.JSX.Element | null {
    const { model, memory, trans, run } = this._options;
    const { inside } = model;
    if (!inside) {
      return null;
    }
    const { connection, entry } = inside.row;
    return (
      <InsideStrip
        inside={inside}
        trans={trans}
        pinned={isPinned(memory.paths, { connection, key: entry.key })}
        isTable={callFor('pandas', entry.key) !== null}
        onPin={() => run(CommandIDs.pin)}
        onInsert={() => run(CommandIDs.insertLoad)}
        onInsertTable={() => run(CommandIDs.insertPandas)}
        onDownload={() => run(CommandIDs.download)}
        onCopy={() => run(CommandIDs.copyUrl)}
        onRetry={() => void model.lookAgain()}
        onClose={() => model.closeInside()}
      />
    );
  }

  /** Typing behind an open folder narrows it; all else waits for Enter. */
  private _typed(text: string): void {
    const target = this._targetOf(text);
    if (target?.kind === 'path') {
      const { connection, key } = target;
      const prefix = folderOf(key);
      const place = { connection, prefix };
      if (this.model.isOpen(place)) {
        void this.model.search(place, key.slice(prefix.length));
      }
    }
  }

  private _entered(text: string): 'clear' | 'keep' {
    const target = this._targetOf(text);
    if (target?.kind === 'link') {
      void this._options.connecting.test(target.link);
      return 'clear';
    }
    if (target?.kind === 'path') {
      void this.goTo(target).then(() => this._treeNode()?.focus());
      return 'clear';
    }
    return 'keep';
  }

  private _targetOf(text: string) {
    const names = this.model.connections.map(({ name }) => name);
    return targetOf(text, names);
  }

  /** A connection is new: show it. */
  private async _arrive(path: Path): Promise<void> {
    this._adding = false;
    await this.model.refresh();
    await this.model.goTo(path);
    this._treeNode()?.focus();
  }

  /** Begin to type behind a folder's path. */
  find(place: Place): void {
    this.offer(nameUrl(place.connection, place.prefix));
  }

  private _treeNode(): HTMLElement | null {
    return this.node.querySelector<HTMLElement>('[role="tree"]');
  }

  private _next(row: Row): void {
    if (row.kind === 'more' || row.kind === 'failed') {
      void this.model.more(row.place);
    } else if (row.kind === 'empty') {
      void this.model.list(row.place);
    } else if (row.kind === 'narrowed') {
      void this.model.search(row.place, '');
    } else if (row.kind === 'trouble') {
      this.model.trouble(row.of, null);
    }
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

  private readonly _expiry: ExpiryWatch;
  private _watched: readonly Connection[] = [];

  private _clock = 0;
  private _adding = false;
}

function dragRow(row: Row, press: PointerEvent): void {
  const text = dragTextOf(row);
  if (text !== null) {
    dragText(press, text);
  }
}
