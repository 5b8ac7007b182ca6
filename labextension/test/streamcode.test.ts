import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Plan, Tensor, TensorFile } from '../src/api';
import { datasetSource } from '../src/storage/datasetcode';
import type { Streamed } from '../src/storage/streamcode';
import { storeStream, streamSource } from '../src/storage/streamcode';
import { partStream } from '../src/tensors/inside/streampart';
import { sampleAxisOf, streamCode } from '../src/tensors/viewer/code';
import type { DatasetEntity } from '../src/tensors/viewer/contract';
import { windowOf } from '../src/tensors/viewer/window';

const PATH = { connection: 'era5', key: 'a/t2m.zarr/' };

function tensor(
  name: string,
  shape: readonly number[],
  dimensions: readonly (string | null)[] | null = null,
  change: Partial<Tensor> = {}
): Tensor {
  const size_bytes = shape.reduce((product, count) => product * count, 4);
  return { name, dtype: 'float32', shape, dimensions, size_bytes, ...change };
}

function file(...tensors: readonly Tensor[]): TensorFile {
  const size = tensors.reduce((sum, one) => sum + one.size_bytes, 0);
  return {
    ...{ url: 'era5://a/t2m.zarr', kind: 'zarr', size_bytes: size },
    ...{ tensor_count: tensors.length, tensor_bytes: size, tensors },
    ...{ metadata: {}, notes: [], requests: 2, bytes_read: 900 }
  };
}

const STREAMED: Streamed = {
  ...PATH,
  ...{ arrays: ['t2m'], sampleAxis: 'time', select: 'lat=60:30', raw: false },
  ...{ isAlone: false, sampleBytes: 100 }
};

const T2M = tensor('t2m', [48, 60, 120], ['time', 'lat', 'lon']);
const TIME = tensor('time', [48], ['time'], {
  units: 'hours since 2020-01-01'
});
const STORE = file(T2M, TIME, tensor('lat', [60], ['lat']));

test('a stream is written as a training goes on with it', () => {
  assert.equal(
    streamSource(STREAMED, []),
    [
      'import jupyter_gpu_ext as jg',
      '',
      'stream = (',
      '    jg.ZarrStream("era5://a/t2m.zarr", arrays=["t2m"], sample_axis="time", select="lat=60:30")',
      '    .shuffle(seed=0)',
      '    .batch(32)',
      '    .prefetch(2)',
      '    .to("auto")',
      ')',
      'for batch in stream:',
      '    print({name: tuple(one.shape) for name, one in batch.items()})',
      '    break'
    ].join('\n')
  );
});

test('a name is one string, of one array; the import stands once', () => {
  const above = ['x = 1', 'import torch\nimport jupyter_gpu_ext as jg'];
  const strange = { key: 'a "b"/', arrays: ['x[0]*'], raw: true };
  const lines = streamSource({ ...STREAMED, ...strange }, above).split('\n');
  assert.equal(lines[0], 'stream = (');
  assert.ok(lines[1]?.includes('ZarrStream("era5://a \\"b\\"", arrays='));
  assert.ok(lines[1]?.includes('arrays=["x[[]0][*]"]'));
  assert.ok(lines[1]?.endsWith('select="lat=60:30", raw=True)'));
});

test('an array that is the store gives tensors, no dicts', () => {
  const alone = { ...STREAMED, arrays: [], sampleAxis: 0, select: '' };
  const source = streamSource({ ...alone, isAlone: true }, []);
  assert.ok(source.includes('    jg.ZarrStream("era5://a/t2m.zarr")\n'));
  assert.ok(source.includes('print(tuple(batch.shape))'));
  // A group of this name may hold one array of the same.
  const unsure = streamSource({ ...alone, key: 't2m', isAlone: true }, []);
  assert.ok(unsure.includes('isinstance(batch, dict)'));
});

test('large samples come a few at a time', () => {
  const sizes: [number, number][] = [
    [0, 32],
    [8 << 20, 32],
    [9 << 20, 16],
    [2 ** 40, 1]
  ];
  for (const [sampleBytes, count] of sizes) {
    const source = streamSource({ ...STREAMED, sampleBytes }, []);
    assert.ok(source.includes(`    .batch(${count})\n`), source);
  }
});

test('of a store those arrays are streamed that belong together', () => {
  const mask = tensor('mask', [60, 120], ['lat', 'lon']);
  const text = tensor('text', [48], ['time'], { unreadable: 'text' });
  const short = tensor('short', [7, 3], ['time', 'x']);
  const bare = tensor('bare', [48, 2]);
  const table: [TensorFile, Partial<Streamed> | null][] = [
    [STORE, { arrays: [], sampleAxis: 'time' }],
    [file(T2M, TIME, mask), { arrays: [], sampleAxis: 'time' }],
    [file(T2M, mask, text), { arrays: ['t2m'], sampleAxis: 'time' }],
    [file(T2M, short), { arrays: ['t2m'], sampleAxis: 'time' }],
    [file(T2M, bare), { arrays: ['t2m'], sampleAxis: 'time' }],
    [file(bare, tensor('y', [48])), { arrays: [], sampleAxis: 0 }],
    [file(bare, tensor('y', [47])), { arrays: ['bare'], sampleAxis: 0 }],
    [file(TIME), { arrays: ['time'], sampleAxis: 'time' }],
    [file(tensor('t2m.zarr', [4])), { arrays: [], isAlone: true }],
    [file(tensor('one', [])), null],
    [file(), null]
  ];
  for (const [store, expected] of table) {
    const found = storeStream(PATH, store);
    const names = store.tensors.map(({ name }) => name).join();
    assert.deepEqual(found && { ...found, ...expected }, found, names);
    assert.equal(found === null, expected === null, names);
  }
});

