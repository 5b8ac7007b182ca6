import assert from 'node:assert/strict';
import { test } from 'node:test';

import { detailOf, progressOf, ratioOf } from '../src/tensors/progressdata';
import { trans } from './helpers';

const RUNNING = {
  title: 'model.safetensors',
  done_bytes: 9.4e9,
  total_bytes: 26e9,
  rate_bytes_per_second: 310e6,
  eta_seconds: 80,
  stage: 'network',
  state: 'running',
  message: 'the same in words'
};

test('a running load says how far, how fast and how long', () => {
  const progress = progressOf(RUNNING);
  assert.equal(
    detailOf(progress, trans),
    'reading · 9.4 / 26.0 GB · 310 MB/s · 1 min 20 s left'
  );
  assert.equal(ratioOf(progress).toFixed(3), '0.362');
});

test('what is unknown is left out', () => {
  const early = { ...RUNNING, rate_bytes_per_second: null, eta_seconds: null };
  assert.equal(detailOf(progressOf(early), trans), 'reading · 9.4 / 26.0 GB');
});

test('an end says its message, or its state', () => {
  const done = { ...RUNNING, state: 'done', done_bytes: 26e9, message: '' };
  assert.equal(detailOf(progressOf(done), trans), 'done · 26.0 / 26.0 GB');
  const told = { ...done, message: 'model = 291 tensors on cuda:0' };
  assert.equal(
    detailOf(progressOf(told), trans),
    'model = 291 tensors on cuda:0'
  );
  const stopped = { ...RUNNING, state: 'cancelled', message: 'cancelled' };
  assert.equal(
    detailOf(progressOf(stopped), trans),
    'cancelled · 9.4 / 26.0 GB'
  );
});

test('a bundle from a strange notebook is taken for what it can be', () => {
  for (const value of [null, 7, 'x', [], { done_bytes: 'NaN', state: {} }]) {
    const progress = progressOf(value);
    assert.equal(progress.state, 'failed');
    assert.equal(ratioOf(progress), 0);
  }
  assert.equal(ratioOf(progressOf({ state: 'done' })), 1);
  assert.equal(
    ratioOf(progressOf({ state: 'running', done_bytes: 9, total_bytes: 1 })),
    1
  );
});
