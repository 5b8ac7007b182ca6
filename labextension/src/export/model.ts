import { VDomModel } from '@jupyterlab/ui-components';

import type { ApiError } from '../request';
import { asApiError } from '../request';
import { Asking } from '../tensors/asking';
import type { ExportApi } from './ask';
import type { ExportedJob, JobProof, JobRequest, JobRun } from './contract';
import type { Form } from './form';
import { EMPTY, optionsOf } from './form';

const POLL_MILLISECONDS = 1500;

/** What is done with a folder once it is written. */
export type AndThen =
  | { readonly kind: 'nothing' | 'run' }
  | {
      readonly kind: 'prove';
      readonly values: Readonly<Record<string, string>>;
    };

/** The notebook that becomes a job. */
export interface Source {
  readonly path: string;
  /** The id of its kernel; '' for none. */
  readonly kernel: string;
  /** Save it, if it has changes. */
  save(): Promise<void>;
}

/** One notebook's way to a job: what is filled in, what it would be, what was done. */
export class ExportModel extends VDomModel {
  constructor(
    private readonly _api: ExportApi,
    readonly source: Source,
    private readonly _onWritten: (folder: string) => void
  ) {
    super();
  }

  get form(): Form {
    return this._form;
  }

  /** What would be written; the last one stays until the next is known. */
  get job(): ExportedJob | null {
    return this._asking.answer ?? this._job;
  }

  /** Why there is no answer to what is filled in now. */
  get refusal(): ApiError | null {
    return this._asking.problem;
  }

  get isAsking(): boolean {
    return this._asking.isAsking;
  }

  get isBusy(): boolean {
    return this._isBusy;
  }

  /** Why the last click did nothing. */
  get problem(): ApiError | null {
    return this._problem;
  }

  /** What was written last. */
  get written(): ExportedJob | null {
    return this._written;
  }

  /** The last run of the folder on this machine. */
  get run(): JobRun | null {
    return this._run;
  }

  /** The last proof of the folder. */
  get proof(): JobProof | null {
    return this._proof;
  }

  change(part: Partial<Form>): void {
    this._form = { ...this._form, ...part };
    this._problem = null;
    this._asking.follow(this._question());
    this.stateChanged.emit();
  }

  /** Save the notebook, and ask what it would be now. */
  async look(): Promise<void> {
    try {
      await this.source.save();
    } catch (error) {
      this._problem = asApiError(error);
    }
    this._asking.ask(this._question());
  }

  /** Write the folder, and go on with it. */
  async write(then: AndThen): Promise<void> {
    await this._busy(async () => {
      await this.source.save();
      const { overwrite } = this._form;
      const body = { ...this._question(), write: true, overwrite };
      this._written = await this._api.job(body);
      this._form = { ...this._form, overwrite: false };
      this._asking.ask(this._question());
      this._onWritten(this._written.folder);
      if (then.kind === 'run') {
        await this._start(this._written.folder);
      } else if (then.kind === 'prove') {
        await this._prove(this._written.folder, then.values);
      }
      // Another job has no proof of the earlier one.
      this.watch(this._isSeen);
    });
  }

  async stopProof(): Promise<void> {
    const { _proof: proof } = this;
    if (proof) {
      await this._busy(async () => {
        await this._api.stopProof(proof.id);
      });
    }
  }

  async stop(): Promise<void> {
    const { _run: run } = this;
    if (run) {
      await this._busy(async () => {
        await this._api.stop(run.id);
      });
    }
  }

  /** Ask after the run and the proof while somebody sees it. */
  watch(isSeen: boolean): void {
    clearTimeout(this._timer);
    this._isSeen = isSeen;
    if (isSeen) {
      void this._poll();
    }
  }

  override dispose(): void {
    this._isSeen = false;
    clearTimeout(this._timer);
    this._asking.dispose();
    super.dispose();
  }

  private async _start(folder: string): Promise<void> {
    const { path, kernel } = this.source;
    const { values, log, gpus } = this._form;
    const body = { path, kernel, folder, arguments: values, log, gpus };
    this._run = await this._api.run(body);
  }

  private async _prove(
    folder: string,
    values: Readonly<Record<string, string>>
  ): Promise<void> {
    const { path, kernel } = this.source;
    this._proof = await this._api.prove({ path, kernel, folder, values });
  }

  private _question(): JobRequest {
    const { path, kernel } = this.source;
    const folder = this._form.folder.trim();
    return { path, kernel, folder, options: optionsOf(this._form) };
  }

  private _answered(): void {
    this._job = this._asking.answer ?? this._job;
    this.stateChanged.emit();
    if (this._isSeen && this._job && this._folder !== this._job.folder) {
      this._folder = this._job.folder;
      this.watch(true);
    }
  }

  private async _busy(act: () => Promise<void>): Promise<void> {
    [this._isBusy, this._problem] = [true, null];
    this.stateChanged.emit();
    try {
      await act();
    } catch (error) {
      this._problem = asApiError(error);
    }
    this._isBusy = false;
    this.stateChanged.emit();
  }

  private async _poll(): Promise<void> {
    const folder = this._written?.folder ?? this._job?.folder;
    try {
      const [{ runs }, { proofs }] = await Promise.all([
        this._api.runs(),
        this._api.proofs()
      ]);
      this._run = runs.find(one => one.folder === folder) ?? null;
      this._proof = proofs.find(one => one.folder === folder) ?? null;
    } catch {
      // What was known stays; the next time may bring an answer.
    }
    this.stateChanged.emit();
    clearTimeout(this._timer);
    const states = [this._run?.state, this._proof?.state];
    if (this._isSeen && states.includes('running')) {
      this._timer = setTimeout(() => void this._poll(), POLL_MILLISECONDS);
    }
  }

  private readonly _asking = new Asking<JobRequest, ExportedJob>(
    (question, signal) => this._api.job(question, signal),
    () => this._answered()
  );
  private _form = EMPTY;
  private _job: ExportedJob | null = null;
  private _written: ExportedJob | null = null;
  private _run: JobRun | null = null;
  private _proof: JobProof | null = null;
  private _folder = '';
  private _isBusy = false;
  private _isSeen = false;
  private _problem: ApiError | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
