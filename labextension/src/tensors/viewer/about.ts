// What is told of an array beside its picture: the plan of what is seen, its
// chunks, its attributes. Asked while somebody looks, and only what is open.

import { Signal } from '@lumino/signaling';

import type { Api, ArrayPart, ChunkMap, Part, Plan } from '../../api';
import { Asking } from '../asking';
import type { Seen } from './code';
import { isZarr, loadedPart } from './code';
import type { Attributes, Entity } from './contract';
import type { ViewerApi } from './requests';

export type Section = 'chunks' | 'attributes';

/** A slider is pulled over many slices to the one that is meant. */
const PAUSE_MILLISECONDS = 300;
/** What was opened by a click is meant. */
const AT_ONCE = 0;

type AboutApi = Pick<Api, 'tensorPlan' | 'tensorChunks'>;

/** What is asked about; null: not known yet, or nothing to ask. */
export interface Subject {
  /** Another one is told of from the beginning. */
  readonly name: string;
  readonly plan: Part | null;
  readonly chunks: ArrayPart | null;
  readonly attributes: Pick<Entity, 'path' | 'version'> | null;
}

export class About {
  constructor(
    api: AboutApi,
    viewerApi: Pick<ViewerApi, 'attributes'>,
    key: string,
    pause = PAUSE_MILLISECONDS
  ) {
    const changed = () => this.stateChanged.emit();
    this.plan = new Asking(
      (part, signal) => api.tensorPlan(part, signal),
      changed,
      pause
    );
    this.chunks = new Asking(
      (part, signal) => api.tensorChunks(part, signal),
      changed,
      AT_ONCE
    );
    this.attributes = new Asking(
      ({ path, version }, signal) =>
        viewerApi.attributes(key, path, { version, signal }),
      changed,
      AT_ONCE
    );
  }

  readonly stateChanged = new Signal<this, void>(this);
  /** What a load of what is seen would read. */
  readonly plan: Asking<Part, Plan>;
  /** All chunks; which of them are touched is the viewer's to say. */
  readonly chunks: Asking<ArrayPart, ChunkMap>;
  readonly attributes: Asking<Pick<Entity, 'path' | 'version'>, Attributes>;

  isOpen(section: Section): boolean {
    return this._open.has(section);
  }

  /** Open or close a section; what opens is asked anew. */
  toggle(section: Section): void {
    if (!this._open.delete(section)) {
      this._open.add(section);
      this[section].cancel();
    }
    this._ask();
    this.stateChanged.emit();
  }

  /** Tell of this from now on; null: nobody looks. */
  follow(subject: Subject | null): void {
    if (subject && subject.name !== this._name) {
      this._name = subject.name;
      this.plan.clear();
      this.chunks.clear();
      this.attributes.clear();
    }
    this._subject = subject;
    this._ask();
  }

  dispose(): void {
    this.plan.dispose();
    this.chunks.dispose();
    this.attributes.dispose();
    Signal.clearData(this);
  }

  private _ask(): void {
    const subject = this._subject;
    const isOpen = (section: Section) => this._open.has(section);
    this.plan.follow(subject?.plan ?? null);
    this.chunks.follow((isOpen('chunks') && subject?.chunks) || null);
    this.attributes.follow(
      (isOpen('attributes') && subject?.attributes) || null
    );
  }

  private readonly _open = new Set<Section>();
  private _subject: Subject | null = null;
  private _name = '';
}

/**
 * What can be asked about an array or a group.
 *
 * @param seen - What is seen of the array; null for a group.
 * @param isKnown - Whether the slice that is seen is known already.
 */
export function subjectOf(
  entity: Entity,
  seen: Seen | null,
  isKnown: boolean
): Subject {
  const { path, version } = entity;
  const part = seen && isZarr(seen.view, seen.key) ? loadedPart(seen) : null;
  const { connection = '', key = '' } = part ?? {};
  return {
    name: `${path} ${version}`,
    plan: isKnown ? part : null,
    chunks: part && { connection, key, path: '', select: '' },
    attributes: entity.attributes.length > 0 ? { path, version } : null
  };
}
