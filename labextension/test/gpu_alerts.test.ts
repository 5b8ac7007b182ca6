import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { GpuStatus } from '../src/api';
import type { AlertMemory } from '../src/gpu/alerts';
import { DEFAULT_THRESHOLDS, NOTHING_SAID, decide } from '../src/gpu/alerts';
import { alertText } from '../src/gpu/alerttext';
import { device, kernel, reading, status, trans } from './helpers';

/** What is said of statuses that come one after the other, at the given seconds. */
function said(...moments: (readonly [number, GpuStatus])[]): string[][] {
  let memory: AlertMemory = NOTHING_SAID;
  return moments.map(([now, found]) => {
    const decided = decide(found, memory, DEFAULT_THRESHOLDS, now);
    memory = decided.memory;
    return decided.alerts.map(({ kind, subject }) => `${kind} ${subject}`);
  });
}

const one = (change: Parameters<typeof reading>[0], more = {}) =>
  status({ devices: [device({ now: reading(change), ...more })] });
const FINE = one({});
const HOT = one({ temperature_celsius: 87 });

test('nothing is said of a device that is well, or of which nothing is known', () => {
  const blank = status({ devices: [device({ now: null })] });
  const silent = one({ temperature_celsius: null, memory_used_bytes: null });
  assert.deepEqual(said([0, FINE], [1, blank], [2, silent]), [[], [], []]);
});

test('a trouble is said when it begins, not at each sample', () => {
  assert.deepEqual(said([0, HOT], [1, HOT], [700, HOT]), [['hot A'], [], []]);
});

test('a trouble that comes and goes is said once in ten minutes', () => {
  assert.deepEqual(
    said([0, HOT], [10, FINE], [20, HOT], [30, FINE], [600, HOT]),
    [['hot A'], [], [], [], ['hot A']]
  );
});

test('each trouble has its limit', () => {
  const kinds = (found: GpuStatus) => said([0, found])[0];
  assert.deepEqual(kinds(one({ temperature_celsius: 86.9 })), []);
  assert.deepEqual(kinds(one({ throttled_by: ['overheating'] })), ['hot A']);
  assert.deepEqual(kinds(one({ throttled_by: ['power limit'] })), []);
  assert.deepEqual(kinds(one({ memory_used_bytes: 22.8e9 })), ['full A']);
  assert.deepEqual(kinds(one({ memory_used_bytes: 22.7e9 })), []);
  assert.deepEqual(kinds(one({ needs_reset: true })), ['reset A']);
  const shared = { shares_memory: true };
  assert.deepEqual(kinds(one({ memory_used_bytes: 23e9 }, shared)), []);
});

test('memory errors are said when their number grows, not when it is first seen', () => {
  const errors = (count: number | null) =>
    one({ ecc_uncorrected_count: count });
  assert.deepEqual(said([0, errors(3)], [1, errors(null)], [2, errors(4)]), [
    [],
    [],
    ['ecc A']
  ]);
});

const use = (bytes: number | null, uuid: string | null = 'A') => ({
  uuid,
  device: 'cuda:0',
  bytes,
  peak_bytes: null,
  cached_bytes: null,
  how: 'pid' as const
});

test('a notebook that idles on much memory is named once', () => {
  const idle = (seconds: number | null, bytes: number | null) =>
    status({
      kernels: [kernel({ idle_seconds: seconds, uses: [use(bytes)] })]
    });
  assert.deepEqual(
    said([0, idle(3599, 2e9)], [1, idle(3601, 2e9)], [5000, idle(8600, 2e9)]),
    [[], ['idle k'], []]
  );
  const kinds = (found: GpuStatus) => said([0, found])[0];
  assert.deepEqual(kinds(idle(9999, 1e9)), []);
  assert.deepEqual(kinds(idle(null, 2e9)), []);
  assert.deepEqual(kinds(idle(9999, null)), []);
  const onCpu = kernel({ idle_seconds: 9999, uses: [use(2e9, null)] });
  assert.deepEqual(kinds(status({ kernels: [onCpu] })), []);
});

test('every alert is a sentence that a notification has room for', () => {
  const many = status({
    devices: [
      device({
        now: reading({
          temperature_celsius: 91.4,
          memory_used_bytes: 23.9e9,
          needs_reset: true,
          ecc_uncorrected_count: 2
        })
      })
    ],
    kernels: [kernel({ idle_seconds: 7300, uses: [use(5.1e9)] })]
  });
  const memory = { ...NOTHING_SAID, errors: new Map([['A', 1]]) };
  const { alerts } = decide(many, memory, DEFAULT_THRESHOLDS, 0);
  const texts = alerts.map(alert => alertText(alert, trans));
  assert.deepEqual(texts, [
    'GPU 0 is hot (91 °C). It slows down when it gets hotter: check its cooling.',
    'GPU 0 memory is nearly full: 23.9 / 24.0 GB. Release what idle notebooks hold.',
    'GPU 0 had a memory error that could not be corrected: results may be wrong. Run the GPU doctor.',
    'GPU 0 must be reset to replace a row of broken memory. Save your work and restart the machine.',
    'train.ipynb holds 5.1 GB of GPU memory and has been idle for 2 h.'
  ]);
  assert.ok(texts.every(text => text.length <= 140));
});
