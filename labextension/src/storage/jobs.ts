import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import { Poll } from '@lumino/polling';

import type { Api, Doomed, Transfer } from '../api';

const INTERVAL_MILLISECONDS = 1000;

/** The server's own jobs, asked for while one runs. */
export class Jobs {
  constructor(
    private readonly _api: Pick<
      Api,
      'startDeletion' | 'transfers' | 'cancelTransfer'
    >
  ) {
    this._poll = new Poll({
      auto: false,
      name: 'jupyter-gpu-ext:transfers',
      factory: () => this._ask(),
      frequency: { interval: INTERVAL_MILLISECONDS, backoff: true },
      standby: () => (this._wanted || this.isBusy ? 'when-hidden' : true)
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** A job came to its end while it was watched. */
  get ended(): ISignal<this, Transfer> {
    return this._ended;
  }

  get all(): readonly Transfer[] {
    return this._all.filter(job => !this._dismissed.has(job.id));
  }

  get isBusy(): boolean {
    return this._all.some(job => job.state === 'running');
  }

  /** Delete many objects on the server. */
  async delete(doomed: Doomed): Promise<string> {
    const { id } = await this._api.startDeletion(doomed);
    await this.refresh();
    return id;
  }

  /** See whether jobs run that another page has begun. */
  async peek(): Promise<void> {
    try {
      await this._ask();
    } catch {
      return; // Nothing is lost: whoever begins a job asks again.
    }
    if (this.isBusy) {
      await this.refresh();
    }
  }

  async refresh(): Promise<void> {
    this._wanted = true;
    await this._poll.refresh();
    await this._poll.tick;
  }

  async cancel(id: string): Promise<void> {
    await this._api.cancelTransfer(id);
    await this.refresh();
  }

  dismiss(id: string): void {
    this._dismissed.add(id);
    this._changed.emit();
  }

  private async _ask(): Promise<void> {
    this._wanted = false;
    const before = this._all.filter(job => job.state === 'running');
    const { transfers } = await this._api.transfers();
    this._all = transfers;
    this._changed.emit();
    for (const { id } of before) {
      const now = transfers.find(job => job.id === id);
      if (now && now.state !== 'running') {
        this._ended.emit(now);
      }
    }
  }

  private readonly _poll: Poll;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _ended = new Signal<this, Transfer>(this);
  private readonly _dismissed = new Set<string>();
  private _all: readonly Transfer[] = [];
  private _wanted = false;
}
