// The tree as data: what is known, what is open, and the rows that follow.

import type { Connection, Entry, Page } from '../api';
import type { ApiError } from '../request';

/** A connection's root (prefix '') or a folder below it. */
export interface Place {
  readonly connection: string;
  readonly prefix: string;
}

export interface Folder {
  readonly entries: readonly Entry[];
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
}

interface IRowBase {
  readonly id: string;
  readonly level: number;
}

interface ISibling {
  readonly position: number;
  /** -1 while more exist than were listed. */
  readonly siblings: number;
}

export type ConnectionRow = IRowBase &
  ISibling & {
    readonly kind: 'connection';
    readonly connection: Connection;
    readonly place: Place;
    readonly expanded: boolean;
  };

export type FolderRow = IRowBase &
  ISibling & {
    readonly kind: 'folder';
    readonly entry: Entry;
    readonly place: Place;
    readonly expanded: boolean;
  };

export type ObjectRow = IRowBase &
  ISibling & {
    readonly kind: 'object';
    readonly entry: Entry;
    readonly connection: string;
  };

/** What stands in a folder for what is not there. */
export type NoteRow = IRowBase & {
  readonly place: Place;
} & (
    | { readonly kind: 'loading' }
    | { readonly kind: 'empty' }
    | { readonly kind: 'failed'; readonly problem: ApiError }
    | { readonly kind: 'more'; readonly shown: number }
  );

export type Row = ConnectionRow | FolderRow | ObjectRow | NoteRow;

export const EMPTY_TREE: TreeState = {
  connections: [],
  folders: new Map(),
  expanded: new Set(),
  selected: null
};

const UNKNOWN_FOLDER: Folder = {
  entries: [],
  nextToken: null,
  loading: false,
  problem: null
};

export function placeId(place: Place): string {
  return `folder ${place.connection}://${place.prefix}`;
}

function entryId(connection: string, entry: Entry): string {
  return `${entry.kind} ${connection}://${entry.key}`;
}

function noteId(place: Place): string {
  return `note ${placeId(place)}`;
}

export function folderAt(state: TreeState, place: Place): Folder {
  return state.folders.get(placeId(place)) ?? UNKNOWN_FOLDER;
}

export function withConnections(
  state: TreeState,
  connections: readonly Connection[]
): TreeState {
  return { ...state, connections };
}

export function withSelected(state: TreeState, id: string | null): TreeState {
  return { ...state, selected: id };
}

export function withExpanded(
  state: TreeState,
  place: Place,
  expanded: boolean
): TreeState {
  const ids = new Set(state.expanded);
  if (expanded) {
    ids.add(placeId(place));
  } else {
    ids.delete(placeId(place));
  }
  return { ...state, expanded: ids };
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

/** The rows from top to bottom. */
export function rowsOf(state: TreeState): Row[] {
  return state.connections.flatMap((connection, index) => {
    const place = { connection: connection.name, prefix: '' };
    const expanded = state.expanded.has(placeId(place));
    const row: ConnectionRow = {
      kind: 'connection',
      id: placeId(place),
      level: 1,
      position: index + 1,
      siblings: state.connections.length,
      connection,
      place,
      expanded
    };
    return expanded ? [row, ...rowsIn(state, place, 2)] : [row];
  });
}

function rowsIn(state: TreeState, place: Place, level: number): Row[] {
  const folder = folderAt(state, place);
  const siblings = folder.nextToken === null ? folder.entries.length : -1;
  const entries = folder.entries.flatMap((entry, index) =>
    rowsFor(state, place.connection, entry, {
      level,
      position: index + 1,
      siblings
    })
  );
  const note = noteFor(folder, place, level);
  return note ? [...entries, note] : entries;
}

function rowsFor(
  state: TreeState,
  connection: string,
  entry: Entry,
  at: ISibling & { readonly level: number }
): Row[] {
  if (entry.kind === 'object') {
    const id = entryId(connection, entry);
    return [{ kind: 'object', id, entry, connection, ...at }];
  }
  const place = { connection, prefix: entry.key };
  const id = placeId(place);
  const expanded = state.expanded.has(id);
  const row: FolderRow = { kind: 'folder', id, entry, place, expanded, ...at };
  return expanded ? [row, ...rowsIn(state, place, at.level + 1)] : [row];
}

function noteFor(
  folder: Folder,
  place: Place,
  level: number
): NoteRow | undefined {
  const base = { id: noteId(place), level, place };
  if (folder.problem) {
    return { ...base, kind: 'failed', problem: folder.problem };
  }
  if (folder.loading) {
    // A refresh keeps the rows that were there, so it needs no note.
    const again = folder.entries.length > 0 && folder.nextToken === null;
    return again ? undefined : { ...base, kind: 'loading' };
  }
  if (folder.nextToken !== null) {
    return { ...base, kind: 'more', shown: folder.entries.length };
  }
  return folder.entries.length === 0 ? { ...base, kind: 'empty' } : undefined;
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
