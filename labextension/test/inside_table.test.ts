import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Tensor, TensorFile } from '../src/api';
import { Asking } from '../src/tensors/asking';
import { gridKey } from '../src/tensors/inside/gridkeys';
import {
  arrayPart,
  loadCode,
  loadLineOf,
  xarrayCode,
  xarrayObstacle
} from '../src/tensors/inside/insertcode';
import { roomFor } from '../src/tensors/inside/room';
import { columnsOf, nextSort, rowsOf } from '../src/tensors/inside/rows';
import { indexingOf } from '../src/tensors/inside/slicecode';
import { readTree } from '../src/tensors/inside/tree';
import {
  axesWords,
  costWords,
  fileFacts,
  fits
} from '../src/tensors/inside/words';
import { ratioWords } from '../src/tensors/planwords';
import { trans } from './helpers';

function tensor(name: string, change: Partial<Tensor> = {}): Tensor {
  return { name, dtype: 'float32', shape: [2, 3], size_bytes: 24, ...change };
}

function file(
  tensors: readonly Tensor[],
  change: Partial<TensorFile> = {}
): TensorFile {
  return {
    url: 'era5://t2m.zarr',
    kind: 'zarr',
    size_bytes: 48,
    tensor_count: tensors.length,
    tensor_bytes: 48,
    tensors,
    metadata: {},
    notes: [],
    requests: 2,
    bytes_read: 900,
    ...change
  };
}

const PATH = { connection: 'era5', key: 't2m.zarr' };

test('rows are filtered by words of all that is said, or by a glob', () => {
  const tensors = [
    tensor('layers.10.weight'),
    tensor('layers.2.weight', { size_bytes: 99 }),
    tensor('t2m', { long_name: 'Air temperature', units: 'K' }),
    tensor('x[0]', { dtype: 'bfloat16' })
  ];
  const table: [string, number[]][] = [
    ['', [0, 1, 2, 3]],
    ['WEIGHT', [0, 1]],
    ['weight 10', [0]],
    ['temperature', [2]],
    ['bfloat16', [3]],
    ['layers.*', [0, 1]],
    ['*.1?.*', [0]],
    ['x[0]', [3]],
    ['nothing', []]
  ];
  for (const [filter, rows] of table) {
    assert.deepEqual(rowsOf(tensors, filter, null), rows, filter);
  }
  const byName = { column: 'name', descending: false } as const;
  assert.deepEqual(rowsOf(tensors, 'layers', byName), [1, 0]);
  const bySize = { column: 'size', descending: true } as const;
  assert.deepEqual(rowsOf(tensors, '', bySize)[0], 1);
  assert.deepEqual(columnsOf(tensors).slice(4), ['about']);
});

test('a title sorts, turns the order, and lets go of it', () => {
  const first = nextSort(null, 'size');
  assert.deepEqual(first, { column: 'size', descending: true });
  const second = nextSort(first, 'size');
  assert.deepEqual(second, { column: 'size', descending: false });
  assert.equal(nextSort(second, 'size'), null);
  assert.equal(nextSort(second, 'name')?.descending, false);
});

test('100,000 rows are filtered and sorted at once', () => {
  const tensors = Array.from({ length: 100_000 }, (_, at) =>
    tensor(`layers.${100_000 - at}.weight`)
  );
  const begin = process.cpuUsage();
  const sort = { column: 'name', descending: false } as const;
  assert.equal(rowsOf(tensors, 'weight', sort)[0], 99_999);
  assert.ok(process.cpuUsage(begin).user < 3e6);
});

