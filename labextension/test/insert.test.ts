import assert from 'node:assert/strict';
import { test } from 'node:test';

import quoting from '../../tests/quoting.json';
import {
  fitsOnLine,
  loadLine,
  loadSource,
  quote,
  variableName
} from '../src/storage/insert';

test('every URL of the shared table is quoted as the tokenizer reads it', () => {
  assert.ok(quoting.length > 20);
  for (const { text, quoted } of quoting) {
    assert.equal(quote(text), quoted);
  }
});

test('a variable is named after the stem', () => {
  const table: [string, string][] = [
    ['resnet50.pth', 'resnet50'],
    ['runs/7/step100.safetensors', 'step100'],
    ['a b#c.pt', 'a_b_c'],
    ['1x.pt', '_1x'],
    ['12.pt', '_12_'],
    ['_1.pt', '_1_'],
    ['class.pt', 'class_'],
    ['model.v1.tar', 'model_v1'],
    ['.pt', '_pt'],
    ['größe.pt', 'größe'],
    ['---', 'value'],
    ['llama/', 'llama'],
    ['', 'value']
  ];
  for (const [key, name] of table) {
    assert.equal(variableName(key), name);
  }
});

test('the line names the connection, the key and the variable', () => {
  assert.equal(
    loadLine('weights', 'a b#c.pt'),
    '%load_blob "weights://a b#c.pt" -o a_b_c'
  );
});

test('%load_ext comes along only when no cell above has it', () => {
  const line = '%load_blob weights://m.pt -o m';
  const both = `%load_ext jupyter_gpu_ext\n${line}`;
  assert.equal(loadSource('weights', 'm.pt', []), both);
  assert.equal(
    loadSource('weights', 'm.pt', [
      'import torch\n  %load_ext  jupyter_gpu_ext'
    ]),
    line
  );
  assert.equal(
    loadSource('weights', 'm.pt', ['# %load_ext jupyter_gpu_ext']),
    both
  );
  assert.equal(
    loadSource('weights', 'm.pt', ['%load_ext jupyter_gpu_extra']),
    both
  );
});

test('a name with a line break fits on no magic line', () => {
  assert.ok(fitsOnLine('w://tab\there'));
  for (const mark of ['\n', '\r', '\v', '\x1c', '\x85', '\u2028']) {
    assert.ok(!fitsOnLine(`w://a${mark}b`));
  }
});
