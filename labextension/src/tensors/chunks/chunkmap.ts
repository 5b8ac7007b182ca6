// The map of an array's chunks: what each cell is, and where it is drawn. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import type { ChunkMap } from '../../api';
import { formatShape } from '../../format';

/** What a cell is; of several that share a pixel the highest is shown. */
export const CELL = {
  unknown: 0,
  missing: 1,
  stored: 2,
  touchedUnknown: 3,
  touchedMissing: 4,
  touched: 5
} as const;

export type Cell = (typeof CELL)[keyof typeof CELL];

/** What each cell is, in C order of the grid; null: there is no map. */
export function cellsOf(map: ChunkMap): Uint8Array | null {
  if (map.stored === null && map.touched === null) {
    return null;
  }
  const stored = map.stored === null ? null : bytesOf(map.stored);
  const touched = touchedOf(map);
  const absent = map.complete && stored ? CELL.missing : CELL.unknown;
  const cells = new Uint8Array(map.cell_count);
  for (let at = 0; at < cells.length; at += 1) {
    const cell = stored && bit(stored, at) ? CELL.stored : absent;
    cells[at] = touched[at] ? cell + TOUCH : cell;
  }
  return cells;
}

const TOUCH = CELL.touched - CELL.stored;

export interface Counts {
  readonly stored: number;
  readonly missing: number;
  readonly unknown: number;
  readonly touched: number;
  readonly touchedMissing: number;
}

export function countsOf(cells: Uint8Array): Counts {
  const counts = new Uint32Array(6);
  for (const cell of cells) {
    counts[cell] = (counts[cell] ?? 0) + 1;
  }
  const [unknown = 0, missing = 0, stored = 0] = counts;
  const [touchedUnknown = 0, touchedMissing = 0, touched = 0] = counts.slice(3);
  return {
    stored: stored + touched,
    missing: missing + touchedMissing,
    unknown: unknown + touchedUnknown,
    touched: touched + touchedMissing + touchedUnknown,
    touchedMissing
  };
}

export interface Layout {
  readonly columns: number;
  readonly rows: number;
  /** The side of a cell. */
  readonly pixels: number;
  /** More than one: there are more cells than pixels. */
  readonly cellsPerPixel: number;
}

const MOST_PIXELS = 14;

/** The largest cells that fit; rows end where the last axis does, if they can. */
export function layOut(
  grid: readonly number[],
  width: number,
  height: number
): Layout {
  const count = grid.reduce((product, length) => product * length, 1);
  const folded = grid.filter(length => length > 1);
  const last = folded.at(-1) ?? 1;
  if (folded.length > 1 && last <= width) {
    const found = multiples(last, count, width, height);
    if (found) {
      return found;
    }
  }
  for (let pixels = MOST_PIXELS; pixels >= 1; pixels -= 1) {
    const columns = Math.min(count, Math.floor(width / pixels));
    const rows = Math.ceil(count / Math.max(1, columns));
    if (columns > 0 && rows * pixels <= height) {
      return { columns, rows, pixels, cellsPerPixel: 1 };
    }
  }
  const columns = Math.max(1, Math.floor(width));
  const cellsPerPixel = Math.ceil(count / (columns * Math.max(1, height)));
  const rows = Math.ceil(count / cellsPerPixel / columns);
  return { columns, rows, pixels: 1, cellsPerPixel };
}

/** Rows of so many last axes that the cells are largest; the fewest of those. */
function multiples(
  last: number,
  count: number,
  width: number,
  height: number
): Layout | null {
  let best: Layout | null = null;
  for (let columns = last; columns <= width; columns += last) {
    const rows = Math.ceil(count / columns);
    const side = Math.min(width / columns, height / rows, MOST_PIXELS);
    const pixels = Math.floor(side);
    if (pixels > (best?.pixels ?? 0)) {
      best = { columns, rows, pixels, cellsPerPixel: 1 };
    }
  }
  return best;
}