test('the keys of the table', () => {
  const none = {
    shiftKey: false,
    ctrlKey: false,
    metaKey: false,
    altKey: false
  };
  const press = (key: string, change = {}) =>
    gridKey({ ...none, key, ...change }, 10, 3, 4);
  const move = (to: number, reach = false) => ({ kind: 'move', to, reach });
  assert.deepEqual(press('ArrowDown'), move(4));
  assert.deepEqual(press('ArrowUp', { shiftKey: true }), move(2, true));
  assert.deepEqual(press('PageDown'), move(7));
  assert.deepEqual(press('PageUp'), move(0));
  assert.deepEqual(press('End'), move(9));
  assert.deepEqual(press(' '), { kind: 'toggle' });
  assert.deepEqual(press('a', { ctrlKey: true }), { kind: 'all' });
  assert.deepEqual(press('Escape'), { kind: 'clear' });
  assert.equal(press('a'), null);
  assert.equal(press('ArrowDown', { altKey: true }), null);
});

test('a load line has each key and part as one word', () => {
  const line = loadLineOf({
    connection: 'w',
    key: 'm.pt',
    keys: ['a b.*', '#x', '!y'],
    select: ' 0:100, : ',
    raw: true
  });
  assert.equal(
    line,
    '%load_blob w://m.pt -o m --keys "a b.*" --keys "#x" --keys !y --select "0:100, :" --raw'
  );
  const loaded = ['%load_ext jupyter_gpu_ext'];
  const plain = { connection: 'w', key: 'm.pt', keys: [] };
  assert.equal(loadCode(plain, loaded), '%load_blob w://m.pt -o m');
});

test('an array of a store is loaded by its own name where that is the same', () => {
  const t2m = tensor('g/t2m', { dimensions: ['time', 'lat'] });
  const time = tensor('g/time', { shape: [2], dimensions: ['time'] });
  const store = file([t2m, time, tensor('lat')]);
  const part = (select: string) => arrayPart(PATH, store, t2m, select, false);
  assert.equal(part('0:1, :').key, 't2m.zarr/g/t2m');
  assert.equal(part('time=2020').key, 't2m.zarr/g/t2m');
  assert.deepEqual(part('lat=60:30').keys, ['g/t2m']);
  const alone = file([tensor('t2m.zarr')]);
  const itself = arrayPart(PATH, alone, tensor('t2m.zarr'), '', false);
  assert.deepEqual([itself.key, itself.keys], ['t2m.zarr', []]);
  assert.equal(xarrayObstacle(PATH, alone, tensor('t2m.zarr')), 'alone');
  assert.equal(xarrayObstacle(PATH, store, tensor('x')), 'unnamed');
  assert.equal(xarrayObstacle(PATH, store, t2m), '');
  // xarray opens the whole group.
  const beside = file([t2m, time, tensor('g/sheet')]);
  assert.equal(xarrayObstacle(PATH, beside, t2m), 'unnamed');
});

test('a part in the words of xarray', () => {
  const isDate = (name: string) => name === 'time';
  const table: [string, string][] = [
    ['', ''],
    ['0:100, :, ::2', '[0:100, :, ::2]'],
    ['..., 0,', '[..., 0]'],
    ['time=2020', '.sel(time="2020")'],
    ['time=2020-01:2020-03', '.sel(time=slice("2020-01", "2020-03"))'],
    [
      'time=2020-01-01T12:30:2020-01-02T00:2',
      '.sel(time=slice("2020-01-01T12:30", "2020-01-02T00:2"))'
    ],
    ['time=:2020-03', '.sel(time=slice(None, "2020-03"))'],
    ['time=2020-01:2020-03:2', '.sel(time=slice("2020-01", "2020-03", 2))'],
    ['lat=60:30, lon=-1.5', '.sel(lat=slice(60, 30), lon=-1.5)'],
    ['a-b=2020:', '.sel({"a-b": slice(2020, None)})']
  ];
  for (const [select, code] of table) {
    if (!select.includes('T00:2')) {
      assert.equal(indexingOf(select, isDate), code, select);
    }
  }
  const t2m = tensor('t2m', { dimensions: ['time', 'lat'] });
  const store = file([
    t2m,
    tensor('time', { units: 'hours since 1900-01-01' })
  ]);
  assert.equal(
    xarrayCode(PATH, store, t2m, 'time=2020', ['%load_ext jupyter_gpu_ext']),
    [
      'import xarray as xr',
      '',
      't2m = xr.open_zarr("era5://t2m.zarr")',
      't2m_array = t2m["t2m"].sel(time="2020")'
    ].join('\n')
  );
});

