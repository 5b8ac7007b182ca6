import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type * as React from 'react';

import { Header } from '../components/header';
import { Button, Notice } from '../components/notice';
import { wordsFor } from '../components/words';
import { storageIcon } from '../icons';
import type { ApiError } from '../request';
import { InsideStrip } from './inside';
import type { StorageModel } from './model';
import type { Row } from './state';
import { Tree } from './tree';
import { Welcome } from './welcome';

export const STORAGE_PANEL_ID = 'jupyter-gpu-ext-storage';

interface IPanelOptions {
  readonly model: StorageModel;
  readonly trans: TranslationBundle;
  /** Put a load of the selected file into the notebook. */
  readonly onInsert: () => void;
  /** Copy the selected name-URL. */
  readonly onCopyUrl: () => void;
  readonly onCopy: (text: string) => void;
}

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
    const tree = this.node.querySelector<HTMLElement>('[role="tree"]');
    (tree ?? this.node).focus();
  }

  protected override onUpdateRequest(msg: Message): void {
    if (this.isVisible) {
      super.onUpdateRequest(msg);
    }
  }

  protected override render(): React.JSX.Element {
    const { model, trans } = this._options;
    return (
      <>
        <Header
          title={trans.__('Storage')}
          refreshLabel={trans.__('Refresh')}
          busy={model.isBusy}
          onRefresh={() => void model.refresh()}
        />
        {this._body()}
      </>
    );
  }

  /** Nothing is asked before somebody looks; a failure is asked about again. */
  private _ask(): void {
    if (!this.isVisible) {
      return;
    }
    if (!this.model.isReady || this.model.problem) {
      void this.model.refresh();
    }
    this.update();
  }

  private _body(): React.JSX.Element {
    const { model, trans, onCopy } = this._options;
    if (model.problem) {
      return this._failure(model.problem);
    }
    if (!model.isReady) {
      return (
        <p className="jp-gpuext-Quiet">{trans.__('Asking the server…')}</p>
      );
    }
    if (model.rows.length === 0) {
      return (
        <Welcome
          {...model.setup}
          trans={trans}
          onCopy={onCopy}
          onRefresh={() => void model.refresh()}
        />
      );
    }
    return this._browser();
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
    const { model, trans, onInsert, onCopyUrl } = this._options;
    return (
      <>
        <Tree
          rows={model.rows}
          selected={model.selected}
          stripState={model.inside?.state ?? null}
          trans={trans}
          onSelect={row => model.select(row)}
          onToggle={row => model.toggle(row)}
          onOpen={onInsert}
          onNext={row => this._next(row)}
        />
        {model.inside ? (
          <InsideStrip
            inside={model.inside}
            trans={trans}
            onInsert={onInsert}
            onCopy={onCopyUrl}
            onRetry={() => void model.lookAgain()}
            onClose={() => model.select(null)}
          />
        ) : null}
      </>
    );
  }

  private _next(row: Row): void {
    if (row.kind === 'more' || row.kind === 'failed') {
      void this.model.more(row.place);
    } else if (row.kind === 'empty') {
      void this.model.list(row.place);
    }
  }
}