test('of the selected arrays those are streamed that belong together', () => {
  const u10 = tensor('u10', [48, 60, 120], ['time', 'lat', 'lon']);
  const store = file(T2M, u10, TIME);
  const names = (...chosen: readonly Tensor[]) =>
    storeStream(PATH, store, chosen)?.arrays;
  assert.deepEqual(names(u10), ['u10']);
  assert.deepEqual(names(u10, TIME), ['u10']);
  assert.deepEqual(names(TIME), ['time']);
  assert.deepEqual(names(T2M, u10), ['t2m', 'u10']);
  // What was not looked into may hold more.
  const groups = [{ name: 'g', attributes: {}, unread: true }];
  const found = storeStream(PATH, { ...store, groups });
  assert.deepEqual(found?.arrays, ['t2m', 'u10']);
});

test('the samples of a part lie along the first axis that it leaves', () => {
  const plan = (...shape: readonly number[]) =>
    ({
      tensors: [tensor('t2m', shape)],
      bytes_on_device: 4e9
    }) as unknown as Plan;
  const table: [string, Plan | null, string | undefined][] = [
    ['', null, 'time'],
    ['0', null, 'lat'],
    ['0, 3:4', null, 'lat'],
    ['..., 0', null, 'time'],
    ['0, ..., 0', null, 'lat'],
    ['0, 0, 0', null, undefined],
    ['lat=60:30', null, 'time'],
    ['lat=60', null, 'time'],
    ['time=2020-01:', null, 'time'],
    // A date is an entry or a period: that is not known before the plan is.
    ['time=2020-01', null, undefined],
    ['time=2020-01', plan(31, 60, 120), 'time'],
    ['time=2020-01-01T12:30', plan(60, 120), 'lat'],
    ['time=2020-01, lat=60', plan(31, 120), 'time'],
    ['time=2020-01-01T12:30, lat=60', plan(120), 'lon']
  ];
  for (const [select, known, axis] of table) {
    const part = { select, plan: known, raw: false };
    const found = partStream(PATH, STORE, T2M, part);
    assert.equal(found?.sampleAxis, axis, select);
    assert.deepEqual(found?.arrays ?? ['t2m'], ['t2m'], select);
  }
  const sized = { select: '', plan: plan(40, 60, 120), raw: false };
  assert.equal(partStream(PATH, STORE, T2M, sized)?.sampleBytes, 1e8);
});

const ENTITY = {
  ...{ path: '/g/t2m', name: 't2m', kind: 'dataset', shape: [4, 3, 5] },
  ...{ chunks: [1, 3, 5], dimension_names: ['time', null, 'lon'] },
  size_bytes: 240
} as unknown as DatasetEntity;

test('what is seen is streamed as its part is typed, wherever the sliders are', () => {
  const seen = (select: string, slice: (number | null)[]) => {
    const window = windowOf(select, ENTITY.shape);
    const view = { entity: ENTITY, window, coordinates: [] };
    return {
      ...{ connection: 'era5', key: 't2m.zarr', view, select, slice },
      ...{ flips: [], isAlone: false }
    };
  };
  const argumentsOf = (select: string, slice: (number | null)[]) =>
    streamCode(seen(select, slice), [])?.match(/ZarrStream\((.*)\)/)?.[1];
  const store = '"era5://t2m.zarr", arrays=["g/t2m"]';
  assert.equal(
    argumentsOf('', [2, null, null]),
    `${store}, sample_axis="time"`
  );
  assert.equal(
    argumentsOf(' 1, ::2', [null, null]),
    `${store}, sample_axis=1, select="1, ::2"`
  );
  assert.equal(sampleAxisOf(seen('0, 0, 0', []).view), null);
  assert.equal(streamCode(seen('0, 0, 0', []), []), null);
  assert.equal(streamCode({ ...seen('', []), key: 'x.h5' }, []), null);
});

test('xarray opens groups whose arrays name their axes, zarr the others', () => {
  const lineOf = (...tensors: readonly Tensor[]) =>
    datasetSource(PATH, file(...tensors), [])
      .split('\n')
      .at(-1);
  assert.equal(
    lineOf(T2M, TIME, tensor('below/x', [3])),
    't2m = xr.open_zarr("era5://a/t2m.zarr/")'
  );
  const zarr = 't2m = zarr.open("era5://a/t2m.zarr/", mode="r")';
  assert.equal(lineOf(T2M, tensor('x', [3])), zarr);
  assert.equal(lineOf(tensor('t2m.zarr', [3], ['x'])), zarr);
});
