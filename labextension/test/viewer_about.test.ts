import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ChunkMap, Plan } from '../src/api';
import { ApiError } from '../src/request';
import { cellsOf, countsOf } from '../src/tensors/chunks/chunkmap';
import type { Entries } from '../src/tensors/chunks/touch';
import { touching } from '../src/tensors/chunks/touch';
import { beginningOf } from '../src/tensors/pairs';
import { asideWords, ratioText } from '../src/tensors/planwords';
import type { Subject } from '../src/tensors/viewer/about';
import { About, subjectOf } from '../src/tensors/viewer/about';
import type { Seen } from '../src/tensors/viewer/code';
import { canSample, loadCode, sampleCode } from '../src/tensors/viewer/code';
import type { DatasetEntity } from '../src/tensors/viewer/contract';
import { seenOf, windowOf } from '../src/tensors/viewer/window';
import { trans } from './helpers';

const ENTITY: DatasetEntity = {
  path: '/g/t2m',
  name: 't2m',
  version: 'v1',
  attributes: [{ name: 'units', dtype: 'str', shape: [] }],
  kind: 'dataset',
  shape: [40, 90],
  dtype: 'float32',
  value_dtype: '<f4',
  unreadable: '',
  time: false,
  units: 'K',
  long_name: '',
  chunks: [20, 10],
  shards: null,
  dimension_names: null,
  coordinates: [],
  north_up: null,
  size_bytes: 14400
};
const EXT = ['%load_ext jupyter_gpu_ext'];

function seen(key: string, select: string, change: Partial<Seen> = {}): Seen {
  const entity =
    /\.(npy|npz|pt|safetensors)$/.test(key) || key === 'folder/'
      ? { ...ENTITY, path: '/a[0].w', name: 'a[0].w', chunks: null }
      : ENTITY;
  const window = windowOf(select, entity.shape);
  const slice = window.flatMap(span =>
    typeof span === 'number' ? [] : [null]
  );
  const view = { entity, window, coordinates: [] };
  const isAlone = key.endsWith('.npy');
  return {
    ...{ connection: 'era5', key, view, select, slice, flips: [], isAlone },
    ...change
  };
}

describe('a sample of what is seen', () => {
  const table: readonly (readonly [string, Seen, string | null])[] = [
    [
      'a part of a store',
      seen('t2m.zarr', '1, ::4'),
      'era5://t2m.zarr ./t2m.zarr --keys g/t2m --select "1, ::4"'
    ],
    [
      // Without a selection it would be the first chunk.
      'all of an array',
      seen('t2m.zarr/', ''),
      'era5://t2m.zarr ./t2m.zarr --keys g/t2m --select ":, :"'
    ],
    [
      'an array that is the store',
      seen('a/2 m $t;.zarr', '0:2', { isAlone: true }),
      '"era5://a/2 m $$t;.zarr" ./2_m_t_.zarr --select "0:2, :"'
    ],
    [
      'a store whose name is no name of a file',
      seen('..', '0'),
      'era5://.. ./sample.zarr --keys g/t2m --select "0, :"'
    ],
    [
      'an array that is a file',
      seen('x.npy', '1'),
      'era5://x.npy ./x.zarr --select "1, :"'
    ],
    [
      'an array of a file',
      seen('x.npz', '1'),
      'era5://x.npz ./x.zarr --keys a[[]0].w --select "1, :"'
    ],
    [
      'a tensor, of which there are no parts',
      seen('m.safetensors', '1'),
      'era5://m.safetensors ./m.safetensors --keys a[[]0].w'
    ],
    ['a tensor of a file without samples', seen('m.pt', '1'), null],
    ['a tensor of a folder of files', seen('folder/', '1'), null]
  ];
  for (const [name, one, rest] of table) {
    it(`is of ${name}`, () => {
      const line = rest === null ? null : `%blob sample ${rest}`;
      assert.equal(sampleCode(one, EXT), line);
      assert.equal(canSample(one.view, one.key), line !== null);
    });
  }

  it('needs the extension, as a load does', () => {
    const one = seen('t2m.zarr', '1');
    for (const code of [sampleCode(one, []), loadCode(one, [])]) {
      assert.ok(code?.startsWith('%load_ext jupyter_gpu_ext\n%'));
    }
  });
});

const MAP: ChunkMap = {
  shape: [40, 90],
  dimensions: null,
  cell_shape: [20, 10],
  chunk_shape: [20, 10],
  grid: [2, 9],
  cell_count: 18,
  stored: btoa('\xff\xff\x01'),
  stored_count: 17,
  complete: true,
  limit: { cells: 1_000_000, listed: 1_000_000 },
  touched: [btoa('\x03'), btoa('\xff\x01')],
  touched_count: 18,
  requests: 1
};

/** The cells that are touched, in order. */
function touched(map: ChunkMap, part: readonly Entries[]): number[] {
  const cells = cellsOf(touching(map, part)) ?? new Uint8Array();
  return [...cells].flatMap((cell, at) => (cell > 2 ? [at] : []));
}

