import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Header } from '../components/header';
import { IconButton } from '../components/iconbutton';
import { chartIcon, gpuIcon } from '../icons';
import { currentNotebook } from '../notebook';
import type { DoctorModel } from './doctor/model';
import { DoctorLine } from './footer';
import type { GpuModel } from './model';
import type { ReleaseActions } from './releasing';
import { GpuView } from './view';
import { WatchingView } from './watching';

export const GPU_PANEL_ID = 'jupyter-gpu-ext-gpu';

interface IPanelOptions {
  readonly model: GpuModel;
  readonly doctor: DoctorModel;
  readonly tracker: INotebookTracker | null;
  readonly actions: ReleaseActions;
  readonly onInsertLoadExt: () => void;
  readonly onDashboard: () => void;
  readonly onDoctor: () => void;
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
    _options.tracker?.currentChanged.connect(this.update, this);
    _options.doctor.stateChanged.connect(this.update, this);
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  protected override render(): React.JSX.Element {
    const { model, doctor, tracker, trans } = this._options;
    return (
      <>
        <Header
          title={trans.__('GPU')}
          refreshLabel={trans.__('Refresh')}
          onRefresh={() => void model.refresh()}
        >
          <IconButton
            icon={chartIcon}
            label={trans.__('Open the GPU dashboard')}
            onClick={this._options.onDashboard}
          />
        </Header>
        <GpuView
          status={model.status}
          samples={model.samples}
          problem={model.problem}
          silentSeconds={model.silentSeconds}
          notebook={currentNotebook(tracker)}
          actions={this._options.actions}
          onRetry={() => void model.refresh()}
          onInsertLoadExt={this._options.onInsertLoadExt}
          trans={trans}
        />
        <DoctorLine
          doctor={doctor}
          onOpen={this._options.onDoctor}
          trans={trans}
        />
      </>
    );
  }
}
