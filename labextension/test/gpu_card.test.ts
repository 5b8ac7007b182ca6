import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Released, Rung } from '../src/api';
import { badgeText } from '../src/gpu/badgetext';
import { copyOf, linkOf, worstFirst } from '../src/gpu/doctor/findings';
import { factsOf } from '../src/gpu/facts';
import { groupsOf } from '../src/gpu/grouping';
import {
  firstChoice,
  isOpen,
  questionFor,
  rungAmount,
  sentenceFor
} from '../src/gpu/rungs';
import { scaled, storageSeries } from '../src/gpu/samples';
import { statusText } from '../src/gpu/statustext';
import { aliasOf, othersBytes, sharesOf } from '../src/gpu/usage';
import { shareFacts } from '../src/gpu/words';
import { device, kernel, reading, sample, status, trans } from './helpers';

const use = (bytes: number | null, change = {}) => ({
  uuid: 'A',
  device: 'cuda:0',
  bytes,
  peak_bytes: null,
  cached_bytes: null,
  how: 'pid' as const,
  ...change
});

test('a notebook whose amount nobody says has a row, the last one', () => {
  const shares = sharesOf(
    [
      kernel({ id: 'a', uses: [use(null, { device: null })] }),
      kernel({ id: 'b', uses: [use(5e9)] }),
      kernel({ id: 'c', uses: [use(0)] })
    ],
    'A'
  );
  assert.deepEqual(
    shares.map(share => [share.kernelId, share.bytes]),
    [
      ['b', 5e9],
      ['a', null]
    ]
  );
  assert.equal(othersBytes(6e9, shares), 1e9);
  assert.equal(aliasOf(shares, 'a')?.kernelId, 'b');
});

test('below a name stand its peak, its cache and how long it idles', () => {
  const facts = (change: object, idle_seconds: number | null = 10) => {
    const [share] = sharesOf(
      [kernel({ idle_seconds, uses: [use(5e9, change)] })],
      'A'
    );
    assert.ok(share);
    return shareFacts(share, trans);
  };
  assert.equal(facts({ peak_bytes: 12e9 }), 'peak 12.0 GB');
  assert.equal(facts({ peak_bytes: 5e9, cached_bytes: 0 }, null), '');
  assert.equal(
    facts({ cached_bytes: 1.1e9 }, 7300),
    '1.1 GB cached · idle 2 h'
  );
  assert.equal(facts({ bytes: null }), 'uses this GPU, amount unknown');
});

test('each detail is a value or the reason why there is none', () => {
  const now = reading({
    fan_ratio: null,
    pcie_width: null,
    needs_reset: true,
    unavailable: { fan_ratio: 'no fan', pcie_width: 'link is down' }
  });
  const facts = new Map(
    factsOf(device({ now }), trans).map(fact => [fact.label, fact])
  );
  const said = (label: string) => {
    const fact = facts.get(label);
    return fact?.value ?? `— ${fact?.reason}`;
  };
  assert.equal(said('graphics clock'), '2.04 GHz');
  assert.equal(said('energy'), '278 Wh');
  assert.equal(said('fan'), '— no fan');
  assert.equal(said('PCIe link'), '— link is down');
  assert.equal(said('PCIe sent'), '— not reported');
  assert.equal(said('remapped rows'), '0, reset needed');
  const blank = factsOf(device({ now: null }), trans);
  assert.ok(blank.every(({ value }) => value === null));
  assert.ok(blank.every(({ reason }) => reason === 'no sample yet'));
});

test('slices stand with their card, an orphan alone', () => {
  const slice = device({ uuid: 'M', slice_of: 'A' });
  const orphan = device({ uuid: 'N', slice_of: 'unseen' });
  const groups = groupsOf([device(), slice, orphan]).map(group => [
    group.device.uuid,
    group.slices.map(({ uuid }) => uuid)
  ]);
  assert.deepEqual(groups, [
    ['A', ['M']],
    ['N', []]
  ]);
  const known = {
    status: status({ devices: [device(), slice] }),
    samples: [],
    problem: null
  };
  assert.equal(statusText(known, trans), 'GPU 14.9 / 24.0 GB');
});

