import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IThemeManager } from '@jupyterlab/apputils';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type * as React from 'react';

import { Api } from '../../api';
import { printable } from '../../format';
import { tensorIcon } from '../../icons';
import { currentNotebook } from '../../notebook';
import { nameUrl } from '../../storage/insert';
import type { Path } from '../../storage/target';
import { nameOf } from '../../storage/target';
import type { IGpuModel } from '../../tokens';
import { actionsOf } from './actions';
import { insideId } from './contract';
import { InsideModel } from './model';
import { roomFor } from './room';
import { InsideView } from './view';

export interface IInsideOptions {
  readonly app: JupyterFrontEnd;
  readonly gpu: IGpuModel | null;
  readonly tracker: INotebookTracker | null;
  readonly themes: IThemeManager | null;
  readonly trans: TranslationBundle;
}

/** A document of the main area for one file or store. */
class InsideWidget extends VDomRenderer<InsideModel> {
  constructor(
    path: Path,
    private readonly _options: IInsideOptions
  ) {
    const { app, gpu, themes } = _options;
    super(new InsideModel(new Api(app.serviceManager.serverSettings), path));
    this._name = insideId(path);
    this.addClass('jp-gpuext-Panel');
    this.addClass('jp-gpuext-Contents');
    this.node.tabIndex = -1;
    gpu?.stateChanged.connect(this.update, this);
    themes?.themeChanged.connect(this.update, this);
    void this.model.load();
  }

  override dispose(): void {
    const { gpu, themes } = this._options;
    gpu?.watch(this._name, false);
    gpu?.stateChanged.disconnect(this.update, this);
    themes?.themeChanged.disconnect(this.update, this);
    const model = this.model;
    super.dispose();
    model.dispose();
  }

  protected override onActivateRequest(): void {
    const grid = document.getElementById(`${this._name}-grid`);
    (grid ?? this.node).focus();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._watch();
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._watch();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._watch();
  }

  protected override onUpdateRequest(msg: Message): void {
    if (this.isVisible) {
      super.onUpdateRequest(msg);
    }
  }

  protected override render(): React.JSX.Element {
    const { app, gpu, tracker, themes, trans } = this._options;
    const kernelId = currentNotebook(tracker)?.kernelId ?? null;
    return (
      <InsideView
        id={this._name}
        model={this.model}
        room={roomFor(gpu?.status ?? null, kernelId)}
        theme={themes?.theme ?? ''}
        actions={actionsOf(app, tracker, this.model, trans)}
        trans={trans}
      />
    );
  }

  /** What is free is asked while this is seen. */
  private _watch(): void {
    this._options.gpu?.watch(this._name, this.isVisible);
    this.update();
  }

  private readonly _name: string;
}

export function insideWidget(
  path: Path,
  options: IInsideOptions
): MainAreaWidget {
  const content = new InsideWidget(path, options);
  const widget = new MainAreaWidget({ content });
  widget.id = insideId(path);
  widget.title.label = printable(nameOf(path.key) || path.connection);
  widget.title.caption = options.trans.__(
    "What's inside %1",
    printable(nameUrl(path.connection, path.key))
  );
  widget.title.icon = tensorIcon;
  widget.title.closable = true;
  widget.toolbar.hide();
  return widget;
}
