import type { INotebookTracker } from '@jupyterlab/notebook';
import { VDomModel } from '@jupyterlab/ui-components';

import type { Api, DoctorReport } from '../../api';
import { currentNotebook } from '../../notebook';
import type { ApiError } from '../../request';
import { asApiError } from '../../request';

/** What the doctor looks at besides the server. */
export interface Patient {
  readonly kernelId: string;
  readonly path: string;
}

/** The kernel of the notebook in front. */
export function patientOf(tracker: INotebookTracker | null): Patient | null {
  const { kernelId = null, path = '' } = currentNotebook(tracker) ?? {};
  return kernelId === null ? null : { kernelId, path };
}

/** One examination at a time; the last report stays until the next is whole. */
export class DoctorModel extends VDomModel {
  constructor(private readonly _api: Pick<Api, 'doctor'>) {
    super();
  }

  get report(): DoctorReport | null {
    return this._report;
  }

  /** Whom the report is of; null: the server alone. */
  get patient(): Patient | null {
    return this._patient;
  }

  get problem(): ApiError | null {
    return this._problem;
  }

  /** When the examination that runs began, by this browser's clock; null: none runs. */
  get runningSince(): number | null {
    return this._running?.since ?? null;
  }

  async run(patient: Patient | null): Promise<void> {
    this.cancel();
    const running = { since: Date.now(), abort: new AbortController() };
    this._running = running;
    this._problem = null;
    this.stateChanged.emit();
    const { signal } = running.abort;
    try {
      const report = await this._api.doctor(patient?.kernelId ?? null, signal);
      if (!signal.aborted) {
        [this._report, this._patient] = [report, patient];
      }
    } catch (error) {
      if (!signal.aborted) {
        this._problem = asApiError(error);
      }
    }
    if (this._running === running) {
      this._running = null;
      this.stateChanged.emit();
    }
  }

  /** Wait no longer. */
  cancel(): void {
    this._running?.abort.abort();
    this._running = null;
    this.stateChanged.emit();
  }

  override dispose(): void {
    this._running?.abort.abort();
    super.dispose();
  }

  private _report: DoctorReport | null = null;
  private _patient: Patient | null = null;
  private _problem: ApiError | null = null;
  private _running: { since: number; abort: AbortController } | null = null;
}
