import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ApiError } from '../src/request';
import {
  Kept,
  isTooLong,
  overviewSteps,
  strideBytes
} from '../src/tensors/viewer/budget';
import { canXarray, loadCode, xarrayCode } from '../src/tensors/viewer/code';
import type { DatasetEntity } from '../src/tensors/viewer/contract';
import { targetOf, tooLargeOf } from '../src/tensors/viewer/contract';
import { spanOf } from '../src/tensors/viewer/coordinates';
import { dateAxis, momentText } from '../src/tensors/viewer/dates';
import type { Decision, Question } from '../src/tensors/viewer/reading';
import { NotRead, ViewReader } from '../src/tensors/viewer/reading';
import type { ValueQuery } from '../src/tensors/viewer/requests';
import {
  PLOT,
  SIGNAL,
  VALUES,
  axisOf,
  isPicture,
  treeOf
} from '../src/tensors/viewer/tree';
import { flipped, numbersOf, pairsOf } from '../src/tensors/viewer/values';
import type { ArrayView, Coordinate } from '../src/tensors/viewer/view';
import { flipsOf, isAxis, placesOf } from '../src/tensors/viewer/view';
import {
  SelectionError,
  indexTerms,
  requestOf,
  sliceOf,
  thinned,
  wholeOf,
  windowOf
} from '../src/tensors/viewer/window';

const ENTITY: DatasetEntity = {
  path: '/g/t2m',
  name: 't2m',
  version: 'v1',
  attributes: [],
  kind: 'dataset',
  shape: [4, 3, 5],
  dtype: 'float32',
  value_dtype: '<f4',
  unreadable: '',
  time: false,
  units: 'K',
  long_name: '',
  chunks: [1, 3, 5],
  shards: null,
  dimension_names: ['time', 'lat', 'lon'],
  coordinates: [],
  north_up: true,
  size_bytes: 240
};
const DAY = 86_400_000;

function coordinate(
  axis: number,
  name: string,
  kind: Coordinate['kind'],
  values: number[]
): Coordinate {
  return {
    ...{ axis, name, kind, isDate: kind === 'time' },
    units: kind === 'time' ? '' : 'degrees_north',
    values: Float64Array.from(values)
  };
}

const VIEW: ArrayView = {
  entity: ENTITY,
  window: wholeOf(ENTITY.shape),
  coordinates: [
    coordinate(
      0,
      'time',
      'time',
      [0, 1, 2, 3].map(day => day * DAY)
    ),
    coordinate(1, 'lat', 'latitude', [60, 45, 30])
  ]
};
const NO_FLIPS = [false, false, false];

describe('the part that is shown', () => {
  it('is read as numpy reads it', () => {
    const whole = (count: number) => ({ start: 0, step: 1, count });
    assert.deepEqual(windowOf('', [4, 5]), [whole(4), whole(5)]);
    assert.deepEqual(windowOf('-1, 1:4', [4, 5]), [
      3,
      { start: 1, step: 1, count: 3 }
    ]);
    assert.deepEqual(windowOf('..., ::2', [4, 5]), [
      whole(4),
      { start: 0, step: 2, count: 3 }
    ]);
    assert.deepEqual(windowOf('2:99', [4]), [{ start: 2, step: 1, count: 2 }]);
  });

  for (const bad of [
    '9',
    'a',
    '1, 2, 3',
    '::0',
    '3:1',
    '..., ...',
    '1:2:3:4'
  ]) {
    it(`refuses ${bad}`, () => {
      assert.throws(() => windowOf(bad, [4, 5]), SelectionError);
    });
  }

  it('becomes a request for a slice', () => {
    const window = windowOf('0, 10:20, ::4', [3, 30, 40]);
    assert.deepEqual(requestOf(window, sliceOf('3,:', 2), [false, false]), {
      select: '0, 13, 0:37',
      stride: '4',
      shape: [10]
    });
    assert.deepEqual(sliceOf(undefined, 2), [null, null]);
    assert.deepEqual(sliceOf('2,1,:,:', 4), [2, 1, null, null]);
  });

  it('counts from the other end where an axis is turned', () => {
    const request = requestOf(wholeOf([4, 5]), [1, null], [true, false]);
    assert.equal(request.select, '2, 0:5');
  });

  it('is thinned out where it is looked at, and there only', () => {
    const window = thinned(wholeOf([6, 100, 90]), [2, null, null], [4, 1]);
    assert.deepEqual(window[0], { start: 0, step: 1, count: 6 });
    assert.deepEqual(window[1], { start: 0, step: 4, count: 25 });
    assert.deepEqual(
      indexTerms(window, [2, null, null], NO_FLIPS, [6, 100, 90]),
      ['2', '::4', ':']
    );
  });
});

