import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ExportedJob, JobRun, Parameter } from '../src/export/contract';
import {
  EMPTY,
  accessWords,
  cellOf,
  isFlag,
  optionsOf,
  peakWords,
  runWords,
  shownDefault,
  withValue
} from '../src/export/form';
import { trans } from './helpers';

function parameter(change: Partial<Parameter> = {}): Parameter {
  return { name: 'lr', default: '0.001', annotation: '', help: '', ...change };
}

test('what is left as it was is not said', () => {
  assert.deepEqual(optionsOf(EMPTY), {
    code: 'configmap',
    gpus: 1,
    arguments: {},
    secrets: {}
  });
  const form = {
    ...EMPTY,
    image: 'named' as const,
    imageName: ' registry/x:1 ',
    serviceAccount: ' train ',
    secrets: { weights: ' s ', run7: ' ' }
  };
  assert.deepEqual(optionsOf(form), {
    code: 'configmap',
    gpus: 1,
    arguments: {},
    secrets: { weights: 's' },
    image: 'registry/x:1',
    service_account: 'train'
  });
  // A name that was typed counts only while it is chosen.
  assert.equal(optionsOf({ ...form, image: 'build' }).image, undefined);
  assert.equal(optionsOf({ ...form, image: 'build' }).code, 'image');
});

test('the own value of a notebook is no value that was given', () => {
  const given = withValue(EMPTY, parameter(), '3e-4');
  assert.deepEqual(given.values, { lr: '3e-4' });
  for (const own of ['', '  ', '0.001']) {
    assert.deepEqual(withValue(given, parameter(), own).values, {});
  }
  const text = parameter({ name: 'out', default: "'run7://m'" });
  assert.equal(shownDefault(text), 'run7://m');
  assert.deepEqual(withValue(EMPTY, text, 'run7://m').values, {});
  assert.equal(shownDefault(parameter({ default: "'a\\'b'" })), "'a\\'b'");
});

test('a flag is what the annotation or the value says', () => {
  assert.equal(isFlag(parameter({ annotation: 'bool' })), true);
  assert.equal(isFlag(parameter({ default: 'False' })), true);
  const any = parameter({ default: 'True', annotation: 'object' });
  assert.equal(isFlag(any), false);
});

test('a refusal names its cell, or none', () => {
  assert.equal(cellOf('Cell 12, line 1: %x has no translation.'), 12);
  assert.equal(cellOf('`x` is used in cell 3'), 3);
  assert.equal(cellOf('Cells cannot be read.'), null);
});

test('what is needed of a GPU follows from what was seen', () => {
  const job = { peak_bytes: 12e9, gpu_memory_bytes: 13.2e9 } as ExportedJob;
  assert.equal(peakWords(job, trans), 'peak seen 12.0 GB → ≥13.2 GB');
  assert.equal(
    peakWords({ ...job, gpu_memory_bytes: null }, trans),
    'peak seen 12.0 GB'
  );
  const none = { ...job, peak_bytes: null };
  assert.equal(peakWords(none, trans), 'no device memory seen: any GPU');
});

test('access is said in words', () => {
  const said = (reads: boolean, writes: boolean) =>
    accessWords({ reads, writes }, trans);
  assert.deepEqual(
    [said(true, false), said(false, true), said(true, true)],
    ['read', 'write', 'read, write']
  );
});

test('a run says how it is, and how it ended', () => {
  const run: JobRun = {
    id: 'x',
    folder: 'jobs/train',
    state: 'running',
    exit_code: null,
    started_at: 100,
    ended_at: null,
    log: '',
    tail: ''
  };
  const ended = { ...run, state: 'ended' as const, ended_at: 220 };
  const table: [JobRun, string][] = [
    [run, 'Running in the background, 50 s'],
    [{ ...ended, exit_code: 0 }, 'Done after 2 min 0 s'],
    [{ ...ended, exit_code: 143 }, 'Stopped after 2 min 0 s'],
    [{ ...ended, exit_code: 2 }, 'Failed with code 2 after 2 min 0 s'],
    [{ ...run, state: 'lost' }, 'It was killed; nobody saw how it ended']
  ];
  for (const [one, words] of table) {
    assert.equal(runWords(one, 150, trans), words);
  }
});