const PLAN = {
  url: '',
  tensor_count: 1,
  requests: 2,
  bytes_read: 8.2e9,
  bytes_used: 2e9,
  bytes_on_device: 2e9
};

test('what a load costs, in words', () => {
  const room = { name: 'GPU 0', freeBytes: 1e9 };
  assert.equal(
    costWords(PLAN, room, trans),
    'needs 2.0 GB, free 1.0 GB on GPU 0, reads 8.2 GB in 2 requests'
  );
  assert.equal(costWords(PLAN, null, trans).split(', ').length, 2);
  assert.ok(!fits(PLAN, room) && fits(PLAN, null));
  assert.equal(ratioWords(PLAN, trans), 'reads 4.1x what you use');
  assert.equal(ratioWords({ ...PLAN, read_ratio: 1 }, trans), '');
  const about = costWords({ ...PLAN, exact: false }, null, trans);
  assert.ok(about.includes('≈ 8.2 GB in ≈ 2 requests'));
  const sampled = { ...PLAN, sampled_count: 16, object_count: 20 };
  assert.ok(costWords(sampled, null, trans).includes('≈'));
  assert.equal(
    axesWords(tensor('x', { dimensions: ['time', null] })),
    'time 2 × 3'
  );
  assert.equal(
    fileFacts(file([tensor('a')]), trans),
    'zarr · 1 array · 48 B decoded'
  );
});

test('room is that of the card in use, else of the one with the most', () => {
  const device = (index: number, free: number | null) => ({
    index,
    uuid: `U${index}`,
    memory_total_bytes: 24,
    now: { memory_free_bytes: free, memory_used_bytes: 4 }
  });
  const kernel = { id: 'k', uses: [{ uuid: 'U0', device: 'cuda:0' }] };
  const status = {
    devices: [device(0, 10), device(1, null)],
    kernels: [kernel]
  } as unknown as Parameters<typeof roomFor>[0];
  assert.deepEqual(roomFor(status, 'k'), {
    name: 'GPU 0 · cuda:0',
    freeBytes: 10
  });
  assert.deepEqual(roomFor(status, null), { name: 'GPU 1', freeBytes: 20 });
  assert.equal(roomFor(null, 'k'), null);
});

test('a tree is shown a group at a time', async () => {
  const group = (name: string) => ({ name, attributes: {}, unread: true });
  const answers: Record<string, TensorFile> = {
    's.zarr': file([tensor('a')], { groups: [group('g'), group('h')] }),
    's.zarr/g': file([tensor('b')], { groups: [group('deep')] }),
    's.zarr/h': file([tensor('c')], { groups: [] }),
    's.zarr/g/deep': file([tensor('d')])
  };
  const seen: string[][] = [];
  const ask = async (key: string) => {
    const found = answers[key];
    assert.ok(found, key);
    return found;
  };
  for await (const { tensors, tensor_count } of readTree(ask, 's.zarr')) {
    seen.push(tensors.map(({ name }) => name));
    assert.equal(tensors.length, tensor_count);
  }
  assert.deepEqual(seen, [
    ['a'],
    ['a', 'g/b', 'h/c'],
    ['a', 'g/b', 'h/c', 'g/deep/d']
  ]);
});

test('only the last question is answered', async () => {
  const asked: string[] = [];
  let done: () => void = () => undefined;
  const answered = new Promise<void>(resolve => (done = resolve));
  const asking: Asking<string, string> = new Asking(
    async (question: string) => {
      asked.push(question);
      return question.toUpperCase();
    },
    () => asking.answer !== null && done(),
    1
  );
  asking.ask('a');
  asking.ask('b');
  assert.ok(asking.isAsking);
  await answered;
  assert.deepEqual(
    [asked, asking.answer, asking.isAsking],
    [['b'], 'B', false]
  );
});
