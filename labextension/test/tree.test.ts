import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Connection } from '../src/api';
import { ApiError } from '../src/request';
import { stepFor } from '../src/storage/keys';
import * as tree from '../src/storage/state';
import { entry } from './helpers';

const ROOT = { connection: 'weights', prefix: '' };
const LLAMA = { connection: 'weights', prefix: 'llama/' };

const connection: Connection = {
  name: 'weights',
  root: 'az://models',
  identity: 'account key of mystorage',
  read_only: true,
  problem: null
};

function opened(): tree.TreeState {
  const state = tree.withConnections(tree.EMPTY_TREE, [connection]);
  return tree.withExpanded(state, ROOT, true);
}

function listed(): tree.TreeState {
  const entries = [entry('llama/'), entry('resnet50.pth'), entry('rn.pth')];
  return tree.withPage(opened(), ROOT, { entries, next_token: null }, false);
}

const kinds = (state: tree.TreeState) =>
  tree.rowsOf(state).map(row => row.kind);

test('a closed connection is one row', () => {
  const state = tree.withConnections(tree.EMPTY_TREE, [connection]);
  assert.deepEqual(kinds(state), ['connection']);
});

test('a folder says that it is loading, empty, failed or cut', () => {
  const loading = tree.withLoading(opened(), ROOT);
  assert.deepEqual(kinds(loading), ['connection', 'loading']);
  const empty = { entries: [], next_token: null };
  assert.deepEqual(kinds(tree.withPage(loading, ROOT, empty, false)), [
    'connection',
    'empty'
  ]);
  const refused = new ApiError(424, 'denied', 'no', '');
  assert.deepEqual(kinds(tree.withProblem(loading, ROOT, refused)), [
    'connection',
    'failed'
  ]);
  const cut = { entries: [entry('a')], next_token: 't' };
  const rows = tree.rowsOf(tree.withPage(loading, ROOT, cut, false));
  assert.deepEqual(rows.at(-1), {
    id: 'note folder weights://',
    kind: 'more',
    level: 2,
    place: ROOT,
    shown: 1
  });
  assert.equal(rows[1] && 'siblings' in rows[1] && rows[1].siblings, -1);
});

test('the next page continues a folder, a first page replaces it', () => {
  const first = { entries: [entry('a')], next_token: 't' };
  const second = { entries: [entry('b')], next_token: null };
  const cut = tree.withPage(opened(), ROOT, first, false);
  assert.deepEqual(kinds(tree.withPage(cut, ROOT, second, true)), [
    'connection',
    'object',
    'object'
  ]);
  assert.deepEqual(kinds(tree.withPage(cut, ROOT, second, false)), [
    'connection',
    'object'
  ]);
});

test('asking for more by the keyboard goes on at the first new row', () => {
  const first = { entries: [entry('a')], next_token: 't' };
  const cut = tree.withPage(opened(), ROOT, first, false);
  const asked = tree.withSelected(cut, tree.rowsOf(cut).at(-1)?.id ?? null);
  const second = { entries: [entry('b'), entry('c')], next_token: 'u' };
  const state = tree.withPage(asked, ROOT, second, true);
  assert.equal(state.selected, tree.rowsOf(state)[2]?.id);
});

test('a failed next page keeps what was shown', () => {
  const first = { entries: [entry('a')], next_token: 't' };
  const cut = tree.withPage(opened(), ROOT, first, false);
  const failed = tree.withProblem(cut, ROOT, new ApiError(504, '', '', ''));
  assert.deepEqual(kinds(failed), ['connection', 'object', 'failed']);
  assert.equal(tree.folderAt(failed, ROOT).nextToken, 't');
});

test('a refresh keeps rows in place and forgets closed folders', () => {
  const open = tree.withLoading(listed(), ROOT);
  assert.deepEqual(kinds(open), ['connection', 'folder', 'object', 'object']);
  const page = { entries: [entry('llama/x')], next_token: null };
  const inner = tree.withPage(open, LLAMA, page, false);
  assert.equal(tree.withoutClosedFolders(inner).folders.size, 1);
});

test('a folder and an object of one key are two rows', () => {
  const entries = [entry('a/'), entry('a/', { kind: 'object' })];
  const page = { entries, next_token: null };
  const rows = tree.rowsOf(tree.withPage(opened(), ROOT, page, false));
  assert.equal(new Set(rows.map(row => row.id)).size, 3);
});

test('5,000 entries become rows quickly', () => {
  const entries = Array.from({ length: 5000 }, (_, i) => entry(`f${i}`));
  const page = { entries, next_token: null };
  assert.equal(
    tree.rowsOf(tree.withPage(opened(), ROOT, page, false)).length,
    5001
  );
});

test('the keyboard walks as the ARIA tree pattern says', () => {
  const page = { entries: [entry('llama/x')], next_token: null };
  const open = tree.withExpanded(listed(), LLAMA, true);
  // weights, llama/, llama/x, resnet50.pth, rn.pth
  const rows = tree.rowsOf(tree.withPage(open, LLAMA, page, false));
  const to = (key: string, at: number) => {
    const step = stepFor(key, rows, at);
    return step?.kind === 'move' ? step.to : (step?.kind ?? null);
  };
  assert.equal(to('ArrowDown', -1), 0);
  assert.equal(to('ArrowDown', 4), 4);
  assert.equal(to('ArrowUp', 0), 0);
  assert.equal(to('Home', 3), 0);
  assert.equal(to('End', 0), 4);
  assert.equal(to('ArrowRight', 1), 2);
  assert.equal(to('ArrowRight', 2), null);
  assert.equal(to('ArrowLeft', 2), 1);
  assert.equal(to('ArrowLeft', 1), 'toggle');
  assert.equal(to('Enter', 3), 'activate');
  assert.equal(to('Enter', -1), null);
  assert.equal(to('r', 0), 3);
  assert.equal(to('R', 3), 4);
  assert.equal(to('r', 4), 3);
  assert.equal(to('z', 0), null);
  assert.equal(to('Tab', 0), null);
});

test('left on a closed root stays', () => {
  const state = tree.withConnections(tree.EMPTY_TREE, [connection]);
  const rows = tree.rowsOf(state);
  assert.equal(stepFor('ArrowLeft', rows, 0), null);
  assert.deepEqual(stepFor('ArrowRight', rows, 0), { kind: 'toggle' });
});
