import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  KEPT_SAMPLES,
  busySeries,
  mergeSamples,
  sparkLines
} from '../src/gpu/samples';
import { statusText } from '../src/gpu/statustext';
import { streamFacts } from '../src/gpu/streams';
import {
  aliasOf,
  othersBytes,
  sharesOf,
  sharesOffCard
} from '../src/gpu/usage';
import { ApiError } from '../src/request';
import { kernel, sample, status, trans } from './helpers';

test('new samples are appended once', () => {
  const known = [sample(1), sample(2)];
  const merged = mergeSamples(known, {
    cursor: 3,
    samples: [sample(2), sample(3)]
  });
  assert.deepEqual(
    merged.map(s => s.cursor),
    [1, 2, 3]
  );
  assert.equal(mergeSamples(merged, { cursor: 3, samples: [] }), merged);
});

test('a cursor that went back is a new server', () => {
  const merged = mergeSamples([sample(90)], {
    cursor: 2,
    samples: [sample(2)]
  });
  assert.deepEqual(
    merged.map(s => s.cursor),
    [2]
  );
});

test('only the last ten minutes are kept', () => {
  const many = Array.from({ length: KEPT_SAMPLES + 5 }, (_, i) => sample(i));
  const merged = mergeSamples([], { cursor: 999, samples: many });
  assert.equal(merged.length, KEPT_SAMPLES);
  assert.equal(merged.at(-1)?.cursor, KEPT_SAMPLES + 4);
});

test('an unknown ratio is a gap, not a zero', () => {
  const samples = [sample(1, 0), sample(2, null), sample(3, 1)];
  assert.deepEqual(busySeries(samples, 'A', 2), [null, 1]);
  assert.deepEqual(busySeries(samples, 'B', 2), [null, null]);
  assert.deepEqual(sparkLines(busySeries(samples, 'A', 5), 5), [
    '2,1.000',
    '4,0.000'
  ]);
});

const held = (bytes: number, device = 'cuda:0', uuid: string | null = 'A') => ({
  device,
  uuid,
  bytes,
  peak_bytes: null,
  cached_bytes: null,
  how: 'report' as const
});

test('memory is shared out by notebook, the largest first', () => {
  const kernels = [
    kernel({ id: 'a', path: 'old.ipynb', uses: [held(5.1e9)] }),
    kernel({ id: 'b', uses: [held(9.4e9), held(1e6, 'cpu', null)] })
  ];
  const shares = sharesOf(kernels, 'A');
  assert.deepEqual(
    shares.map(s => s.path),
    ['train.ipynb', 'old.ipynb']
  );
  assert.equal(othersBytes(14.9e9, shares), 400_000_000);
  assert.equal(othersBytes(null, shares), null);
  assert.equal(othersBytes(1e9, shares), 0);
  assert.equal(aliasOf(shares, 'a')?.path, 'old.ipynb');
  assert.equal(aliasOf(shares, 'zzz'), undefined);
});

test('what lies on no card is listed apart', () => {
  const loads = [{ name: 'rn', url: 'w://rn.pt', device: 'cpu', bytes: 102e6 }];
  const use = kernel({ uses: [held(0), held(102e6, 'cpu', null)], loads });
  const shares = sharesOffCard(status({ kernels: [use] }));
  assert.deepEqual(
    shares.map(s => [s.device, s.bytes]),
    [['cpu', 102e6]]
  );
  assert.deepEqual(shares[0]?.loads, loads);
});

test('no load is lost when its device is told of elsewhere', () => {
  const loads = [{ name: 'rn', url: 'w://rn.pt', device: 'cpu', bytes: 102e6 }];
  const simulated = kernel({ uses: [held(102e6, 'simulated:0')], loads });
  assert.deepEqual(sharesOf([simulated], 'A')[0]?.loads, loads);
  const silent = kernel({ uses: [], loads });
  assert.deepEqual(
    sharesOffCard(status({ kernels: [silent] })).map(s => [s.device, s.bytes]),
    [['cpu', 102e6]]
  );
});

test('a stream says what kept it busy, and what it lost', () => {
  const idle = {
    url: 'era5://train.zarr/',
    samples_per_second: 3.14,
    wait_ratio: 0.4,
    network_ratio: 0.91,
    decode_ratio: 0.04,
    copy_ratio: 0.05,
    function_ratio: 0,
    lost_samples: 0,
    advice: ''
  };
  assert.equal(
    streamFacts(idle, trans),
    '3.1 samples/s · network 91 % · copies 5 %'
  );
  const losing = { ...idle, samples_per_second: 1234.5, lost_samples: 1 };
  assert.match(streamFacts(losing, trans), /^1235 .* 1 sample lost$/);
});

test('the status bar says the memory, or the state in words', () => {
  const say = (
    change: Parameters<typeof status>[0],
    problem: ApiError | null = null
  ) =>
    statusText(
      { status: status(change), samples: [sample(1)], problem },
      trans
    );
  assert.equal(say({}), 'GPU 14.9 / 24.0 GB');
  assert.equal(say({ simulated: true }), 'simulated GPU 14.9 / 24.0 GB');
  assert.equal(say({ state: 'blocked' }), 'GPU ok, sensors blocked');
  assert.equal(say({ state: 'no_gpu' }), 'no GPU');
  assert.equal(say({ state: 'broken' }), 'GPU driver broken');
  assert.equal(
    say({}, new ApiError(404, '', '', '')),
    'GPU: restart the server'
  );
  assert.equal(say({}, new ApiError(0, '', '', '')), 'GPU: no answer');
  assert.equal(
    say({}, new ApiError(500, 'internal', '', '')),
    'GPU: server error'
  );
  const device = status().devices[0];
  assert.ok(device);
  assert.equal(
    say({ devices: [device, { ...device, index: 1 }] }),
    '2 GPUs 29.8 / 48.0 GB'
  );
  assert.equal(say({ devices: [{ ...device, now: null }] }), 'GPU ok');
});
