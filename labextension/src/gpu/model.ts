import { VDomModel } from '@jupyterlab/ui-components';
import type { IPoll } from '@lumino/polling';
import { Poll } from '@lumino/polling';

import type { Api, GpuStatus, Sample } from '../api';
import type { ApiError } from '../request';
import { asApiError } from '../request';
import type { IGpuModel } from '../tokens';
import { mergeSamples } from './samples';

export const DEFAULT_INTERVAL_SECONDS = 2;
/** What is only glanced at may lag a little behind. */
const GLANCE_SECONDS = 5;
const LONGEST_BACKOFF_SECONDS = 30;

/** How a view is looked at: a number in a bar, or a panel. */
export type Pace = 'glance' | 'look';

export class GpuModel extends VDomModel implements IGpuModel {
  constructor(
    private readonly _api: Pick<Api, 'gpuStatus'>,
    private _intervalSeconds = DEFAULT_INTERVAL_SECONDS
  ) {
    super();
    this._poll = new Poll({
      auto: false,
      name: 'jupyter-gpu-ext:gpu-status',
      factory: () => this._ask(),
      frequency: this._frequency(),
      standby: () => (this._views.size === 0 ? true : 'when-hidden')
    });
  }

  get status(): GpuStatus | null {
    return this._status;
  }

  get samples(): readonly Sample[] {
    return this._samples;
  }

  get problem(): ApiError | null {
    return this._problem;
  }

  /** For how long no new sample came, by this browser's clock. */
  get silentSeconds(): number {
    return (Date.now() - this._newsAt) / 1000;
  }

  set intervalSeconds(seconds: number) {
    this._intervalSeconds = seconds;
    this._poll.frequency = this._frequency();
  }

  watch(view: string, visible: boolean, pace: Pace = 'look'): void {
    if (visible === this._views.has(view)) {
      return;
    }
    if (visible) {
      this._views.set(view, pace);
    } else {
      this._views.delete(view);
    }
    this._poll.frequency = this._frequency();
    if (visible) {
      void this.refresh();
    }
  }

  async refresh(): Promise<void> {
    await this._poll.refresh();
    await this._poll.tick;
  }

  override dispose(): void {
    this._poll.dispose();
    super.dispose();
  }

  private _frequency(): IPoll.Frequency {
    const seconds = [...this._views.values()].includes('look')
      ? this._intervalSeconds
      : Math.max(GLANCE_SECONDS, this._intervalSeconds);
    return {
      interval: 1000 * seconds,
      backoff: true,
      max: 1000 * Math.max(LONGEST_BACKOFF_SECONDS, seconds)
    };
  }

  private async _ask(): Promise<void> {
    try {
      this._take(await this._api.gpuStatus(this._status?.cursor ?? 0));
    } catch (error) {
      this._problem = asApiError(error);
      this.stateChanged.emit();
      throw error; // so that the poll backs off
    }
  }

  private _take(reply: GpuStatus): void {
    if (reply.cursor !== this._status?.cursor) {
      this._newsAt = Date.now();
    }
    this._samples = mergeSamples(this._samples, reply);
    this._status = reply;
    this._problem = null;
    this.stateChanged.emit();
  }

  private readonly _poll: Poll;
  private readonly _views = new Map<string, Pace>();
  private _status: GpuStatus | null = null;
  private _samples: readonly Sample[] = [];
  private _problem: ApiError | null = null;
  private _newsAt = Date.now();
}
