import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { AlertMemory, Thresholds } from './alerts';
import { DEFAULT_THRESHOLDS, NOTHING_SAID, decide } from './alerts';
import { alertText } from './alerttext';
import type { GpuModel } from './model';

const SHOWN_MILLISECONDS = 15_000;

/** Says what `decide` finds worth saying; looks at what is asked anyway, and asks nothing. */
export class Alerting {
  constructor(
    model: GpuModel,
    private readonly _onOpen: () => void,
    private readonly _trans: TranslationBundle
  ) {
    model.stateChanged.connect(this._look, this);
  }

  /** null: say nothing. */
  thresholds: Thresholds | null = DEFAULT_THRESHOLDS;

  private _look({ status, problem }: GpuModel): void {
    if (!status || problem || !this.thresholds || status.stale) {
      return;
    }
    const now = Date.now() / 1000;
    const found = decide(status, this._memory, this.thresholds, now);
    this._memory = found.memory;
    for (const alert of found.alerts) {
      Notification.warning(alertText(alert, this._trans), {
        autoClose: SHOWN_MILLISECONDS,
        actions: [
          {
            label: this._trans.__('Show GPU panel'),
            callback: this._onOpen
          }
        ]
      });
    }
  }

  private _memory: AlertMemory = NOTHING_SAID;
}
