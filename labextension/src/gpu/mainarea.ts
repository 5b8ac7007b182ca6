import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { IThemeManager, MainAreaWidget } from '@jupyterlab/apputils';
import { WidgetTracker } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import { CommandIDs } from '../commands';
import { dashboardWidget } from './dashboard/widget';
import type { DoctorModel } from './doctor/model';
import { doctorWidget, patientOf } from './doctor/widget';
import type { GpuModel } from './model';

interface IMainAreaOptions {
  readonly app: JupyterFrontEnd;
  readonly api: Api;
  readonly model: GpuModel;
  readonly doctor: DoctorModel;
  readonly tracker: INotebookTracker | null;
  readonly themes: IThemeManager | null;
  readonly restorer: ILayoutRestorer | null;
  readonly trans: TranslationBundle;
}

/** What opens beside the notebooks. */
export interface MainArea {
  openDashboard(): void;
  openDoctor(): void;
}

export function composeMainArea(options: IMainAreaOptions): MainArea {
  const { app, doctor, tracker, restorer } = options;
  const dashboards = new WidgetTracker<MainAreaWidget>({
    namespace: 'jupyter-gpu-ext-dashboard'
  });
  void restorer?.restore(dashboards, {
    command: CommandIDs.openDashboard,
    name: () => 'dashboard'
  });
  const dashboard = single(app, () => {
    const widget = dashboardWidget(options);
    void dashboards.add(widget);
    return widget;
  });
  const report = single(app, () => doctorWidget({ ...options, model: doctor }));
  return {
    openDashboard: dashboard,
    openDoctor: () => {
      const isNew = report();
      if (isNew) {
        void doctor.run(patientOf(tracker));
      }
    }
  };
}

/** A way to open a widget of which there is one at a time; says whether it is new. */
function single(
  { shell }: JupyterFrontEnd,
  make: () => MainAreaWidget
): () => boolean {
  let widget: MainAreaWidget | null = null;
  return () => {
    const isNew = widget === null || widget.isDisposed;
    if (widget === null || widget.isDisposed) {
      widget = make();
      shell.add(widget, 'main');
    }
    shell.activateById(widget.id);
    return isNew;
  };
}
