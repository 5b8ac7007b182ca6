import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Header } from '../components/header';
import { gpuIcon } from '../icons';
import { currentNotebook } from '../notebook';
import type { GpuModel } from './model';
import { GpuView } from './view';
import { WatchingView } from './watching';

export const GPU_PANEL_ID = 'jupyter-gpu-ext-gpu';

interface IPanelOptions {
  readonly model: GpuModel;
  readonly tracker: INotebookTracker | null;
  readonly onInsertLoadExt: () => void;
  readonly trans: TranslationBundle;
}

/** The right sidebar. */
export class GpuPanel extends WatchingView {
  constructor(private readonly _options: IPanelOptions) {
    super(_options.model, GPU_PANEL_ID);
    this.id = GPU_PANEL_ID;
    this.addClass('jp-gpuext-Panel');
    this.title.icon = gpuIcon;
    this.title.caption = _options.trans.__('GPU');
    this.node.tabIndex = -1;
    this.node.setAttribute('aria-label', _options.trans.__('GPU'));
    _options.tracker?.currentChanged.connect(this._onNotebook, this);
  }

  override dispose(): void {
    this._options.tracker?.currentChanged.disconnect(this._onNotebook, this);
    super.dispose();
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  protected override render(): React.JSX.Element {
    const { model, tracker, trans } = this._options;
    return (
      <>
        <Header
          title={trans.__('GPU')}
          refreshLabel={trans.__('Refresh')}
          onRefresh={() => void model.refresh()}
        />
        <GpuView
          status={model.status}
          samples={model.samples}
          problem={model.problem}
          silentSeconds={model.silentSeconds}
          notebook={currentNotebook(tracker)}
          onRetry={() => void model.refresh()}
          onInsertLoadExt={this._options.onInsertLoadExt}
          trans={trans}
        />
      </>
    );
  }

  private _onNotebook(): void {
    this.update();
  }
}
