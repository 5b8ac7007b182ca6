import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  foldShards,
  shardNumber,
  shardsBytes,
  shardsPattern
} from '../src/storage/shards';
import { entry } from './helpers';

const shard = (stem: string, n: number, of = 3, suffix = '.safetensors') =>
  entry(
    `llama/${stem}-${String(n).padStart(5, '0')}-of-${String(of).padStart(5, '0')}${suffix}`
  );

test('the shards of one model are one, where the first one was', () => {
  const entries = [
    entry('llama/config.json'),
    ...[1, 2, 3].map(n => shard('model', n)),
    entry('llama/z')
  ];
  const folded = foldShards(entries);
  assert.deepEqual(
    folded.map(item => item.kind),
    ['object', 'shards', 'object']
  );
  const group = folded[1];
  assert.ok(group?.kind === 'shards');
  assert.equal(group.stem, 'model');
  assert.equal(group.total, 3);
  assert.equal(shardsBytes(group), 30);
  assert.equal(shardsPattern(group), 'model-*-of-00003.safetensors');
  assert.deepEqual(group.entries.map(shardNumber), [1, 2, 3]);
});

test('two models, two formats and two sizes are apart', () => {
  const entries = [
    shard('a', 1),
    shard('a', 2),
    shard('b', 1),
    shard('b', 2),
    shard('a', 1, 4),
    shard('a', 2, 4),
    shard('a', 1, 3, '.bin'),
    shard('a', 2, 3, '.bin')
  ];
  assert.deepEqual(
    foldShards(entries).map(item => item.kind),
    ['shards', 'shards', 'shards', 'shards']
  );
});

test('a lone shard, a folder and a name that only looks so stay', () => {
  const entries = [
    shard('model', 1),
    entry('x-00001-of-00002.d/'),
    entry('x-00002-of-00002.d/'),
    entry('-00001-of-00002.pt'),
    entry('m-1-of-2.pt')
  ];
  assert.deepEqual(foldShards(entries), entries);
});

test('the same listing is folded once', () => {
  const entries = [shard('m', 1), shard('m', 2)];
  assert.equal(foldShards(entries), foldShards(entries));
});