describe('coordinates', () => {
  it('turn a map whose north is first', () => {
    assert.deepEqual(flipsOf(VIEW), [false, true, false]);
    assert.deepEqual([...(axisOf(VIEW, '/plot/axis1') ?? [])], [30, 45, 60]);
  });

  it('say where a slice is', () => {
    assert.deepEqual(placesOf(VIEW, [2, 0, null], flipsOf(VIEW)), [
      'time[2] = 1970-01-03',
      'lat[2] = 30°'
    ]);
    assert.deepEqual(placesOf(VIEW, [null, null, 3], NO_FLIPS), ['lon = 3']);
  });

  it('are axes only where they go one way', () => {
    assert.equal(isAxis(Float64Array.of(3, 2, 1)), true);
    assert.equal(isAxis(Float64Array.of(1, 2, 2)), false);
    assert.equal(isAxis(Float64Array.of(1, Number.NaN)), false);
    assert.equal(isAxis(Float64Array.of(7)), true);
  });

  it('find a label', () => {
    const all = Float64Array.of(60, 45, 30, 15);
    assert.deepEqual(spanOf(Float64Array.of(45, 30), all, 1), {
      start: 1,
      step: 1,
      count: 2
    });
    assert.equal(spanOf(Float64Array.of(30), all, 0), 2);
    assert.throws(() => spanOf(Float64Array.of(31), all, 0), SelectionError);
  });

  it('are dates in a unit with short numbers', () => {
    const days = (...some: number[]) => Float64Array.from(some, d => d * DAY);
    assert.deepEqual([...dateAxis(days(10, 11, 20)).values], [0, 1, 10]);
    assert.equal(dateAxis(days(10, 20)).unit, 'days since 1970-01-11');
    assert.equal(dateAxis(days(10, 10.5)).unit, 'hours since 1970-01-11');
    assert.deepEqual(
      [...dateAxis(days(0, 365, 2 * 365, 2922)).values],
      [1970, 1971, 1972, 1978]
    );
    assert.equal(momentText(DAY / 4), '1970-01-01 06:00');
    assert.equal(momentText(Number.NaN), 'no date');
  });
});

describe('the tree for the drawing library', () => {
  it('has the array over its axes, and by index', () => {
    const tree = treeOf(VIEW);
    assert.deepEqual(tree.get(PLOT)?.attributes, {
      NX_class: 'NXdata',
      signal: 'values',
      axes: ['axis0', 'axis1', 'axis2']
    });
    assert.deepEqual(tree.get(SIGNAL)?.attributes.long_name, 't2m (K)');
    assert.deepEqual((tree.get(VALUES)?.entity as { shape?: unknown }).shape, {
      class: 'Array',
      dims: [4, 3, 5]
    });
    assert.equal(
      tree.get('/plot/axis0')?.attributes.long_name,
      'time (days since 1970-01-01)'
    );
  });

  it('has no plot of a number', () => {
    const window = windowOf('0, 0, 0', ENTITY.shape);
    assert.equal(treeOf({ ...VIEW, window }).has(PLOT), false);
  });

  it('knows a picture', () => {
    const picture = { ...ENTITY, shape: [6, 9, 3], value_dtype: '|u1' };
    const view = (entity: DatasetEntity) => ({
      entity,
      window: wholeOf(entity.shape),
      coordinates: []
    });
    assert.equal(isPicture(view(picture)), true);
    assert.equal(isPicture(view({ ...picture, value_dtype: '<f4' })), false);
    assert.equal(treeOf(view(picture)).get(VALUES)?.attributes.CLASS, 'IMAGE');
  });
});

describe('values', () => {
  it('are read by numpy code', () => {
    const bytes = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]).buffer;
    assert.deepEqual([...numbersOf(bytes, '<i8')], [1n]);
    assert.deepEqual([...numbersOf(bytes, '<u4')], [1, 0]);
    assert.throws(() => numbersOf(bytes, '<U4'));
    assert.throws(() => numbersOf(bytes, '>f4'));
  });

  it('are turned along an axis', () => {
    const some = Float32Array.of(1, 2, 3, 4, 5, 6);
    assert.deepEqual(
      [...flipped(some, [3, 2], [true, false])],
      [5, 6, 3, 4, 1, 2]
    );
    assert.deepEqual(
      [...flipped(some, [3, 2], [true, true])],
      [6, 5, 4, 3, 2, 1]
    );
    const complex = flipped(some, [3], [true], 2);
    assert.deepEqual(pairsOf(complex), [
      [5, 6],
      [3, 4],
      [1, 2]
    ]);
  });

  it('are looked at in an overview that can be drawn', () => {
    assert.deepEqual(overviewSteps([20_000, 100], 4), [3, 1]);
    const steps = overviewSteps([30_000, 30_000], 8);
    assert.ok(strideBytes([30_000, 30_000], steps, 8) <= 64 * 2 ** 20);
    assert.equal(isTooLong([9000]), false);
    assert.equal(isTooLong([9000, 2]), true);
  });

  it('are forgotten, the oldest first', () => {
    const kept = new Kept<string>(10, (a, b) => a === b);
    assert.deepEqual([kept.use('a', 6), kept.use('b', 6)], [[], []]);
    kept.use('a', 0);
    assert.deepEqual(kept.use('c', 6), ['b']);
  });
});

