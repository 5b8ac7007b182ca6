// The rows that follow from the tree's state, from top to bottom. Pure.

import type { Connection, Entry } from '../api';
import type { ApiError } from '../request';
import type { Shards } from './shards';
import { foldShards, shardNumber, shardsPattern } from './shards';
import type { Folder, Place, TreeState } from './state';
import { entryId, folderAt, noteId, placeId } from './state';

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
    /** A row below says that its link has ended. */
    readonly isTold: boolean;
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
    /** Where it is listed. */
    readonly within: Place;
    /** Its place among the shards of a model: [2, 6] is 2 of 6. */
    readonly shard: readonly [number, number] | null;
  };

export type ShardsRow = IRowBase &
  ISibling & {
    readonly kind: 'shards';
    readonly shards: Shards;
    readonly within: Place;
    readonly expanded: boolean;
  };

/** What stands among the rows and is none itself. */
export type NoteRow = IRowBase & {
  readonly place: Place;
} & (
    | { readonly kind: 'loading' }
    | { readonly kind: 'empty' }
    | { readonly kind: 'failed'; readonly problem: ApiError }
    | { readonly kind: 'more'; readonly shown: number }
    | {
        readonly kind: 'narrowed';
        readonly search: string;
        readonly shown: number;
      }
    /** What went wrong with the row above. */
    | {
        readonly kind: 'trouble';
        readonly problem: ApiError;
        readonly of: string;
      }
  );

export type Row = ConnectionRow | FolderRow | ShardsRow | ObjectRow | NoteRow;

/** Where a row is, or where it is listed. */
export function placeOf(row: Row): Place {
  return row.kind === 'object' || row.kind === 'shards'
    ? row.within
    : row.place;
}

export function isArchived(row: ObjectRow): boolean {
  return row.entry.tier?.toLowerCase() === 'archive';
}

interface IAt extends ISibling {
  readonly level: number;
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
      expanded,
      isTold: expanded && folderAt(state, place).problem?.code === 'expired'
    };
    const trouble = troubleWith(state, row, place);
    return [row, ...trouble, ...(expanded ? rowsIn(state, place, 2) : [])];
  });
}

function rowsIn(state: TreeState, place: Place, level: number): Row[] {
  const folder = folderAt(state, place);
  const items = foldShards(folder.entries);
  const siblings = folder.nextToken === null ? items.length : -1;
  const rows = items.flatMap((item, index) => {
    const at = { level, position: index + 1, siblings };
    return item.kind === 'shards'
      ? rowsForShards(state, place, item, at)
      : rowsForEntry(state, place, item, at);
  });
  const above = narrowedNote(folder, place, level);
  const below = noteFor(folder, place, level);
  return [...above, ...rows, ...(below ? [below] : [])];
}

function rowsForEntry(
  state: TreeState,
  within: Place,
  entry: Entry,
  at: IAt,
  shard: ObjectRow['shard'] = null
): Row[] {
  const { connection } = within;
  if (entry.kind === 'object') {
    const id = entryId(connection, entry);
    const row: ObjectRow = {
      kind: 'object',
      id,
      entry,
      connection,
      within,
      shard,
      ...at
    };
    return [row, ...troubleWith(state, row, within)];
  }
  const place = { connection, prefix: entry.key };
  const id = placeId(place);
  const expanded = state.expanded.has(id);
  const row: FolderRow = { kind: 'folder', id, entry, place, expanded, ...at };
  const trouble = troubleWith(state, row, place);
  const inner = expanded ? rowsIn(state, place, at.level + 1) : [];
  return [row, ...trouble, ...inner];
}

export function shardsId(within: Place, shards: Shards): string {
  return `shards ${within.connection}://${within.prefix}${shardsPattern(shards)}`;
}

function rowsForShards(
  state: TreeState,
  within: Place,
  shards: Shards,
  at: IAt
): Row[] {
  const id = shardsId(within, shards);
  const expanded = state.expanded.has(id);
  const row: ShardsRow = {
    kind: 'shards',
    id,
    shards,
    within,
    expanded,
    ...at
  };
  const siblings = shards.entries.length;
  const level = at.level + 1;
  const inner = shards.entries.flatMap((entry, index) => {
    const there = { level, position: index + 1, siblings };
    const number = shardNumber(entry);
    return rowsForEntry(state, within, entry, there, [number, shards.total]);
  });
  const trouble = troubleWith(state, row, within);
  return [row, ...trouble, ...(expanded ? inner : [])];
}

function troubleWith(
  state: TreeState,
  row: { readonly id: string; readonly level: number },
  place: Place
): NoteRow[] {
  const problem = state.troubles.get(row.id);
  const id = `trouble ${row.id}`;
  const level = row.level + 1;
  return problem
    ? [{ kind: 'trouble', id, level, place, problem, of: row.id }]
    : [];
}

function narrowedNote(folder: Folder, place: Place, level: number): NoteRow[] {
  const { search, entries } = folder;
  const id = `narrowed ${placeId(place)}`;
  const shown = entries.length;
  return search === ''
    ? []
    : [{ kind: 'narrowed', id, level, place, search, shown }];
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
  // Where names are asked for, the row above says that there are none.
  return folder.entries.length === 0 && folder.search === ''
    ? { ...base, kind: 'empty' }
    : undefined;
}

/** The selected row, or the one above it when it is there no more. */
export function remaining(
  selected: string | null,
  before: readonly Row[],
  after: readonly Row[]
): string | null {
  if (selected === null || after.some(row => row.id === selected)) {
    return selected;
  }
  const at = before.findIndex(row => row.id === selected);
  const ids = new Set(after.map(row => row.id));
  const above = before.findLast(
    (row, index) => index < at && 'position' in row && ids.has(row.id)
  );
  return above?.id ?? selected;
}
