import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { IThemeManager, MainAreaWidget } from '@jupyterlab/apputils';
import { WidgetTracker } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api } from '../api';
import { CommandIDs } from '../commands';
import type { DoctorModel } from './doctor/model';
import { patientOf } from './doctor/model';
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

/** What opens beside the notebooks; its code comes with the first opening. */
export interface MainArea {
  openDashboard(): Promise<void>;
  openDoctor(): Promise<void>;
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
  const dashboard = single(app, async () => {
    const { dashboardWidget } = await import('./dashboard/widget');
    const widget = dashboardWidget(options);
    void dashboards.add(widget);
    return widget;
  });
  const report = single(app, async () => {
    const { doctorWidget } = await import('./doctor/widget');
    return doctorWidget({ ...options, model: doctor });
  });
  return {
    openDashboard: async () => {
      await dashboard();
    },
    openDoctor: async () => {
      const isNew = await report();
      if (isNew) {
        void doctor.run(patientOf(tracker));
      }
    }
  };
}

/** A way to open a widget of which there is one at a time; says whether it is new. */
function single(
  { shell }: JupyterFrontEnd,
  make: () => Promise<MainAreaWidget>
): () => Promise<boolean> {
  let opened: Promise<MainAreaWidget> | null = null;
  const close = () => {
    opened = null;
  };
  const open = async () => {
    const widget = await make();
    widget.disposed.connect(close);
    shell.add(widget, 'main');
    return widget;
  };
  return async () => {
    const isNew = opened === null;
    opened ??= open();
    try {
      shell.activateById((await opened).id);
    } catch (error) {
      // Whoever asks again may be luckier.
      close();
      throw error;
    }
    return isNew;
  };
}
