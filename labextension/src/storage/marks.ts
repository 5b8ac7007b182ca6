// Several files chosen at once, by Ctrl, Shift or Space. Pure.

import type { ObjectRow, Row, ShardsRow } from './rows';
import { shardsBytes } from './shards';

export type Marks = ReadonlySet<string>;
export type MarkableRow = ObjectRow | ShardsRow;

export const NO_MARKS: Marks = new Set();

/** A request's body holds no more. */
const MOST_KEYS = 1000;
const MOST_BYTES = 48_000;

export function isMarkable(row: Row): row is MarkableRow {
  return row.kind === 'object' || row.kind === 'shards';
}

/** Mark a row or take the mark away; the first mark brings the selected row. */
export function toggled(marks: Marks, selected: Row | null, row: Row): Marks {
  if (!isMarkable(row)) {
    return marks;
  }
  if (marks.has(row.id)) {
    return new Set([...marks].filter(id => id !== row.id));
  }
  const isFirst = marks.size === 0 && selected && isMarkable(selected);
  return new Set([...(isFirst ? [selected.id] : marks), row.id]);
}

/** Mark all that lies between two rows, both among them. */
export function between(rows: readonly Row[], a: string, b: string): Marks {
  const [i, j] = [a, b].map(id => rows.findIndex(row => row.id === id));
  if (i === undefined || j === undefined || i < 0 || j < 0) {
    return NO_MARKS;
  }
  const part = rows.slice(Math.min(i, j), Math.max(i, j) + 1);
  return new Set(part.filter(isMarkable).map(row => row.id));
}

export function bytesIn(rows: readonly MarkableRow[]): number {
  const bytesOf = (row: MarkableRow) =>
    row.kind === 'object'
      ? (row.entry.size_bytes ?? 0)
      : shardsBytes(row.shards);
  return rows.reduce((sum, row) => sum + bytesOf(row), 0);
}

/** Each object's key once: an opened model's shards may be marked twice. */
export function keysIn(rows: readonly MarkableRow[]): string[] {
  const keys = rows.flatMap(row =>
    row.kind === 'object'
      ? [row.entry.key]
      : row.shards.entries.map(entry => entry.key)
  );
  return [...new Set(keys)];
}

/** The keys in parts that one request can carry. */
export function requestsOf(keys: readonly string[]): string[][] {
  const parts: string[][] = [];
  let bytes = Infinity;
  for (const key of keys) {
    const size = new TextEncoder().encode(JSON.stringify(key)).length + 1;
    if (bytes + size > MOST_BYTES || parts.at(-1)?.length === MOST_KEYS) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(key);
    bytes += size;
  }
  return parts;
}
