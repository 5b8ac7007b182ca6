// The tree as data: what is known and what is open. Its rows are in rows.ts.

import type { Connection, Entry, Page } from '../api';
import type { ApiError } from '../request';

/** A connection's root (prefix '') or a folder below it. */
export interface Place {
  readonly connection: string;
  readonly prefix: string;
}

export interface Folder {
  readonly entries: readonly Entry[];
  /** What the names begin with that are asked for; '' for all. */
  readonly search: string;
  readonly nextToken: string | null;
  readonly loading: boolean;
  readonly problem: ApiError | null;
}

export interface TreeState {
  readonly connections: readonly Connection[];
  readonly folders: ReadonlyMap<string, Folder>;
  readonly expanded: ReadonlySet<string>;
  /** The id of the selected row, which is also where the keyboard is. */
  readonly selected: string | null;
  /** What went wrong with a row, by its id. */
  readonly troubles: ReadonlyMap<string, ApiError>;
}

export const EMPTY_TREE: TreeState = {
  connections: [],
  folders: new Map(),
  expanded: new Set(),
  selected: null,
  troubles: new Map()
};

const UNKNOWN_FOLDER: Folder = {
  entries: [],
  search: '',
  nextToken: null,
  loading: false,
  problem: null
};

export function placeId(place: Place): string {
  return `folder ${place.connection}://${place.prefix}`;
}

export function entryId(connection: string, entry: Entry): string {
  return `${entry.kind} ${connection}://${entry.key}`;
}

export function noteId(place: Place): string {
  return `note ${placeId(place)}`;
}

export function folderAt(state: TreeState, place: Place): Folder {
  return state.folders.get(placeId(place)) ?? UNKNOWN_FOLDER;
}

/** The entry of this key, or the folder that is meant without its slash. */
export function entryAt(
  state: TreeState,
  place: Place,
  key: string
): Entry | undefined {
  const { entries } = folderAt(state, place);
  return (
    entries.find(entry => entry.key === key) ??
    entries.find(entry => entry.kind === 'folder' && entry.key === `${key}/`)
  );
}

export function withConnections(
  state: TreeState,
  connections: readonly Connection[]
): TreeState {
  return { ...state, connections, troubles: new Map() };
}

export function withSelected(state: TreeState, id: string | null): TreeState {
  return { ...state, selected: id };
}

export function withExpanded(
  state: TreeState,
  place: Place,
  expanded: boolean
): TreeState {
  return withOpen(state, placeId(place), expanded);
}

/** Open or close what has this id: a place, or shards. */
export function withOpen(
  state: TreeState,
  id: string,
  open: boolean
): TreeState {
  const expanded = new Set(state.expanded);
  if (open) {
    expanded.add(id);
  } else {
    expanded.delete(id);
  }
  return { ...state, expanded };
}

/** Narrow a folder to the names that begin so; its rows stay until the reply. */
export function withSearch(
  state: TreeState,
  place: Place,
  search: string
): TreeState {
  const next = withFolder(state, place, { search, nextToken: null });
  return withExpanded(next, place, true);
}

/** An entry that came to be, where the listing would show it. */
export function withEntry(
  state: TreeState,
  place: Place,
  entry: Entry
): TreeState {
  const { entries, nextToken, search } = folderAt(state, place);
  const isSame = (e: Entry) => e.kind === entry.kind && e.key === entry.key;
  const after = entries.findIndex(e => e.key > entry.key);
  const isBeyond = after < 0 && nextToken !== null;
  if (entries.some(isSame)) {
    const replaced = entries.map(e => (isSame(e) ? entry : e));
    return withFolder(state, place, { entries: replaced });
  }
  if (isBeyond || !entry.name.startsWith(search)) {
    return state;
  }
  const at = after < 0 ? entries.length : after;
  return withFolder(state, place, { entries: entries.toSpliced(at, 0, entry) });
}

/** Without the objects and folders that have these keys. */
export function withoutEntries(
  state: TreeState,
  place: Place,
  keys: ReadonlySet<string>
): TreeState {
  const { entries } = folderAt(state, place);
  const kept = entries.filter(entry => !keys.has(entry.key));
  return withFolder(state, place, { entries: kept });
}

export function withTrouble(
  state: TreeState,
  id: string,
  problem: ApiError | null
): TreeState {
  const troubles = new Map(state.troubles);
  if (problem) {
    troubles.set(id, problem);
  } else {
    troubles.delete(id);
  }
  return { ...state, troubles };
}

export function withLoading(state: TreeState, place: Place): TreeState {
  return withFolder(state, place, { loading: true, problem: null });
}

/** A page that continues the folder when `append`, else its first page. */
export function withPage(
  state: TreeState,
  place: Place,
  page: Pick<Page, 'entries' | 'next_token'>,
  append: boolean
): TreeState {
  const before = append ? folderAt(state, place).entries : [];
  // Whoever asked for more by the keyboard goes on at the first new row.
  const first = state.selected === noteId(place) ? page.entries[0] : undefined;
  const next = first
    ? withSelected(state, entryId(place.connection, first))
    : state;
  return withFolder(next, place, {
    entries: [...before, ...page.entries],
    nextToken: page.next_token,
    loading: false,
    problem: null
  });
}

export function withProblem(
  state: TreeState,
  place: Place,
  problem: ApiError
): TreeState {
  return withFolder(state, place, { loading: false, problem });
}

/** Forget the folders that are closed: they are listed anew when opened. */
export function withoutClosedFolders(state: TreeState): TreeState {
  const kept = [...state.folders].filter(([id]) => state.expanded.has(id));
  return { ...state, folders: new Map(kept) };
}

function withFolder(
  state: TreeState,
  place: Place,
  change: Partial<Folder>
): TreeState {
  const folders = new Map(state.folders);
  folders.set(placeId(place), { ...folderAt(state, place), ...change });
  return { ...state, folders };
}