test('storage is drawn as a share of its peak', () => {
  const samples = [100, null, 50].map((rate, index) => ({
    ...sample(index),
    storage_bytes_per_second: rate
  }));
  assert.deepEqual(scaled(storageSeries(samples, 9)), [1, null, 0.5]);
  assert.deepEqual(scaled([0, 0]), [0, 0]);
});

const LADDER: Rung[] = [
  { rung: 'cache', bytes: 0, price: '' },
  { rung: 'traceback', bytes: 6.2e9, price: '' },
  { rung: 'outputs', bytes: null, price: '' },
  { rung: 'restart', bytes: 9e9, price: '' }
];

test('the cheapest rung that frees something is chosen, never a restart', () => {
  assert.equal(firstChoice(LADDER, true), 'traceback');
  assert.equal(firstChoice([LADDER[0]!, LADDER[3]!], true), 'cache');
  assert.equal(firstChoice(LADDER, false), null);
  assert.deepEqual(
    LADDER.map(({ rung }) => isOpen(rung, false)),
    [false, false, false, true]
  );
  assert.deepEqual(
    LADDER.map(rung => rungAmount(rung, trans)),
    ['nothing', '+6.2 GB', 'unknown', '+9.0 GB']
  );
});

test('what ends the kernel is asked first, and says what is lost', () => {
  assert.equal(questionFor('outputs', 'x.ipynb', trans), null);
  for (const rung of ['restart', 'shutdown'] as const) {
    const question = questionFor(rung, 'x.ipynb', trans);
    assert.match(question?.title ?? '', /x\.ipynb/);
    assert.match(question?.body ?? '', /variables are lost/);
  }
});

test('the outcome is a sentence', () => {
  const done = (change: Partial<Released>) =>
    sentenceFor(
      { rung: 'cache', freed_bytes: 1.1e9, message: '', ...change },
      trans
    );
  assert.equal(done({}), '1.1 GB freed.');
  assert.equal(done({ message: 'Freed 1.1 GB.' }), 'Freed 1.1 GB.');
  assert.equal(done({ freed_bytes: null }), 'Done.');
});

test('a badge says how much and where, and nothing for nothing', () => {
  const badge = (...uses: ReturnType<typeof use>[]) =>
    badgeText([kernel({ uses })], 'k', trans);
  assert.equal(badge(use(1.2e9)), '1.2 GB · cuda:0');
  assert.equal(badge(use(1.2e9, { device: null })), '1.2 GB');
  assert.equal(badge(use(1e9), use(2e9, { uuid: 'B' })), '3.0 GB · 2 GPUs');
  assert.equal(badge(use(null)), 'GPU · cuda:0');
  assert.equal(badge(use(0), use(102e6, { uuid: null })), '');
  assert.equal(badgeText([], null, trans), '');
});

test('findings come worst first, sources only as web addresses', () => {
  const finding = (id: string, level: 'ok' | 'note' | 'warning' | 'error') => ({
    ...{ id, level, title: '', evidence: '', fix: '', source: '' }
  });
  const sorted = worstFirst([
    finding('a', 'ok'),
    finding('b', 'warning'),
    finding('c', 'error'),
    finding('d', 'warning'),
    finding('e', 'note')
  ]);
  assert.equal(sorted.map(({ id }) => id).join(''), 'cbdea');
  assert.equal(
    linkOf('https://docs.nvidia.com/x'),
    'https://docs.nvidia.com/x'
  );
  assert.equal(linkOf('javascript:alert(1)'), null);
  assert.equal(linkOf('nvidia-smi -q'), null);
  assert.equal(copyOf('Run `a b`, then `c`.'), 'a b\nc');
  assert.equal(copyOf('Ask the admin.'), 'Ask the admin.');
});