describe('a read that is too large', () => {
  const details = {
    ...{ size_bytes: 144e6, most_bytes: 67e6, stride: [2, 2] },
    ...{ stride_bytes: 36e6, read_bytes: 144e6 }
  };
  const refused = new ApiError(413, 'too_large', 'much', '', details);

  async function read(decision: Decision) {
    const [asked, questions]: [ValueQuery[], Question[]] = [[], []];
    const reader = new ViewReader({
      ...{ key: 'k', version: 'v1', view: VIEW },
      api: {
        value: async query => {
          asked.push(query);
          if (query.mostBytes < details.size_bytes) {
            throw refused;
          }
          return { buffer: new ArrayBuffer(60), dtype: '<f4', shape: [3, 5] };
        }
      },
      ask: async question => {
        questions.push(question);
        return decision;
      }
    });
    const { signal } = new AbortController();
    const once = () => reader.read([0, null, null], NO_FLIPS, signal, () => {});
    return { asked, questions, once };
  }

  it('is asked about once, and then read', async () => {
    const { asked, questions, once } = await read('read');
    await once();
    await once();
    assert.equal(questions.length, 1);
    assert.deepEqual(questions[0]?.stride, [2, 2]);
    assert.deepEqual(
      asked.map(one => one.mostBytes),
      [64 * 2 ** 20, 144e6, 144e6]
    );
  });

  it('is not read where a person says no', async () => {
    const { asked, once } = await read('stop');
    await assert.rejects(once, NotRead);
    assert.equal(asked.length, 1);
  });

  it('proposes nothing where the server does not', () => {
    assert.equal(tooLargeOf({ size_bytes: 3 }), null);
  });
});

describe('the code for the notebook', () => {
  const seen = {
    ...{ connection: 'era5', key: 'a b.zarr/', view: VIEW, isAlone: false },
    ...{ select: '', slice: [1, null, null], flips: NO_FLIPS }
  };

  it('loads a part of a store', () => {
    assert.equal(
      loadCode(seen, ['%load_ext jupyter_gpu_ext']),
      '%load_blob "era5://a b.zarr/g/t2m" --select "1, :, :" -o t2m'
    );
  });

  it('loads a tensor of a file, and takes its part', () => {
    const entity = { ...ENTITY, path: '/a[0].w', name: 'a[0].w', chunks: null };
    const file = { ...seen, key: 'm.pt', view: { ...VIEW, entity } };
    assert.equal(
      loadCode(file, []),
      '%load_ext jupyter_gpu_ext\n%load_blob era5://m.pt --keys a[[]0].w -o m\na_0_ = m["a[0].w"][1, :, :]'
    );
  });

  it('loads an array that is a file, and takes its part', () => {
    const entity = { ...ENTITY, path: '/value', name: 'value', chunks: null };
    const file = { ...seen, key: 'x.npy', view: { ...VIEW, entity } };
    assert.equal(
      loadCode({ ...file, isAlone: true }, ['%load_ext jupyter_gpu_ext']),
      '%load_blob era5://x.npy -o x\nx = x[1, :, :]'
    );
  });

  it('reads a part by xarray', () => {
    const window = windowOf('::2, 1', ENTITY.shape);
    const view = { ...VIEW, window };
    assert.equal(
      xarrayCode({ ...seen, view, slice: [null, null] }, []),
      '%load_ext jupyter_gpu_ext\nimport xarray as xr\n\nt2m = xr.open_zarr("era5://a b.zarr/", group="g")["t2m"].isel(time=slice(None, None, 2), lat=1)'
    );
  });

  it('is for xarray where it opens the whole group', () => {
    const child = { name: 'x', path: '/x', dtype: 'f4', shape: [2] };
    const names = (dimension_names?: (string | null)[] | null) => [
      { ...child, kind: 'dataset' as const, dimension_names }
    ];
    assert.ok(canXarray(VIEW, 'a.zarr', false, names(['x'])));
    assert.ok(canXarray(VIEW, 'a.zarr', false, names()));
    assert.ok(!canXarray(VIEW, 'a.zarr', false, names([null])));
    assert.ok(!canXarray(VIEW, 'a.zarr', false, names(null)));
    assert.ok(!canXarray(VIEW, 'a.zarr', true));
    assert.ok(!canXarray(VIEW, 'a.h5', false));
  });

  it('is opened only by what says what to open', () => {
    assert.equal(targetOf({ connection: 'a', key: 3 }), null);
    assert.equal(targetOf(null), null);
    assert.deepEqual(targetOf({ connection: 'a', key: 'k' }), {
      ...{ connection: 'a', key: 'k', path: '', select: '' }
    });
  });
});
