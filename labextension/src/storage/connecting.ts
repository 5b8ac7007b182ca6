import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Api, Offer } from '../api';
import type { ApiError } from '../request';
import { asApiError } from '../request';

export type Step =
  | { readonly state: 'idle' }
  | { readonly state: 'testing' }
  /** A new link for a connection is waited for, or tried. */
  | {
      readonly state: 'renewing';
      readonly name: string;
      readonly trying: boolean;
      /** Why the last link was not taken. */
      readonly problem: ApiError | null;
    }
  | { readonly state: 'failed'; readonly problem: ApiError }
  | {
      readonly state: 'offered';
      readonly offer: Offer;
      readonly saving: boolean;
      /** Why the offer could not be saved. */
      readonly problem: ApiError | null;
    };

const IDLE: Step = { state: 'idle' };

/** From a pasted link to a connection. Its link may hold a secret. */
export class Connecting {
  constructor(private readonly _api: Pick<Api, 'offer'>) {}

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  get step(): Step {
    return this._step;
  }

  /** The connection that the next link is for; null: it makes one. */
  get renewing(): string | null {
    return this._step.state === 'renewing' ? this._step.name : null;
  }

  /** Wait for the new link of a connection. */
  renew(name: string): void {
    this.#link = '';
    this._set({ state: 'renewing', name, trying: false, problem: null });
  }

  /** Try that link and keep it; null when it was refused: nothing changed. */
  async replace(link: string): Promise<Offer | null> {
    const name = this.renewing;
    if (name === null) {
      return null;
    }
    const step = { state: 'renewing', name } as const;
    const round = this._set({ ...step, trying: true, problem: null });
    try {
      const wanted = { link, name, renew: true, save: true };
      const made = await this._api.offer(wanted);
      this._set(IDLE, round);
      return made;
    } catch (error) {
      const problem = asApiError(error);
      this._set({ ...step, trying: false, problem }, round);
      return null;
    }
  }

  /** Ask the server what a link is; nothing is written. */
  async test(link: string): Promise<void> {
    this.#link = link;
    await this.again();
  }

  async again(): Promise<void> {
    const round = this._set({ state: 'testing' });
    try {
      const offer = await this._api.offer({ link: this.#link, save: false });
      this._set(
        { state: 'offered', offer, saving: false, problem: null },
        round
      );
    } catch (error) {
      this._set({ state: 'failed', problem: asApiError(error) }, round);
    }
  }

  /** Save the offer under a name; null when that failed. */
  async connect(name: string, readOnly: boolean): Promise<Offer | null> {
    const step = this._step;
    if (step.state !== 'offered' || step.saving) {
      return null;
    }
    const round = this._set({ ...step, saving: true, problem: null });
    try {
      const link = this.#link;
      const wanted = { link, name, read_only: readOnly, save: true };
      const offer = await this._api.offer(wanted);
      this.cancel();
      return offer;
    } catch (error) {
      const problem = asApiError(error);
      this._set({ ...step, saving: false, problem }, round);
      return null;
    }
  }

  /** Forget the link. */
  cancel(): void {
    this.#link = '';
    this._set(IDLE);
  }

  /** Move on, unless another link was begun since `round`. */
  private _set(step: Step, round?: number): number {
    if (round === undefined) {
      this._round += 1;
    }
    if (round === undefined || round === this._round) {
      this._step = step;
      this._stateChanged.emit();
    }
    return this._round;
  }

  // Private to the language: no serializer or debugger view copies it along.
  #link = '';
  private readonly _stateChanged = new Signal<this, void>(this);
  private _step: Step = IDLE;
  private _round = 0;
}
