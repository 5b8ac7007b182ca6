import { VDomModel } from '@jupyterlab/ui-components';
import { Poll } from '@lumino/polling';

import type { Api, History } from '../../api';
import type { ApiError } from '../../request';
import { asApiError } from '../../request';

const MINUTE = 60_000;

/** The last day, asked for once a minute while it is looked at. */
export class HistoryModel extends VDomModel {
  constructor(private readonly _api: Pick<Api, 'gpuHistory'>) {
    super();
    this._poll = new Poll({
      auto: false,
      name: 'jupyter-gpu-ext:gpu-history',
      factory: () => this._ask(),
      frequency: { interval: MINUTE, backoff: true, max: 5 * MINUTE },
      standby: () => (this._isWatched ? 'when-hidden' : true)
    });
  }

  get history(): History | null {
    return this._history;
  }

  get problem(): ApiError | null {
    return this._problem;
  }

  watch(isWatched: boolean): void {
    if (isWatched === this._isWatched) {
      return;
    }
    this._isWatched = isWatched;
    if (isWatched) {
      void this.refresh();
    } else {
      void this._poll.stop();
    }
  }

  async refresh(): Promise<void> {
    await this._poll.refresh();
  }

  override dispose(): void {
    this._poll.dispose();
    super.dispose();
  }

  private async _ask(): Promise<void> {
    try {
      this._history = await this._api.gpuHistory();
      this._problem = null;
    } catch (error) {
      this._problem = asApiError(error);
      throw error; // so that the poll backs off
    } finally {
      this.stateChanged.emit();
    }
  }

  private readonly _poll: Poll;
  private _isWatched = false;
  private _history: History | null = null;
  private _problem: ApiError | null = null;
}
