// The files on their way up: a few at once, the rest wait.

import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Entry } from '../api';
import type { UploadApi } from './upload';
import { Upload } from './upload';
import type { Path } from './target';

const FILES_AT_ONCE = 2;

export type Answer = 'replace' | 'skip' | 'replace all' | 'skip all';

interface IUploadsOptions {
  readonly api: UploadApi;
  /** An object of this name exists; several more files may follow. */
  readonly ask: (upload: Upload, more: boolean) => Promise<Answer>;
  readonly onMade: (path: Path, entry: Entry) => void;
}

export class Uploads {
  constructor(private readonly _options: IUploadsOptions) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get all(): readonly Upload[] {
    return this._all;
  }

  get isBusy(): boolean {
    return this._all.some(isBusy);
  }

  add(path: Path, file: Blob): void {
    if (!this.isBusy) {
      this._answer = null;
    }
    const upload = new Upload(this._options.api, path, file);
    upload.changed.connect(() => this._changed.emit());
    this._all = [...this._all, upload];
    this._next();
  }

  /** Go on where an upload stopped. */
  resume(upload: Upload): void {
    upload.again();
    this._next();
  }

  /** Stop an upload; one that stands takes its line away. */
  async dismiss(upload: Upload): Promise<void> {
    if (upload.state !== 'done') {
      await upload.cancel();
    }
    this._all = this._all.filter(other => other !== upload);
    this._next();
  }

  async dismissAll(those: readonly Upload[]): Promise<void> {
    await Promise.all(those.map(upload => this.dismiss(upload)));
  }

  private _next(): void {
    const running = this._all.filter(upload => upload.state === 'running');
    const free = FILES_AT_ONCE - running.length;
    const waiting = this._all.filter(upload => upload.state === 'waiting');
    for (const upload of waiting.slice(0, Math.max(0, free))) {
      void this._run(upload);
    }
    this._changed.emit();
  }

  private async _run(upload: Upload): Promise<void> {
    const entry = await upload.run();
    if (entry) {
      this._options.onMade(upload.path, entry);
    } else if (upload.state === 'asking') {
      // One question at a time, so that "all" can answer the rest.
      this._asking = this._asking.then(() => this._settle(upload));
      await this._asking;
    }
    this._next();
  }

  private async _settle(upload: Upload): Promise<void> {
    const more = this._all.some(other => other !== upload && isBusy(other));
    const answer = this._answer ?? (await this._options.ask(upload, more));
    if (answer.endsWith('all')) {
      this._answer = answer;
    }
    if (answer.startsWith('replace')) {
      upload.replace();
    } else {
      await this.dismiss(upload);
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private _all: readonly Upload[] = [];
  private _asking: Promise<void> = Promise.resolve();
  private _answer: Answer | null = null;
}

function isBusy(upload: Upload): boolean {
  return ['running', 'waiting', 'asking'].includes(upload.state);
}
