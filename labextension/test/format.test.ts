import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  baseName,
  formatBytes,
  formatBytesOf,
  formatDay,
  formatDuration,
  formatRatio,
  formatShape,
  printable
} from '../src/format';

test('sizes have three digits at most and round as Python does', () => {
  const table: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [1250, '1.2 kB'],
    [1350, '1.4 kB'],
    [1750, '1.8 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [100_500, '100 kB'],
    [101_500, '102 kB'],
    [14_900_000_000, '14.9 GB'],
    [24e9, '24.0 GB'],
    [5e18, '5000 PB']
  ];
  for (const [size, text] of table) {
    assert.equal(formatBytes(size), text);
  }
});

test('a part is shown in the unit of its whole', () => {
  assert.equal(formatBytesOf(400e6, 24e9), '0.4 / 24.0 GB');
  assert.equal(formatBytesOf(0, 640), '0 / 640 B');
  assert.equal(formatBytesOf(79.6e9, 150e9), '79.6 / 150 GB');
});

test('durations fit on a line', () => {
  assert.equal(formatDuration(0.42), '0.4 s');
  assert.equal(formatDuration(59.6), '1 min 0 s');
  assert.equal(formatDuration(80), '1 min 20 s');
  assert.equal(formatDuration(7500), '2 h 5 min');
});

test('control and bidirectional characters are shown as escapes', () => {
  assert.equal(printable('ex\u202etxt.exe'), 'ex\\u202etxt.exe');
  assert.equal(printable('a\nb\tc\x07'), 'a\\nb\\tc\\x07');
  assert.equal(printable('\u{e0041}'), '\\U000e0041');
  assert.equal(printable('<b>größe 模型</b>'), '<b>größe 模型</b>');
});

test('small words', () => {
  assert.equal(baseName('a/b/train.ipynb'), 'train.ipynb');
  assert.equal(formatRatio(0.524), '52 %');
  assert.equal(formatShape([64, 3]), '64 × 3');
  assert.equal(formatShape([]), '·');
  assert.equal(formatDay('2026-08-01T12:00:00Z'), '2026-08-01');
  assert.equal(formatDay('yesterday'), '');
});
