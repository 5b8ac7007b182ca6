import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ChunkMap } from '../src/api';
import {
  CELL,
  cellAt,
  cellsOf,
  countsOf,
  layOut,
  mapWords,
  pixelsOf,
  placeOf
} from '../src/tensors/chunks/chunkmap';
import { trans } from './helpers';

/** Bits as the server packs them: the least significant first. */
function pack(bits: readonly number[]): string {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, at) => {
    bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (bit << (at & 7));
  });
  return btoa(String.fromCharCode(...bytes));
}

function map(change: Partial<ChunkMap> = {}): ChunkMap {
  return {
    shape: [40, 90],
    dimensions: ['y', null],
    cell_shape: [20, 10],
    chunk_shape: [20, 10],
    grid: [2, 9],
    cell_count: 18,
    stored: pack([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0]),
    stored_count: 16,
    complete: true,
    limit: { cells: 1_000_000, listed: 1_000_000 },
    touched: [pack([0, 1]), pack([1, 1, 0, 0, 0, 0, 0, 0, 0])],
    touched_count: 2,
    requests: 1,
    ...change
  };
}

test('cells are stored, missing, touched', () => {
  const cells = cellsOf(map());
  assert.ok(cells);
  assert.equal(cells[0], CELL.stored);
  assert.equal(cells[9], CELL.touched);
  assert.equal(cells[10], CELL.touchedMissing);
  assert.equal(cells[17], CELL.missing);
  const counts = countsOf(cells);
  assert.deepEqual(counts, {
    stored: 16,
    missing: 2,
    unknown: 0,
    touched: 2,
    touchedMissing: 1
  });
  assert.equal(
    mapWords(map(), counts, trans),
    '18 (2 × 9) chunks, 16 stored, 2 missing, 2 touched, 1 of them missing'
  );
});

test('what was not listed is unknown, and so is all where nobody may list', () => {
  const part = cellsOf(map({ complete: false }));
  assert.equal(part?.[17], CELL.unknown);
  const none = cellsOf(map({ stored: null }));
  assert.ok(none);
  assert.deepEqual(countsOf(none).unknown, 18);
  assert.equal(none[9], CELL.touchedUnknown);
  assert.equal(cellsOf(map({ stored: null, touched: null })), null);
});

test('an array without axes is one cell', () => {
  const scalar = map({
    shape: [],
    grid: [],
    cell_shape: [],
    chunk_shape: [],
    cell_count: 1,
    stored: pack([1]),
    touched: [],
    touched_count: 1
  });
  assert.deepEqual([...(cellsOf(scalar) ?? [])], [CELL.touched]);
  assert.deepEqual(placeOf([], 0), []);
});

test('a map fits its place, whatever the grid', () => {
  const grids = [[], [7], [1, 1], [1000], [2, 9], [438, 1, 1], [20, 30, 40]];
  for (const grid of [...grids, [1000, 1000], [1_000_000], [5000, 3]]) {
    const count = grid.reduce((product, one) => product * one, 1);
    const { columns, rows, pixels, cellsPerPixel } = layOut(grid, 400, 168);
    assert.ok(columns * pixels <= 400 && rows * pixels <= 168, String(grid));
    assert.ok(columns * rows * cellsPerPixel >= count, String(grid));
    assert.ok(pixels >= 1);
  }
  assert.deepEqual(layOut([4, 9], 400, 168).columns % 9, 0);
});

test('a point of the drawing is a cell', () => {
  const layout = { columns: 9, rows: 2, pixels: 10, cellsPerPixel: 1 };
  assert.equal(cellAt(layout, 18, 15, 12), 10);
  assert.equal(cellAt(layout, 18, 95, 12), null);
  assert.equal(cellAt(layout, 18, 5, 25), null);
  assert.deepEqual(placeOf([2, 9], 10), [1, 1]);
});

test('a million cells are drawn at once, and what is touched is seen', () => {
  const side = new Array<number>(1000).fill(0);
  const one = map({
    grid: [1000, 1000],
    cell_count: 1_000_000,
    stored: pack(new Array<number>(8).fill(1)),
    touched: [pack(side.with(999, 1)), pack(side.with(999, 1))],
    touched_count: 1
  });
  const begin = process.cpuUsage();
  const cells = cellsOf(one);
  assert.ok(cells);
  const pixels = pixelsOf(cells, layOut(one.grid, 400, 168));
  assert.equal(pixels.at(-1), CELL.touchedMissing);
  assert.ok(process.cpuUsage(begin).user < 3e6);
});
