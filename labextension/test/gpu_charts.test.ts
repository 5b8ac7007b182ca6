import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { History } from '../src/api';
import { axisOf, chartsOf, hasValues } from '../src/gpu/dashboard/charts';
import { spanOf } from '../src/gpu/dashboard/ranges';
import {
  timelineOfHistory,
  timelineOfSamples
} from '../src/gpu/dashboard/timeline';
import { device, reading, sample, trans } from './helpers';

const CARD = device();
const SLICE = device({ uuid: 'M', name: 'MIG 1g.5gb', slice_of: 'A' });

test('samples become columns, a device that is silent a column of gaps', () => {
  const found = timelineOfSamples([sample(1), sample(2)], [CARD, SLICE], 1);
  assert.deepEqual(found.times, [1, 2]);
  assert.deepEqual(
    found.devices.map(({ label }) => label),
    ['GPU 0', 'MIG 1g.5gb']
  );
  assert.deepEqual(found.devices[0]?.memory_used_bytes, [14.9e9, 14.9e9]);
  assert.deepEqual(found.devices[1]?.temperature_celsius, [null, null]);
  assert.deepEqual(found.storage, [null, null]);
});

test('no line is drawn over a pause', () => {
  const found = timelineOfSamples(
    [sample(1), sample(7), sample(12)],
    [CARD],
    1
  );
  assert.deepEqual(found.times, [1, 3.5, 7, 12]);
  assert.deepEqual(found.devices[0]?.power_watts, [68, null, 68, 68]);
});

const HISTORY: History = {
  interval_seconds: 60,
  times: [0, 60, 120, 180],
  storage_bytes_per_second: [null, 1, 2, 3],
  devices: [
    {
      uuid: 'gone',
      name: 'NVIDIA T4',
      memory_total_bytes: 16e9,
      memory_used_bytes: [1, 2, null, 4],
      utilization_ratio: [0, 0, 0, 1],
      temperature_celsius: [40, 41, 42, 43],
      power_watts: [null, null, null, null]
    }
  ]
};

test('the end of the history is shown, also of a device that is gone', () => {
  const found = timelineOfHistory(HISTORY, [CARD], 100);
  assert.deepEqual(found.times, [120, 180]);
  assert.deepEqual(found.storage, [2, 3]);
  assert.equal(found.devices[0]?.label, 'NVIDIA T4');
  assert.deepEqual(found.devices[0]?.memory_used_bytes, [null, 4]);
  const empty = { ...HISTORY, times: [], devices: [] };
  assert.deepEqual(timelineOfHistory(empty, [CARD], 100).times, []);
});

test('a diagram with nothing to draw says why', () => {
  const now = reading({ unavailable: { power_watts: 'not supported' } });
  const timeline = timelineOfHistory(HISTORY, [CARD], 100);
  const charts = chartsOf(timeline, [device({ now })], trans);
  const power = charts.find(({ id }) => id === 'power_watts');
  assert.ok(power);
  assert.deepEqual(
    [hasValues(power), power.reason],
    [false, 'not known: not supported']
  );
  assert.deepEqual(
    charts.filter(hasValues).map(({ title }) => title),
    ['memory', 'busy', 'temperature', 'storage']
  );
});

test('the ninth line has the first colour, dashed', () => {
  const devices = Array.from({ length: 9 }, (_, index) =>
    device({ index, uuid: `u${index}` })
  );
  const [memory] = chartsOf(
    timelineOfSamples([sample(1)], devices, 1),
    devices,
    trans
  );
  const last = memory?.lines.at(-1);
  assert.deepEqual([last?.color, last?.isDashed], [0, true]);
});

test('the time axis goes back as far as the range and the points do', () => {
  assert.deepEqual(spanOf([0, 10_000], '1h'), [6400, 10_000]);
  assert.deepEqual(spanOf([9000, 10_000], '1h'), [9000, 10_000]);
  assert.deepEqual(spanOf([9990, 10_000], '1h'), [9640, 10_000]);
});

test('an axis begins at zero and has room for every value', () => {
  assert.deepEqual(axisOf(24e9, 15e9), [0, 24e9]);
  assert.deepEqual(axisOf(100, 110), [0, 121.00000000000001]);
  assert.deepEqual(axisOf(0, 10), [0, 11]);
  assert.deepEqual(axisOf(0, null), [0, 1]);
});
