// What the viewer shows: where one is in the file or store, and what of it.

import { VDomModel } from '@jupyterlab/ui-components';

import type { ApiError } from '../../request';
import { asApiError } from '../../request';
import type {
  DatasetEntity,
  Entity,
  EntityChild,
  GroupEntity,
  ViewTarget
} from './contract';
import { coordinatesOf, labelledWindow } from './coordinates';
import type { Decision, Question } from './reading';
import { ViewReader } from './reading';
import type { ViewerApi } from './requests';
import type { Look } from './tree';
import type { ArrayView } from './view';
import { flipsOf } from './view';
import type { Slice, Window } from './window';
import {
  SelectionError,
  isByLabel,
  shownOf,
  thinned,
  wholeOf,
  windowOf
} from './window';

/** An array as it is looked at; another `id` is drawn from the beginning. */
export interface Shown {
  readonly kind: 'array';
  readonly id: number;
  readonly view: ArrayView;
  readonly look: Look;
  readonly reader: ViewReader;
  readonly missing: readonly string[];
}

export type Stage =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly problem: ApiError }
  | { readonly kind: 'group'; readonly entity: GroupEntity }
  | { readonly kind: 'unreadable'; readonly entity: DatasetEntity }
  | Shown;

interface IAsked {
  readonly question: Question;
  readonly answer: (decision: Decision) => void;
}

export class ViewerModel extends VDomModel {
  constructor(
    private readonly _api: ViewerApi,
    readonly target: ViewTarget
  ) {
    super();
  }

  get stage(): Stage {
    return this._stage;
  }

  /** From the root to what is shown. */
  get trail(): readonly Entity[] {
    return this._trail;
  }

  /** What stands beside the entity that is shown. */
  get siblings(): readonly EntityChild[] {
    const parent = this._trail.at(-2);
    return parent?.kind === 'group' ? parent.children : [];
  }

  get question(): Question | null {
    return this._asked?.question ?? null;
  }

  /** The slice that is drawn, or will be; null: not known yet. */
  get slice(): Slice | null {
    return this._slice;
  }

  get flips(): readonly boolean[] {
    const stage = this._stage;
    return stage.kind === 'array' && stage.look === 'plot'
      ? flipsOf(stage.view)
      : [];
  }

  /** The group or the array that is shown. */
  get entity(): Entity | null {
    const stage = this._stage;
    switch (stage.kind) {
      case 'array':
        return stage.view.entity;
      case 'group':
      case 'unreadable':
        return stage.entity;
      default:
        return null;
    }
  }

  get select(): string {
    return this._select;
  }

  /** Why the typed selection could not be taken. */
  get selectProblem(): string {
    return this._selectProblem;
  }

  override dispose(): void {
    this._abort.abort();
    this.decide('stop');
    super.dispose();
  }

  /** Begin, or begin again. */
  async start(
    path = this.target.path,
    select = this.target.select
  ): Promise<void> {
    this._version = '';
    await this._try(async () => {
      const root = await this._entity('/');
      this._version = root.version;
      this._trail = [root];
      const children = root.kind === 'group' ? root.children : [];
      const only = children.length === 1 ? children[0] : undefined;
      if (path !== '' && path !== '/') {
        await this._enter(path, select);
      } else if (only?.kind === 'dataset') {
        await this._enter(only.path, select);
      } else {
        await this._look(root, '');
      }
    });
  }

  /** Go up to an entity of the trail. */
  async goUp(at: number): Promise<void> {
    const entity = this._trail[at];
    if (entity) {
      this._trail = this._trail.slice(0, at + 1);
      await this._try(() => this._look(entity, ''));
    }
  }

  /** Go down to a child of the group that is shown. */
  async goDown(path: string): Promise<void> {
    await this._try(() => this._enter(path, ''));
  }

  /** Go to what stands beside. */
  async goBeside(path: string): Promise<void> {
    this._trail = this._trail.slice(0, -1);
    await this.goDown(path);
  }

  /** List more children of the group that is shown. */
  async more(): Promise<void> {
    const stage = this._stage;
    if (stage.kind !== 'group') {
      return;
    }
    const { entity } = stage;
    const next = await this._api.entity(this.target.key, entity.path, {
      version: this._version,
      start: entity.children.length
    });
    if (next.kind === 'group' && this._stage === stage) {
      const children = [...entity.children, ...next.children];
      const whole = { ...next, children };
      this._trail = [...this._trail.slice(0, -1), whole];
      this._to({ kind: 'group', entity: whole });
    }
  }

  /** Look over coordinates or by index. */
  look(look: Look): void {
    if (this._stage.kind === 'array' && this._stage.look !== look) {
      this._show(this._stage.view, look);
    }
  }

