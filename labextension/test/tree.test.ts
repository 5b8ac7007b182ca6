import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../src/request';
import { stepFor } from '../src/storage/keys';
import { remaining, rowsOf } from '../src/storage/rows';
import * as tree from '../src/storage/state';
import { CONNECTION, entry } from './helpers';

const ROOT = { connection: 'weights', prefix: '' };
const LLAMA = { connection: 'weights', prefix: 'llama/' };

function opened(): tree.TreeState {
  const state = tree.withConnections(tree.EMPTY_TREE, [CONNECTION]);
  return tree.withExpanded(state, ROOT, true);
}

function listed(): tree.TreeState {
  const entries = [entry('llama/'), entry('resnet50.pth'), entry('rn.pth')];
  return tree.withPage(opened(), ROOT, { entries, next_token: null }, false);
}

const kinds = (state: tree.TreeState) => rowsOf(state).map(row => row.kind);

test('a closed connection is one row', () => {
  const state = tree.withConnections(tree.EMPTY_TREE, [CONNECTION]);
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
  const rows = rowsOf(tree.withPage(loading, ROOT, cut, false));
  assert.deepEqual(rows.at(-1), {
    id: 'note folder weights://',
    kind: 'more',
    level: 2,
    place: ROOT,
    shown: 1
  });
  assert.equal(rows[1] && 'siblings' in rows[1] && rows[1].siblings, -1);
});

test('a connection is told to have ended once, in its own row or below', () => {
  const ended = new ApiError(424, 'expired', 'The link expired.', '');
  const failed = tree.withProblem(opened(), ROOT, ended);
  const isTold = (state: tree.TreeState) => {
    const row = rowsOf(state)[0];
    return row?.kind === 'connection' && row.isTold;
  };
  assert.ok(isTold(failed));
  assert.ok(!isTold(tree.withExpanded(failed, ROOT, false)));
  assert.ok(!isTold(listed()));
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
  const asked = tree.withSelected(cut, rowsOf(cut).at(-1)?.id ?? null);
  const second = { entries: [entry('b'), entry('c')], next_token: 'u' };
  const state = tree.withPage(asked, ROOT, second, true);
  assert.equal(state.selected, rowsOf(state)[2]?.id);
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
  const rows = rowsOf(tree.withPage(opened(), ROOT, page, false));
  assert.equal(new Set(rows.map(row => row.id)).size, 3);
});

test('a narrowed folder says so, and keeps its rows until the reply', () => {
  const narrowed = tree.withSearch(listed(), ROOT, 'rn');
  assert.deepEqual(kinds(tree.withLoading(narrowed, ROOT)), [
    'connection',
    'narrowed',
    'folder',
    'object',
    'object'
  ]);
  const none = { entries: [], next_token: null };
  assert.deepEqual(kinds(tree.withPage(narrowed, ROOT, none, false)), [
    'connection',
    'narrowed'
  ]);
});

test('an entry that came to be stands where the listing has it', () => {
  const keys = (state: tree.TreeState) =>
    tree.folderAt(state, ROOT).entries.map(({ key }) => key);
  const added = tree.withEntry(listed(), ROOT, entry('model.pt'));
  assert.deepEqual(keys(added), [
    'llama/',
    'model.pt',
    'resnet50.pth',
    'rn.pth'
  ]);
  const again = tree.withEntry(added, ROOT, entry('rn.pth', { size_bytes: 7 }));
  assert.equal(tree.entryAt(again, ROOT, 'rn.pth')?.size_bytes, 7);
  assert.equal(keys(again).length, 4);
  const gone = tree.withoutEntries(again, ROOT, new Set(['llama/', 'rn.pth']));
  assert.deepEqual(keys(gone), ['model.pt', 'resnet50.pth']);
});

test('an entry beyond the page or the narrowing waits for its listing', () => {
  const cut = { entries: [entry('a')], next_token: 't' };
  const first = tree.withPage(opened(), ROOT, cut, false);
  assert.equal(tree.withEntry(first, ROOT, entry('z')), first);
  const narrowed = tree.withSearch(listed(), ROOT, 'rn');
  assert.equal(tree.withEntry(narrowed, ROOT, entry('model.pt')), narrowed);
});

test('a folder is found without its slash, an object before it', () => {
  assert.equal(tree.entryAt(listed(), ROOT, 'llama')?.key, 'llama/');
  const both = tree.withEntry(listed(), ROOT, entry('llama'));
  assert.equal(tree.entryAt(both, ROOT, 'llama')?.kind, 'object');
  assert.equal(tree.entryAt(both, ROOT, 'lla'), undefined);
});

test('what went wrong is said below its row until a refresh', () => {
  const id = rowsOf(listed())[2]?.id ?? '';
  const problem = new ApiError(424, 'denied', 'held', '');
  const state = tree.withTrouble(listed(), id, problem);
  assert.deepEqual(kinds(state).slice(2, 4), ['object', 'trouble']);
  assert.ok(!kinds(tree.withTrouble(state, id, null)).includes('trouble'));
  const fresh = tree.withConnections(state, [CONNECTION]);
  assert.ok(!kinds(fresh).includes('trouble'));
});

test('an opened model shows its shards', () => {
  const entries = [1, 2].map(n => entry(`m-0000${n}-of-00003.pt`));
  const page = { entries, next_token: null };
  const closed = tree.withPage(opened(), ROOT, page, false);
  assert.deepEqual(kinds(closed), ['connection', 'shards']);
  const open = tree.withOpen(closed, rowsOf(closed)[1]?.id ?? '', true);
  const shards = rowsOf(open).flatMap(row =>
    row.kind === 'object' ? [row.shard] : []
  );
  assert.deepEqual(shards, [
    [1, 3],
    [2, 3]
  ]);
});

test('where the selected row went, the one above it is selected', () => {
  const before = rowsOf(listed());
  const [root, folder, file] = before.map(row => row.id);
  assert.ok(root && folder && file);
  assert.equal(remaining(file, before, before), file);
  const gone = before.filter(row => row.id !== file);
  assert.equal(remaining(file, before, gone), folder);
  assert.equal(remaining(file, before, before.slice(0, 1)), root);
  assert.equal(remaining(null, before, gone), null);
});

test('5,000 entries become rows quickly', () => {
  const entries = Array.from({ length: 5000 }, (_, i) => entry(`f${i}`));
  const page = { entries, next_token: null };
  assert.equal(rowsOf(tree.withPage(opened(), ROOT, page, false)).length, 5001);
});

test('the keyboard walks as the ARIA tree pattern says', () => {
  const page = { entries: [entry('llama/x')], next_token: null };
  const open = tree.withExpanded(listed(), LLAMA, true);
  // weights, llama/, llama/x, resnet50.pth, rn.pth
  const rows = rowsOf(tree.withPage(open, LLAMA, page, false));
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
  assert.equal(to('/', 0), 'find');
  assert.equal(to(' ', 3), 'mark');
  assert.equal(to('Delete', 3), 'remove');
  assert.equal(to('F2', 3), 'rename');
  assert.equal(to('Delete', -1), null);
  assert.equal(to('Tab', 0), null);
});

test('left on a closed root stays', () => {
  const state = tree.withConnections(tree.EMPTY_TREE, [CONNECTION]);
  const rows = rowsOf(state);
  assert.equal(stepFor('ArrowLeft', rows, 0), null);
  assert.deepEqual(stepFor('ArrowRight', rows, 0), { kind: 'toggle' });
});
