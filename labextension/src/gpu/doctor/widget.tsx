import { MainAreaWidget } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type * as React from 'react';

import { doctorIcon } from '../../icons';
import type { DoctorModel } from './model';
import { patientOf } from './model';
import { DoctorView } from './view';

export const DOCTOR_ID = 'jupyter-gpu-ext-doctor';

interface IDoctorOptions {
  readonly model: DoctorModel;
  readonly tracker: INotebookTracker | null;
  readonly trans: TranslationBundle;
}

/** The doctor's report in the main area; it examines when it opens. */
class DoctorWidget extends VDomRenderer<DoctorModel> {
  constructor(private readonly _options: IDoctorOptions) {
    super(_options.model);
    this.addClass('jp-gpuext-Panel');
    this.addClass('jp-gpuext-Doctor');
    this.node.tabIndex = -1;
  }

  override dispose(): void {
    // The model is the panel's too and outlives this view.
    this.model.cancel();
    this.model.stateChanged.disconnect(this.update, this);
    super.dispose();
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  protected override render(): React.JSX.Element {
    const { model, tracker, trans } = this._options;
    return (
      <DoctorView
        model={model}
        onRun={() => void model.run(patientOf(tracker))}
        trans={trans}
      />
    );
  }
}

export function doctorWidget(options: IDoctorOptions): MainAreaWidget {
  const widget = new MainAreaWidget({ content: new DoctorWidget(options) });
  widget.id = DOCTOR_ID;
  widget.title.label = options.trans.__('GPU doctor');
  widget.title.icon = doctorIcon;
  widget.title.closable = true;
  widget.toolbar.hide();
  return widget;
}