/** One value a pixel: the highest of the cells that share it. */
export function pixelsOf(cells: Uint8Array, layout: Layout): Uint8Array {
  const { cellsPerPixel } = layout;
  if (cellsPerPixel === 1) {
    return cells;
  }
  const pixels = new Uint8Array(Math.ceil(cells.length / cellsPerPixel));
  cells.forEach((cell, at) => {
    const pixel = Math.floor(at / cellsPerPixel);
    pixels[pixel] = Math.max(pixels[pixel] ?? 0, cell);
  });
  return pixels;
}

/** The cell at a point of the drawing; null: there is none. */
export function cellAt(
  layout: Layout,
  count: number,
  x: number,
  y: number
): number | null {
  const { columns, pixels, cellsPerPixel } = layout;
  const [column, row] = [Math.floor(x / pixels), Math.floor(y / pixels)];
  const cell = (row * columns + column) * cellsPerPixel;
  const isInside = column >= 0 && column < columns && row >= 0;
  return isInside && cell < count ? cell : null;
}

/** A cell's place along each axis. */
export function placeOf(grid: readonly number[], cell: number): number[] {
  let rest = cell;
  return grid
    .toReversed()
    .map(length => {
      const place = rest % length;
      rest = Math.floor(rest / length);
      return place;
    })
    .reverse();
}

/** The whole map in a sentence, for who does not see it. */
export function mapWords(
  map: ChunkMap,
  counts: Counts,
  trans: TranslationBundle
): string {
  const number = (count: number) => count.toLocaleString();
  const { grid, cell_count } = map;
  const size =
    grid.length > 1
      ? `${number(cell_count)} (${formatShape(grid)})`
      : number(cell_count);
  return [
    trans.__('%1 %2', size, piecesName(map, trans)),
    trans.__('%1 stored', number(counts.stored)),
    ...(counts.missing > 0
      ? [trans.__('%1 missing', number(counts.missing))]
      : []),
    ...(counts.unknown > 0
      ? [trans.__('%1 unknown', number(counts.unknown))]
      : []),
    trans.__('%1 touched', number(counts.touched)),
    ...(counts.touchedMissing > 0
      ? [trans.__('%1 of them missing', number(counts.touchedMissing))]
      : [])
  ].join(', ');
}

export function piecesName(map: ChunkMap, trans: TranslationBundle): string {
  const isSharded = map.cell_shape.some(
    (length, axis) => length !== map.chunk_shape[axis]
  );
  return isSharded ? trans.__('shards') : trans.__('chunks');
}

export function cellWords(cell: number, trans: TranslationBundle): string {
  switch (cell) {
    case CELL.missing:
      return trans.__('missing: comes as the fill value');
    case CELL.stored:
      return trans.__('stored');
    case CELL.touchedUnknown:
      return trans.__('touched');
    case CELL.touchedMissing:
      return trans.__('touched, missing: comes as the fill value');
    case CELL.touched:
      return trans.__('touched, stored');
    default:
      return trans.__('not known');
  }
}

/** Which cells the selection touches: where every axis says so. */
function touchedOf(map: ChunkMap): Uint8Array {
  if (map.touched === null) {
    return new Uint8Array(map.cell_count);
  }
  let mask = Uint8Array.of(map.touched_count > 0 ? 1 : 0);
  map.grid.forEach((length, axis) => {
    const bits = bytesOf(map.touched?.[axis] ?? '');
    const next = new Uint8Array(mask.length * length);
    mask.forEach((isTouched, at) => {
      for (let place = 0; isTouched && place < length; place += 1) {
        next[at * length + place] = bit(bits, place);
      }
    });
    mask = next;
  });
  return mask;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), char => char.charCodeAt(0));
}

function bit(bytes: Uint8Array, at: number): number {
  return ((bytes[at >> 3] ?? 0) >> (at & 7)) & 1;
}