describe('the chunks that are touched', () => {
  const all = { start: 0, step: 1, count: 90 };

  it('are those of what is seen', () => {
    const window = windowOf('', [40, 90]);
    const part = seenOf(window, [21, null], [false, false]);
    assert.deepEqual(part, [21, all]);
    assert.deepEqual(touched(MAP, part), [9, 10, 11, 12, 13, 14, 15, 16, 17]);
    assert.equal(touching(MAP, part).touched_count, 9);
    const cells = cellsOf(touching(MAP, part));
    assert.equal(cells && countsOf(cells).touchedMissing, 1);
    assert.deepEqual(seenOf(window, [0, 3], [true, false]), [39, 3]);
  });

  it('leave out what a step leaps over', () => {
    assert.deepEqual(
      touched(MAP, [0, { start: 5, step: 30, count: 3 }]),
      [0, 3, 6]
    );
    assert.deepEqual(
      touched(MAP, [0, { start: 9, step: 2, count: 2 }]),
      [0, 1]
    );
  });

  it('are counted, too, where there are too many for a map', () => {
    const map = { ...MAP, touched: null, stored: null };
    const found = touching(map, [0, all]);
    assert.deepEqual([found.touched, found.touched_count], [null, 9]);
  });

  it('stay those of the server for another array', () => {
    assert.equal(touching(MAP, [0]), MAP);
  });

  it('are followed among a million', () => {
    const map: ChunkMap = {
      ...{ ...MAP, grid: [1000, 1000], cell_count: 1_000_000 },
      ...{ shape: [20_000, 10_000], stored: btoa('\xff'.repeat(125_000)) }
    };
    const cells = cellsOf(
      touching(map, [7, { start: 0, step: 1, count: 10_000 }])
    );
    assert.equal(cells && countsOf(cells).touched, 1000);
  });
});

describe('what is told of an array', () => {
  const PLAN = { requests: 1, bytes_read: 60, bytes_used: 10 } as Plan;

  /** What is told, and what was asked for it, in order. */
  function about() {
    const asked: string[] = [];
    const answer = async <T>(what: string, value: T) => {
      asked.push(what);
      return value;
    };
    const model = new About(
      {
        tensorPlan: ({ key, select }) => answer(`plan ${key} ${select}`, PLAN),
        tensorChunks: ({ key }) => answer(`chunks ${key}`, MAP)
      },
      {
        attributes: (_, path, { version }) =>
          answer(`attributes ${path} ${version}`, { units: 'K' })
      },
      't2m.zarr',
      1
    );
    const settled = () =>
      new Promise<void>(resolve => {
        const look = () => {
          const { plan, chunks, attributes } = model;
          const isBusy = [plan, chunks, attributes].some(one => one.isAsking);
          setTimeout(isBusy ? look : resolve, 1);
        };
        look();
      });
    return { model, asked, settled };
  }

  const subject = (select: string, isKnown = true): Subject =>
    subjectOf(ENTITY, seen('t2m.zarr', select), isKnown);

  it('is the plan alone, as long as nothing is opened', async () => {
    const { model, asked, settled } = about();
    model.follow(subject('0', false));
    model.follow(subject('1'));
    model.follow(subject('2'));
    model.follow(subject('2'));
    await settled();
    model.follow(subject('2'));
    assert.deepEqual(asked, ['plan t2m.zarr/g/t2m 2, :']);
    assert.equal(model.plan.answer, PLAN);
  });

  it('is asked for again where it was taken back, and only there', async () => {
    const { model, asked, settled } = about();
    model.follow(subject('1'));
    model.follow(null);
    await settled();
    assert.deepEqual(asked, []);
    model.follow(subject('1'));
    await settled();
    model.follow(null);
    model.follow(subject('1'));
    await settled();
    assert.deepEqual(asked, ['plan t2m.zarr/g/t2m 1, :']);
  });

  it('is more once a section is open; its chunks are asked for once', async () => {
    const { model, asked, settled } = about();
    model.toggle('chunks');
    model.toggle('attributes');
    model.follow(subject('1'));
    await settled();
    model.follow(subject('2'));
    await settled();
    assert.deepEqual(asked, [
      'plan t2m.zarr/g/t2m 1, :',
      'chunks t2m.zarr/g/t2m',
      'attributes /g/t2m v1',
      'plan t2m.zarr/g/t2m 2, :'
    ]);
    model.toggle('chunks');
    model.toggle('chunks');
    await settled();
    assert.equal(asked.at(-1), 'chunks t2m.zarr/g/t2m');
  });

  it('is nothing of the array before', async () => {
    const { model, settled } = about();
    model.follow(subject('1'));
    await settled();
    model.follow({ ...subject('1', false), name: '/other v1' });
    assert.equal(model.plan.answer, null);
  });

  it('has no plan of what is no Zarr array, and no attributes of what has none', () => {
    const file = subjectOf(
      { ...ENTITY, attributes: [] },
      seen('x.npy', ''),
      true
    );
    assert.deepEqual(
      [file.plan, file.chunks, file.attributes],
      [null, null, null]
    );
  });

  it('keeps quiet of a plan that failed', async () => {
    const problem = new ApiError(500, 'internal', 'no', '');
    const fail = () => Promise.reject(problem);
    const model = new About(
      { tensorPlan: fail, tensorChunks: fail },
      { attributes: fail },
      't2m.zarr',
      1
    );
    const failed = new Promise<void>(resolve =>
      model.stateChanged.connect(() => model.plan.problem && resolve())
    );
    model.follow(subject('1'));
    await failed;
    assert.equal(model.plan.answer, null);
  });

  it('is in words', () => {
    assert.equal(ratioText(PLAN), '6.0');
    assert.equal(ratioText({ ...PLAN, bytes_read: 11 }), '');
    const price = { amount: 0.01234, currency: 'USD' };
    assert.equal(
      asideWords({ ...PLAN, missing_count: 3, price }, trans),
      '3 chunks missing · 0.012 USD'
    );
    assert.equal(asideWords(PLAN, trans), '');
    assert.equal(beginningOf('a🙂b', 2), 'a🙂');
    assert.equal(beginningOf('ab', 2), 'ab');
  });
});