  /** Show a part of the array; empty is all of it. */
  async choose(select: string): Promise<void> {
    const stage = this._stage;
    if (stage.kind !== 'array') {
      return;
    }
    try {
      const { view, look } = stage;
      const window = await this._windowOf(select, view);
      this._select = select;
      this._selectProblem = '';
      this._show({ ...view, window }, look);
    } catch (error) {
      this._selectProblem =
        error instanceof SelectionError
          ? error.message
          : asApiError(error).message;
      this.stateChanged.emit();
    }
  }

  /** Answer the open question. */
  decide(decision: Decision): void {
    const asked = this._asked;
    const stage = this._stage;
    this._asked = null;
    asked?.answer(decision);
    if (asked && decision === 'overview' && stage.kind === 'array') {
      const { slice, stride } = asked.question;
      const window = thinned(stage.view.window, slice, stride);
      this._show({ ...stage.view, window }, stage.look);
    } else if (!this.isDisposed) {
      this.stateChanged.emit();
    }
  }

  /** Whether something of what is shown could not be read. */
  get hasTrouble(): boolean {
    return this._hasTrouble;
  }

  trouble(): void {
    this._hasTrouble = true;
    this.stateChanged.emit();
  }

  /** Draw again from the beginning. */
  retry(): void {
    if (this._stage.kind === 'array') {
      this._show(this._stage.view, this._stage.look);
    }
  }

  /** The drawing says which slice is seen, or is read for it. */
  saw(slice: Slice): void {
    if (slice.join() !== this._slice?.join()) {
      this._slice = slice;
      this.stateChanged.emit();
    }
  }

  private async _enter(path: string, select: string): Promise<void> {
    const entity = await this._entity(path);
    this._trail = [...this._trail, entity];
    await this._look(entity, select);
  }

  private async _look(entity: Entity, select: string): Promise<void> {
    if (entity.kind === 'group') {
      this._to({ kind: 'group', entity });
      return;
    }
    if (entity.value_dtype === null || entity.shape.includes(0)) {
      this._to({ kind: 'unreadable', entity });
      return;
    }
    const { signal } = this._abort;
    const { coordinates, missing } = await coordinatesOf(entity, {
      ...{ api: this._api, key: this.target.key, version: this._version },
      signal
    });
    if (signal.aborted) {
      return;
    }
    const window = wholeOf(entity.shape);
    const look = entity.shape.length === 0 ? 'values' : 'plot';
    this._missing = missing;
    this._select = '';
    this._selectProblem = '';
    if (select === '') {
      this._show({ entity, window, coordinates }, look);
    } else {
      this._stage = this._shown({ entity, window, coordinates }, look);
      await this.choose(select);
    }
  }

  private async _windowOf(select: string, view: ArrayView): Promise<Window> {
    const { entity, coordinates } = view;
    return isByLabel(select)
      ? labelledWindow(select, entity, coordinates, {
          ...{ api: this._api, key: this.target.key, version: this._version },
          signal: this._abort.signal
        })
      : windowOf(select, entity.shape);
  }

  private _show(view: ArrayView, look: Look): void {
    // What no axis is left of is a number, not a plot.
    const fitting = shownOf(view.window).length === 0 ? 'values' : look;
    this._to(this._shown(view, fitting));
  }

  private _shown(view: ArrayView, look: Look): Shown {
    this._id += 1;
    const reader = new ViewReader({
      ...{ api: this._api, key: this.target.key, view },
      version: this._version,
      ask: (question, signal) => this._ask(question, signal)
    });
    const missing = this._missing;
    return { kind: 'array', id: this._id, view, look, reader, missing };
  }

  private _ask(question: Question, signal: AbortSignal): Promise<Decision> {
    this._asked?.answer('stop');
    return new Promise(resolve => {
      const asked = { question, answer: resolve };
      this._asked = asked;
      signal.addEventListener('abort', () => {
        if (this._asked === asked) {
          this.decide('stop');
        }
      });
      this.stateChanged.emit();
    });
  }

  private _entity(path: string): Promise<Entity> {
    const { signal } = this._abort;
    const version = this._version;
    return this._api.entity(this.target.key, path, { version, signal });
  }

  /** One act at a time: the one before it is broken off. */
  private async _try(act: () => Promise<void>): Promise<void> {
    this._abort.abort();
    this._abort = new AbortController();
    const { signal } = this._abort;
    this._to({ kind: 'loading' });
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) {
        this._to({ kind: 'failed', problem: asApiError(error) });
      }
    }
  }

  private _to(stage: Stage): void {
    this._stage = stage;
    this._slice = null;
    this._hasTrouble = false;
    this._asked?.answer('stop');
    this._asked = null;
    this.stateChanged.emit();
  }

  private _abort = new AbortController();
  private _stage: Stage = { kind: 'loading' };
  private _trail: readonly Entity[] = [];
  private _asked: IAsked | null = null;
  private _slice: Slice | null = null;
  private _hasTrouble = false;
  private _select = '';
  private _selectProblem = '';
  private _missing: readonly string[] = [];
  private _version = '';
  private _id = 0;
}
