import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { KindsAnswer, KindsRequest, RowKind } from '../src/api';
import { Badges } from '../src/storage/badges';
import { badgeOf, isZarr } from '../src/storage/kinds';
import { readSource } from '../src/storage/readcode';
import type { Row } from '../src/storage/rows';
import { rowsOf } from '../src/storage/rows';
import * as tree from '../src/storage/state';
import { CONNECTION, entry, trans } from './helpers';

const ROOT = { connection: 'weights', prefix: '' };

/** The rows of a folder with these keys; the connection's own comes first. */
function rowsWith(...entries: ReturnType<typeof entry>[]): Row[] {
  const state = tree.withConnections(tree.EMPTY_TREE, [CONNECTION]);
  const open = tree.withExpanded(state, ROOT, true);
  return rowsOf(
    tree.withPage(open, ROOT, { entries, next_token: null }, false)
  );
}

interface IQuestion {
  readonly body: KindsRequest;
  readonly signal: AbortSignal;
  readonly answer: (answer: KindsAnswer) => Promise<void>;
  readonly fail: () => Promise<void>;
}

/** Let what was promised happen. */
const soon = () => new Promise<void>(done => setImmediate(done));

function asker() {
  const questions: IQuestion[] = [];
  let now = 0;
  let changes = 0;
  const kinds = (body: KindsRequest, signal: AbortSignal) =>
    new Promise<KindsAnswer>((resolve, reject) => {
      const fail = () => {
        reject(new Error('no reply'));
        return soon();
      };
      signal.addEventListener('abort', () => void fail());
      const answer = (found: KindsAnswer) => {
        resolve(found);
        return soon();
      };
      questions.push({ body, signal, answer, fail });
    });
  const badges = new Badges(
    { kinds },
    () => (changes += 1),
    () => now
  );
  badges.watch(true);
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { badges, questions, pass, changes: () => changes };
}

const keysOf = (question: IQuestion | undefined) =>
  question?.body.rows.map(row => row.key);

test('rows are asked for once scrolling rests, and once', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { badges, questions, changes } = asker();
  const rows = rowsWith(entry('run/'), entry('x.bin', { etag: '1' }));
  const [, run, notes] = rows;
  badges.seen([]);
  badges.seen(rows);
  t.mock.timers.tick(100);
  badges.seen(rows);
  t.mock.timers.tick(149);
  assert.equal(questions.length, 0);
  t.mock.timers.tick(1);
  assert.deepEqual(questions[0]?.body, {
    connection: 'weights',
    rows: [
      { key: 'run/', etag: null },
      { key: 'x.bin', etag: '1' }
    ]
  });
  await questions[0]?.answer({
    kinds: { 'run/': 'zarr3', 'x.bin': null },
    later: []
  });
  assert.equal(changes(), 1);
  assert.ok(run && notes);
  assert.equal(badges.kindOf(run), 'zarr3');
  assert.equal(badges.kindOf(notes), null);
  badges.seen(rows);
  t.mock.timers.tick(1000);
  assert.equal(questions.length, 1);
  const other = rowsWith(entry('x.bin', { etag: '2' }));
  badges.seen(other);
  t.mock.timers.tick(150);
  assert.deepEqual(keysOf(questions[1]), ['x.bin'], 'another version');
});

test('what can have no badge is not asked for', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { badges, questions } = asker();
  badges.seen(
    rowsWith(
      entry('gone', { unreadable: 'no' }),
      entry('old.pt', { tier: 'Archive' })
    )
  );
  t.mock.timers.tick(150);
  assert.equal(questions.length, 0);
});

test('a question holds fifty rows, and the next one the rest', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { badges, questions } = asker();
  const keys = Array.from({ length: 60 }, (_, at) => `f${at}/`);
  badges.seen(rowsWith(...keys.map(key => entry(key))));
  t.mock.timers.tick(150);
  assert.equal(questions[0]?.body.rows.length, 50);
  await questions[0]?.answer({ kinds: {}, later: keys.slice(0, 50) });
  assert.deepEqual(keysOf(questions[1]), keys.slice(50));
  await questions[1]?.answer({ kinds: {}, later: [] });
  const long = ['a', 'b'].map(name => entry(name + 'x'.repeat(15_000) + '/'));
  badges.seen(rowsWith(...long));
  t.mock.timers.tick(150);
  assert.equal(questions[2]?.body.rows.length, 1, 'as many as a body takes');
});

test('nothing is asked while nobody looks, or of a folder that was left', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { badges, questions } = asker();
  badges.watch(false);
  badges.seen(rowsWith(entry('a/')));
  t.mock.timers.tick(1000);
  assert.equal(questions.length, 0);
  badges.watch(true);
  t.mock.timers.tick(150);
  assert.deepEqual(keysOf(questions[0]), ['a/']);
  badges.seen(rowsWith(entry('a/'), entry('b/')));
  assert.equal(questions[0]?.signal.aborted, false, 'one of them still shows');
  badges.seen(rowsWith(entry('c/')));
  assert.equal(questions[0]?.signal.aborted, true);
  await soon();
  assert.equal(questions.length, 1, 'the next one waits for its rest');
  t.mock.timers.tick(150);
  assert.deepEqual(keysOf(questions[1]), ['c/']);
  badges.watch(false);
  assert.equal(questions[1]?.signal.aborted, true);
});

test('what was not known is asked again a minute later, a listing at once', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { badges, questions, pass } = asker();
  const rows = rowsWith(entry('a/'), entry('b/'), entry('c/'));
  const see = () => {
    badges.seen(rows);
    t.mock.timers.tick(150);
  };
  see();
  const kinds = { 'a/': 'sharded', 'b/': null, 'c/': null } as const;
  await questions[0]?.answer({ kinds, later: ['c/'] });
  see();
  assert.equal(questions.length, 1);
  pass(60_000);
  see();
  assert.deepEqual(keysOf(questions[1]), ['b/', 'c/']);
  await questions[1]?.fail();
  see();
  assert.equal(questions.length, 2, 'a failure is not asked again at once');
  badges.doubt(ROOT);
  assert.equal(rows[1] && badges.kindOf(rows[1]), 'sharded', 'it still shows');
  see();
  assert.deepEqual(keysOf(questions[2]), ['a/', 'b/', 'c/']);
});

test('a badge is a word; what is Zarr has the actions of a .zarr', () => {
  const words = (kind: RowKind) => badgeOf(kind, trans).text;
  assert.deepEqual(
    (['zarr2_group', 'zarr3', 'sharded', 'distributed', 'pt'] as const).map(
      words
    ),
    ['zarr', 'zarr', 'model', 'dcp', 'pt']
  );
  assert.ok(isZarr('run/', 'zarr3') && isZarr('t.zarr/', null));
  assert.ok(!isZarr('run/', 'sharded') && !isZarr('run/', null));
  const source = (kind: RowKind | null) =>
    readSource('xarray', 'w', 'run 3/', [], kind)?.split('\n').at(-1);
  assert.equal(source('zarr3'), 'run_3 = xr.open_zarr("w://run 3/")');
  assert.equal(source('zarr2_array'), undefined, 'xarray opens groups');
  assert.equal(source(null), undefined);
});
