import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as paths from '../src/storage/paths';

const path = (key: string, connection = 'weights') => ({ connection, key });

test('a pin is taken and given back, and is no longer recent', () => {
  const seen = paths.withRecent(paths.NO_PATHS, path('a'));
  const pinned = paths.togglePin(seen, path('a'));
  assert.deepEqual(pinned, { pinned: [path('a')], recent: [] });
  assert.ok(paths.isPinned(pinned, path('a')));
  assert.ok(!paths.isPinned(pinned, path('a', 'era5')));
  assert.deepEqual(paths.withRecent(pinned, path('a')), pinned);
  assert.deepEqual(paths.togglePin(pinned, path('a')), paths.NO_PATHS);
});

test('the latest is first, each once, and only a few', () => {
  const keys = ['a', 'b', 'a', 'c', 'd', 'e', 'f'];
  const seen = keys.reduce(
    (all, key) => paths.withRecent(all, path(key)),
    paths.NO_PATHS
  );
  assert.deepEqual(
    seen.recent.map(({ key }) => key),
    ['f', 'e', 'd', 'c']
  );
});

test('what a connection leaves behind goes with it', () => {
  const seen = paths.withRecent(
    paths.togglePin(paths.NO_PATHS, path('a')),
    path('t2m', 'era5')
  );
  assert.deepEqual(paths.withoutConnection(seen, 'weights'), {
    pinned: [],
    recent: [path('t2m', 'era5')]
  });
});

test('what was saved is taken for what it can be, and for no more', () => {
  for (const value of [undefined, null, 7, 'x', [], { pinned: { key: 'a' } }]) {
    assert.deepEqual(paths.pathsFrom(value), paths.NO_PATHS);
  }
  const link = 'https://a/?sig=secret';
  const saved = { pinned: [{ ...path('a'), link }, { key: 1 }, null] };
  assert.deepEqual(paths.pathsFrom(saved).pinned, [path('a')]);
});
