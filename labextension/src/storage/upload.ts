// One file on its way up, block by block. Knows no JupyterLab.

import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Api, Entry, UploadSession } from '../api';
import type { ApiError } from '../request';
import { asApiError } from '../request';
import { Pace } from './pace';
import type { Path } from './target';

/** `asking`: an object of this name exists, and a person is asked. */
export type UploadState =
  | 'waiting'
  | 'running'
  | 'asking'
  | 'interrupted'
  | 'failed'
  | 'cancelled'
  | 'done';

export type UploadApi = Pick<
  Api,
  'openUpload' | 'putBlock' | 'commitUpload' | 'abortUpload'
>;

const BLOCKS_AT_ONCE = 3;
const RETRY_SECONDS = [1, 2, 4, 8];
/** No reply, throttled, or something on the way that may pass. */
const PASSING = new Set([0, 429, 502, 503, 504]);

export class Upload {
  constructor(
    private readonly _api: UploadApi,
    readonly path: Path,
    readonly file: Blob,
    /** Waits between attempts to send one block. */
    private readonly _retrySeconds: readonly number[] = RETRY_SECONDS
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get state(): UploadState {
    return this._state;
  }

  get problem(): ApiError | null {
    return this._problem;
  }

  get doneBytes(): number {
    const blocks = [...this._received];
    return blocks.reduce((sum, index) => sum + this._bytesOf(index), 0);
  }

  get bytesPerSecond(): number | null {
    return this._state === 'running' ? this._pace.perSecond : null;
  }

  /**
   * Send what is missing and commit; the state says how it ended.
   *
   * @returns The new object, or null.
   */
  async run(): Promise<Entry | null> {
    this._stop = new AbortController();
    this._set('running', null);
    try {
      const session = await this._open();
      this._pace.start(this.doneBytes);
      await this._send(session);
      const entry = await this._api.commitUpload(session.id);
      this._set('done', null);
      return entry;
    } catch (error) {
      this._end(asApiError(error));
      return null;
    }
  }

  /** Wait for another run, which goes on where this one stopped. */
  again(): void {
    this._set('waiting', null);
  }

  /** Run again and replace what is there: a person was asked. */
  replace(): void {
    this._overwrite = true;
    this.again();
  }

  async cancel(): Promise<void> {
    this._stop.abort();
    this._set('cancelled', null);
    if (this._id !== null) {
      await this._api.abortUpload(this._id).catch(() => undefined);
      this._id = null;
    }
  }

  private async _open(): Promise<UploadSession> {
    const session = await this._api.openUpload({
      connection: this.path.connection,
      key: this.path.key,
      size_bytes: this.file.size,
      overwrite: this._overwrite,
      ...(this._id === null ? {} : { resume_id: this._id })
    });
    this._id = session.id;
    this._blockBytes = session.block_bytes;
    this._received = new Set(session.received);
    return session;
  }

  private async _send(session: UploadSession): Promise<void> {
    const count = Math.ceil(this.file.size / session.block_bytes);
    const missing = Array.from({ length: count }, (_, index) => index).filter(
      index => !this._received.has(index)
    );
    const work = async () => {
      for (let next = missing.shift(); next !== undefined;) {
        await this._put(session.id, next);
        next = missing.shift();
      }
    };
    try {
      await Promise.all(Array.from({ length: BLOCKS_AT_ONCE }, work));
    } finally {
      // Where one fails, the others need not begin another block.
      missing.length = 0;
    }
  }

  private async _put(id: string, index: number): Promise<void> {
    const start = index * this._blockBytes;
    const block = this.file.slice(start, start + this._blockBytes);
    for (let attempt = 0; ; attempt += 1) {
      this._stop.signal.throwIfAborted();
      try {
        await this._api.putBlock(id, index, block, this._stop.signal);
        break;
      } catch (error) {
        const wait = this._retrySeconds[attempt];
        if (wait === undefined || !mayPass(asApiError(error))) {
          throw error;
        }
        await pause(wait, this._stop.signal);
      }
    }
    this._received.add(index);
    this._pace.reached(this.doneBytes);
    this._changed.emit();
  }

  private _end(problem: ApiError): void {
    if (this._stop.signal.aborted) {
      this._set('cancelled', null);
    } else {
      this._stop.abort();
      if (problem.status === 404) {
        // The server knows this upload no more: begin anew.
        this._id = null;
        this._received = new Set();
      }
      this._set(endOf(problem), problem);
    }
  }

  private _bytesOf(index: number): number {
    const rest = this.file.size - index * this._blockBytes;
    return Math.max(0, Math.min(this._blockBytes, rest));
  }

  private _set(state: UploadState, problem: ApiError | null): void {
    this._state = state;
    this._problem = problem;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _pace = new Pace();
  private _state: UploadState = 'waiting';
  private _problem: ApiError | null = null;
  private _stop = new AbortController();
  private _id: string | null = null;
  private _blockBytes = 1;
  private _received = new Set<number>();
  private _overwrite = false;
}

function endOf(problem: ApiError): UploadState {
  if (problem.code === 'exists') {
    return 'asking';
  }
  return mayPass(problem) ? 'interrupted' : 'failed';
}

function mayPass(problem: ApiError): boolean {
  return PASSING.has(problem.status);
}

/** Wait, or throw as soon as the signal says stop. */
function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException('stopped', 'AbortError'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, 1000 * seconds);
    signal.addEventListener('abort', stop, { once: true });
  });
}
