import assert from 'node:assert/strict';
import { test } from 'node:test';

import { folderOf, nameOf, stepsTo, targetOf } from '../src/storage/target';

const NAMES = ['weights', 'era5'];

test('a connected name is a path, whatever its key holds', () => {
  const table: [string, string][] = [
    ['weights://', ''],
    ['weights://llama/', 'llama/'],
    ['weights://a b#c?sig=1.pt', 'a b#c?sig=1.pt'],
    ['  weights://x ', 'x '],
    ['weights://line\nbreak.pt', 'line\nbreak.pt'],
    ['weights://az://x', 'az://x']
  ];
  for (const [text, key] of table) {
    assert.deepEqual(targetOf(text, NAMES), {
      kind: 'path',
      connection: 'weights',
      key
    });
  }
});

test('all else is a link, which the server knows or refuses', () => {
  for (const link of [
    'az://models/prod',
    's3://bucket',
    'https://a.blob.core.windows.net/c?sig=x',
    'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b==',
    '/mnt/data',
    'weight://x',
    'WEIGHTS://x'
  ]) {
    assert.deepEqual(targetOf(` ${link} `, NAMES), { kind: 'link', link });
  }
  assert.equal(targetOf('  ', NAMES), null);
});

test('the way to a key goes folder by folder', () => {
  assert.deepEqual(stepsTo(''), []);
  assert.deepEqual(stepsTo('a'), [['', 'a']]);
  assert.deepEqual(stepsTo('a/'), [['', 'a/']]);
  assert.deepEqual(stepsTo('a/b/c.pt'), [
    ['', 'a/'],
    ['a/', 'a/b/'],
    ['a/b/', 'a/b/c.pt']
  ]);
  assert.deepEqual(stepsTo('a//b'), [
    ['', 'a/'],
    ['a/', 'a//'],
    ['a//', 'a//b']
  ]);
});

test('a key has a folder and a name', () => {
  assert.equal(folderOf('a/b.pt'), 'a/');
  assert.equal(folderOf('a/'), 'a/');
  assert.equal(folderOf('b.pt'), '');
  assert.equal(nameOf('a/b.pt'), 'b.pt');
  assert.equal(nameOf('a/b/'), 'b');
  assert.equal(nameOf(''), '');
});
