// The keyboard of the ARIA tree pattern, as a pure function.

import type { Row } from './rows';

export type Step =
  | { readonly kind: 'move'; readonly to: number }
  | { readonly kind: 'toggle' }
  | { readonly kind: 'activate' | 'find' | 'mark' | 'escape' }
  | { readonly kind: 'remove' | 'rename' };

const PAGE = 10;

/** What a key means with the row at `at` active (-1: none); null: not ours. */
export function stepFor(
  key: string,
  rows: readonly Row[],
  at: number
): Step | null {
  const last = rows.length - 1;
  const row = rows[at];
  switch (key) {
    case 'ArrowDown':
      return move(Math.min(last, at + 1));
    case 'ArrowUp':
      return move(Math.max(0, at - 1));
    case 'PageDown':
      return move(Math.min(last, at + PAGE));
    case 'PageUp':
      return move(Math.max(0, at - PAGE));
    case 'Home':
      return move(0);
    case 'End':
      return move(last);
    case 'ArrowRight':
      return row ? inward(row, at, last) : null;
    case 'ArrowLeft':
      return row ? outward(row, rows, at) : null;
    case 'Enter':
      return row ? { kind: 'activate' } : null;
    case '/':
      return { kind: 'find' };
    case ' ':
      return row ? { kind: 'mark' } : null;
    case 'Escape':
      return { kind: 'escape' };
    case 'Delete':
      return row ? { kind: 'remove' } : null;
    case 'F2':
      return row ? { kind: 'rename' } : null;
    default:
      return [...key].length === 1 ? typeAhead(key, rows, at) : null;
  }
}

function move(to: number): Step | null {
  return to < 0 ? null : { kind: 'move', to };
}

function isOpen(row: Row): boolean | null {
  return 'expanded' in row ? row.expanded : null;
}

function inward(row: Row, at: number, last: number): Step | null {
  const open = isOpen(row);
  if (open === null) {
    return null;
  }
  return open ? move(Math.min(last, at + 1)) : { kind: 'toggle' };
}

function outward(row: Row, rows: readonly Row[], at: number): Step | null {
  if (isOpen(row) === true) {
    return { kind: 'toggle' };
  }
  return move(rows.findLastIndex((r, i) => i < at && r.level < row.level));
}

function typeAhead(key: string, rows: readonly Row[], at: number): Step | null {
  const wanted = key.toLowerCase();
  const starts = (row: Row) => labelOf(row).toLowerCase().startsWith(wanted);
  const after = rows.findIndex((row, index) => index > at && starts(row));
  return move(after >= 0 ? after : rows.findIndex(starts));
}

/** The name by which a row is found and read. */
export function labelOf(row: Row): string {
  switch (row.kind) {
    case 'connection':
      return row.connection.name;
    case 'folder':
    case 'object':
      return row.entry.name;
    case 'shards':
      return row.shards.stem;
    default:
      return '';
  }
}
