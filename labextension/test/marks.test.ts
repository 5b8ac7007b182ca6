import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  NO_MARKS,
  between,
  bytesIn,
  isMarkable,
  keysIn,
  requestsOf,
  toggled
} from '../src/storage/marks';
import type { Row } from '../src/storage/rows';
import { rowsOf } from '../src/storage/rows';
import * as tree from '../src/storage/state';
import { CONNECTION, entry } from './helpers';

const ROOT = { connection: CONNECTION.name, prefix: '' };

function rows(): readonly Row[] {
  const shards = [1, 2].map(n => entry(`m-0000${n}-of-00002.safetensors`));
  const entries = [entry('a.pt'), entry('b/'), entry('c.pt'), ...shards];
  const page = { entries, next_token: null };
  const open = tree.withExpanded(
    tree.withConnections(tree.EMPTY_TREE, [CONNECTION]),
    ROOT,
    true
  );
  return rowsOf(tree.withPage(open, ROOT, page, false));
}

function at(index: number): Row {
  return rows()[index] ?? assert.fail();
}

test('the first mark brings the selected file along', () => {
  // weights, a.pt, b/, c.pt, the model
  const both = toggled(NO_MARKS, at(1), at(3));
  assert.deepEqual([...both], [at(1).id, at(3).id]);
  assert.deepEqual([...toggled(both, at(3), at(1))], [at(3).id]);
  assert.deepEqual([...toggled(NO_MARKS, at(0), at(3))], [at(3).id]);
  assert.equal(toggled(NO_MARKS, null, at(2)), NO_MARKS);
});

test('a reach marks the files between, either way', () => {
  const all = rows();
  const ids = [at(1).id, at(3).id, at(4).id];
  assert.deepEqual([...between(all, at(0).id, at(4).id)], ids);
  assert.deepEqual([...between(all, at(4).id, at(0).id)], ids);
  assert.equal(between(all, 'gone', at(1).id), NO_MARKS);
});

test('marked files are counted by key', () => {
  const marked = rows().filter(isMarkable);
  assert.equal(keysIn([...marked, ...marked]).length, 4);
  assert.equal(bytesIn(marked), 40);
});

test('a thousand keys, or fewer long ones, go with one request', () => {
  const sizes = (keys: string[]) => requestsOf(keys).map(part => part.length);
  assert.deepEqual(sizes([]), []);
  assert.deepEqual(sizes(Array(2500).fill('k')), [1000, 1000, 500]);
  const long = Array<string>(100).fill('ö'.repeat(500));
  const parts = requestsOf(long);
  assert.equal(parts.flat().length, 100);
  for (const part of parts) {
    assert.ok(new TextEncoder().encode(JSON.stringify(part)).length < 60_000);
  }
});
