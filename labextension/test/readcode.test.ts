import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LOAD_EXT_LINE } from '../src/storage/insert';
import { mayHoldTensors } from '../src/storage/look';
import { pythonLiteral, readSource } from '../src/storage/readcode';

const above = [LOAD_EXT_LINE];

test('a library reads the kinds it knows, by name-URL', () => {
  const table: ['pandas' | 'xarray', string, string | undefined][] = [
    ['pandas', 'x.parquet', 'x = pd.read_parquet("w://x.parquet")'],
    ['pandas', 'a/t b.csv.gz', 't_b_csv = pd.read_csv("w://a/t b.csv.gz")'],
    ['pandas', 'l.jsonl', 'l = pd.read_json("w://l.jsonl", lines=True)'],
    ['pandas', 'm.pt', undefined],
    ['xarray', 't2m.zarr/', 't2m = xr.open_zarr("w://t2m.zarr/")'],
    ['xarray', 'a.nc', 'a = xr.open_dataset(fsspec.open("w://a.nc").open())'],
    ['xarray', 'a.csv', undefined]
  ];
  for (const [reader, key, line] of table) {
    const source = readSource(reader, 'w', key, above);
    assert.equal(source?.split('\n').at(-1), line);
  }
});

test('the extension comes first, for it makes names into protocols', () => {
  assert.equal(
    readSource('pandas', 'w', 'x.csv', []),
    `${LOAD_EXT_LINE}\nimport pandas as pd\n\nx = pd.read_csv("w://x.csv")`
  );
});

test('a name is one Python string, its marks visible', () => {
  assert.equal(pythonLiteral('a"b\\c'), '"a\\"b\\\\c"');
  assert.equal(pythonLiteral('line\nbreak'), '"line\\nbreak"');
  assert.equal(pythonLiteral('ex\u202etxt'), '"ex\\u202etxt"');
});

test('a name may rule tensors out, never in', () => {
  for (const name of ['t.csv', 'README.md', 'x.PNG', 'a.parquet']) {
    assert.ok(!mayHoldTensors(name));
  }
  for (const name of ['m.pt', 'pytorch_model.bin', 'noextension', 'a.svg']) {
    assert.ok(mayHoldTensors(name));
  }
});
