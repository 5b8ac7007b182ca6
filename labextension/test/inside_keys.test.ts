import assert from 'node:assert/strict';
import { test } from 'node:test';

import { exactGlob, globPattern, isGlob } from '../src/tensors/glob';
import { keysFor } from '../src/tensors/inside/selectkeys';

test('globs go by the rules of fnmatch', () => {
  const table: [string, string, boolean][] = [
    ['*', '', true],
    ['a*', 'a.b.c', true],
    ['a?c', 'a.c', true],
    ['a.c', 'abc', false],
    ['A*', 'abc', false],
    ['layer[0-3]', 'layer2', true],
    ['layer[0-3]', 'layer4', false],
    ['[!0]x', '1x', true],
    ['[!0]x', '0x', false],
    ['[]]', ']', true],
    ['[[]', '[', true],
    ['a[b', 'a[b', true],
    ['[^a]', '^', true],
    ['[^a]', 'b', false],
    ['[b-a]', 'a', false],
    ['*.weight', 'a\n.weight', true],
    ['{a}$', '{a}$', true]
  ];
  for (const [glob, name, matches] of table) {
    assert.equal(globPattern(glob).test(name), matches, `${glob} ~ ${name}`);
  }
  assert.ok(isGlob('a[0]') && isGlob('*') && !isGlob('a.b'));
});

test('an exact glob matches its name and stays on one line', () => {
  for (const name of ['a*b', 'a[0].b', 'x?', '[!]', 'a\nb', 'plain.name']) {
    assert.ok(globPattern(exactGlob(name)).test(name), name);
    assert.ok(!exactGlob(name).includes('\n'));
  }
  assert.ok(!globPattern(exactGlob('a*b')).test('axb'));
});

const LAYERS = [0, 1, 2, 10].flatMap(layer =>
  ['attn.q', 'attn.k', 'mlp.up'].flatMap(part =>
    ['weight', 'bias'].map(kind => `model.layers.${layer}.${part}.${kind}`)
  )
);
const MODEL = ['embed.weight', ...LAYERS, 'norm.weight', 'lm_head.weight'];

function keysOf(names: readonly string[], isWanted: (name: string) => boolean) {
  const chosen = names.flatMap((name, at) => (isWanted(name) ? [at] : []));
  return keysFor(names, new Set(chosen), true);
}

test('a selection is few globs', () => {
  const table: [(name: string) => boolean, string[]][] = [
    [() => true, []],
    [name => name.startsWith('model.layers.1.'), ['model.layers.1.*']],
    [name => name.startsWith('model.'), ['model.*']],
    [name => name.endsWith('.bias'), ['*.bias']],
    [name => name.includes('attn.q.weight'), ['*.q.weight']],
    [name => name === 'norm.weight', ['norm.*']],
    [name => name !== 'embed.weight', ['!embed.*']],
    [
      name => name === 'norm.weight' || name.startsWith('model.layers.2.'),
      ['model.layers.2.*', 'norm.weight']
    ]
  ];
  for (const [isWanted, keys] of table) {
    const found = keysOf(MODEL, isWanted);
    const plain = found.map(key =>
      key.replace(/^norm\.\*$|^norm.weight$/, 'norm')
    );
    const wanted = keys.map(key =>
      key.replace(/^norm\.\*$|^norm.weight$/, 'norm')
    );
    const same = (some: string[]) =>
      some.map(key => key.replace('!embed.weight', '!embed.*'));
    assert.deepEqual(same(plain), same(wanted));
  }
});

test('whatever is selected, the globs choose it and nothing else', () => {
  const odd = [
    '!not',
    'a',
    'a.b',
    'a.b.c',
    'a/b',
    'x[0].w',
    'x0.w',
    'x*.w',
    ''
  ];
  const names = [...MODEL, ...odd];
  let seed = 7;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
  for (let round = 0; round < 100; round += 1) {
    const share = random();
    const selected = new Set([...names.keys()].filter(() => random() < share));
    if (selected.size > 0) {
      const keys = keysFor(names, selected, round % 5 > 0);
      assert.deepEqual(chosenBy(keys, names), [...selected], keys.join(' '));
    }
  }
});

/** As the loader chooses: globs that include, then those that exclude. */
function chosenBy(keys: readonly string[], names: readonly string[]): number[] {
  const wanted = keys.filter(key => !key.startsWith('!')).map(globPattern);
  const unwanted = keys
    .filter(key => key.startsWith('!'))
    .map(key => globPattern(key.slice(1)));
  return [...names.keys()].filter(at => {
    const matches = (one: RegExp) => one.test(names[at] ?? '');
    return (
      (wanted.length === 0 || wanted.some(matches)) && !unwanted.some(matches)
    );
  });
}

test('of an incomplete listing each name stands for itself', () => {
  assert.deepEqual(keysFor(['a.x', 'a.y'], new Set([0, 1]), false), [
    'a.x',
    'a.y'
  ]);
});

test('100,000 names take no time to speak of', () => {
  const names = Array.from(
    { length: 100_000 },
    (_, at) => `model.layers.${at % 1000}.block.${at}.weight`
  );
  const selected = new Set([...names.keys()].filter(at => at % 1000 < 3));
  const begin = process.cpuUsage();
  const keys = keysFor(names, selected, true);
  assert.deepEqual([...keys].sort(), [
    'model.layers.0.*',
    'model.layers.1.*',
    'model.layers.2.*'
  ]);
  assert.ok(process.cpuUsage(begin).user < 3e6);
});
