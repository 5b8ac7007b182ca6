// Pinned and recent paths: names and keys only, never a link. Pure.

import type { Path } from './target';

export interface Paths {
  readonly pinned: readonly Path[];
  /** The latest first; those pinned are not among them. */
  readonly recent: readonly Path[];
}

export const NO_PATHS: Paths = { pinned: [], recent: [] };

const KEPT_PINNED = 20;
const KEPT_RECENT = 4;

export function isPinned(paths: Paths, path: Path): boolean {
  return paths.pinned.some(pin => isSame(pin, path));
}

/** Pin a path, or take the pin away. */
export function togglePin(paths: Paths, path: Path): Paths {
  const others = without(paths.pinned, path);
  return isPinned(paths, path)
    ? { ...paths, pinned: others }
    : {
        pinned: [...others, path].slice(-KEPT_PINNED),
        recent: without(paths.recent, path)
      };
}

/** Remember where a person was. */
export function withRecent(paths: Paths, path: Path): Paths {
  if (isPinned(paths, path)) {
    return paths;
  }
  const recent = [path, ...without(paths.recent, path)];
  return { ...paths, recent: recent.slice(0, KEPT_RECENT) };
}

/** Forget the paths of a connection that is gone. */
export function withoutConnection(paths: Paths, name: string): Paths {
  const others = (some: readonly Path[]) =>
    some.filter(path => path.connection !== name);
  return { pinned: others(paths.pinned), recent: others(paths.recent) };
}

/** Read what was saved, which may be of another version or tampered with. */
export function pathsFrom(value: unknown): Paths {
  const { pinned, recent } = fields(value);
  return {
    pinned: listFrom(pinned).slice(-KEPT_PINNED),
    recent: listFrom(recent).slice(0, KEPT_RECENT)
  };
}

function listFrom(value: unknown): Path[] {
  return (Array.isArray(value) ? value : []).flatMap(item => {
    const { connection, key } = fields(item);
    return typeof connection === 'string' && typeof key === 'string'
      ? [{ connection, key }]
      : [];
  });
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function without(paths: readonly Path[], path: Path): Path[] {
  return paths.filter(other => !isSame(other, path));
}

function isSame(a: Path, b: Path): boolean {
  return a.connection === b.connection && a.key === b.key;
}
