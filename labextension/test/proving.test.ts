import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ExportedJob, JobProof, Parameter } from '../src/export/contract';
import { EMPTY } from '../src/export/form';
import {
  proofTime,
  proofValues,
  proofWords,
  suggestedWith
} from '../src/export/proving';
import { trans } from './helpers';

function job(...parameters: readonly [string, string, string?][]): ExportedJob {
  const made = parameters.map(([name, text, annotation = '']): Parameter => ({
    ...{ name, default: text, annotation, help: '' }
  }));
  return { parameters: made } as unknown as ExportedJob;
}

const JOB = job(['lr', '0.001'], ['steps', '2000'], ['layers', '[1, 2]']);

function values(text: string, of = JOB) {
  return proofValues(of, { ...EMPTY, proveWith: text }, trans);
}

test('the first length of a training is shortened, and never made longer', () => {
  const table: [ExportedJob, string][] = [
    [JOB, 'steps=5'],
    [job(['steps', '3']), 'steps=3'],
    [job(['max_steps', '1_000']), 'max_steps=5'],
    [job(['num_epochs', '10', 'int']), 'num_epochs=1'],
    [job(['iterations', '10'], ['steps', '20']), 'iterations=5'],
    // None of these says how long it is, or is a whole number above zero.
    [job(['warmup_steps', '100'], ['steps_per_log', '10']), ''],
    [job(['steps', "'all'"], ['epochs', '1.5'], ['iters', '0']), ''],
    [job(['steps', '10', 'float'], ['epochs', '-1']), ''],
    [job(), '']
  ];
  for (const [one, words] of table) {
    assert.equal(suggestedWith(one, EMPTY), words);
  }
  const typed = { ...EMPTY, values: { steps: '2' } };
  assert.equal(suggestedWith(JOB, typed), 'steps=2');
});

test('what is typed for the proof goes over the parameters of the job', () => {
  const form = { ...EMPTY, values: { lr: '0.1', steps: '100' } };
  assert.deepEqual(proofValues(JOB, form, trans).values, {
    lr: '0.1',
    steps: '5'
  });
  assert.deepEqual(
    proofValues(JOB, { ...form, proveWith: '' }, trans).values,
    form.values
  );
});

test('pairs stand apart by spaces or commas, and values may hold both', () => {
  for (const text of [
    'steps=5 lr=1e-2',
    ' steps=5,lr=1e-2, ',
    'steps = 5,\tlr= 1e-2'
  ]) {
    assert.deepEqual(values(text), {
      values: { steps: '5', lr: '1e-2' },
      problem: ''
    });
  }
  assert.deepEqual(values('layers=[3, 4] steps=1').values, {
    layers: '[3, 4]',
    steps: '1'
  });
});

test('what cannot be asked is one sentence', () => {
  const table: [string, string][] = [
    ['step=5', 'step is no parameter. There are: lr, steps, layers'],
    ['steps=many', 'steps takes a whole number'],
    ['steps=5 lr', 'steps takes a whole number'],
    ['steps', 'steps gives no value. For example steps=5 lr=0.1'],
    ['steps=', 'steps= gives no value. For example steps=5 lr=0.1'],
    ['=5', '=5 gives no value. For example steps=5 lr=0.1']
  ];
  for (const [text, problem] of table) {
    assert.deepEqual(values(text), { values: {}, problem });
  }
  assert.match(values('a=1', job()).problem, /no cell is tagged/);
  assert.equal(values('', job()).problem, '');
});

test('a proof says how it is', () => {
  const proof: JobProof = {
    id: 'x',
    folder: 'jobs/train',
    state: 'running',
    phase: 'running the script',
    started_at: 100,
    ended_at: null,
    title: '',
    code: '',
    message: '',
    hint: '',
    differs: [],
    report: 'jobs/train/proof/report.md'
  };
  assert.equal(proofWords(proof, trans), 'Running the script');
  assert.equal(proofTime(proof, 112), '12 s');
  const holds = { ...proof, state: 'holds' as const, title: 'The same.' };
  assert.equal(proofWords(holds, trans), 'The same.');
  assert.equal(proofTime({ ...holds, ended_at: 175 }, 999), '1 min 15 s');
  const stopped = { ...proof, state: 'stopped' as const };
  assert.equal(proofWords(stopped, trans), 'The proof was stopped');
});
