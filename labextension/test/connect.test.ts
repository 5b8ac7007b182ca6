import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';

import type { Offer, OfferRequest } from '../src/api';
import { ApiError } from '../src/request';
import { Connecting } from '../src/storage/connecting';
import { expiryOf, warnIn } from '../src/storage/expiry';
import { grantsText, roundTripText } from '../src/storage/offer';
import { trans } from './helpers';

const LINK = 'https://a.blob.core.windows.net/models?sig=secret';
const NOW = Date.parse('2026-12-03T14:00:00Z');

const OFFER: Offer = {
  name: 'models',
  root: 'az://models',
  kind: 'az',
  identity: 'link',
  read_only: true,
  expires_at: null,
  grants: { list: true, read: true, write: false, delete: null },
  one_object: null,
  checks: [],
  round_trip_seconds: 0.003,
  saved: false
};

function server(answer: (asked: OfferRequest) => Promise<Offer>) {
  const asked: OfferRequest[] = [];
  const offer = (body: OfferRequest) => {
    asked.push(body);
    return answer(body);
  };
  return { asked, connecting: new Connecting({ offer }) };
}

test('a link is tried, then saved under a name, then forgotten', async () => {
  const { asked, connecting } = server(async ({ save }) => ({
    ...OFFER,
    saved: save ?? false
  }));
  await connecting.test(LINK);
  assert.equal(connecting.step.state, 'offered');
  const made = await connecting.connect('mine', false);
  assert.equal(made?.saved, true);
  assert.equal(connecting.step.state, 'idle');
  assert.deepEqual(asked, [
    { link: LINK, save: false },
    { link: LINK, name: 'mine', read_only: false, save: true }
  ]);
  await connecting.again();
  assert.equal(asked.at(-1)?.link, '');
});

test('nothing that can be saved or copied holds the link', async () => {
  const { connecting } = server(async () => OFFER);
  await connecting.test(LINK);
  const seen = inspect(connecting, { depth: 9, showHidden: true });
  assert.ok(seen.includes('az://models'));
  assert.ok(!seen.includes('secret'));
});

test('a refusal is said, and a name that is taken keeps the offer', async () => {
  const taken = new ApiError(409, 'exists', 'There is one.', 'Another name.');
  const { connecting } = server(async ({ save }) => {
    if (save) {
      throw taken;
    }
    return OFFER;
  });
  await connecting.test(LINK);
  assert.equal(await connecting.connect('models', true), null);
  const { step } = connecting;
  assert.ok(step.state === 'offered' && step.problem === taken && !step.saving);
  const refusing = server(() => Promise.reject(taken)).connecting;
  await refusing.test(LINK);
  assert.equal(refusing.step.state, 'failed');
});

test('the answer to a link that was given up is not shown', async () => {
  let answer: (offer: Offer) => void = () => undefined;
  const { connecting } = server(
    () => new Promise(resolve => (answer = resolve))
  );
  const trial = connecting.test(LINK);
  connecting.cancel();
  answer(OFFER);
  await trial;
  assert.equal(connecting.step.state, 'idle');
});

test('a new link for a connection is tried and kept in one go', async () => {
  const { asked, connecting } = server(async () => OFFER);
  assert.equal(await connecting.replace(LINK), null);
  assert.deepEqual(asked, [], 'without a connection nothing is sent');
  connecting.renew('models');
  assert.equal(connecting.renewing, 'models');
  const made = await connecting.replace(LINK);
  assert.equal(made, OFFER);
  assert.equal(connecting.step.state, 'idle');
  assert.deepEqual(asked, [
    { link: LINK, name: 'models', renew: true, save: true }
  ]);
});

test('a refused new link leaves the box to its connection', async () => {
  const other = new ApiError(400, 'bad_request', 'Another container.', '');
  const { connecting } = server(() => Promise.reject(other));
  connecting.renew('models');
  assert.equal(await connecting.replace(LINK), null);
  const { step } = connecting;
  assert.ok(step.state === 'renewing' && step.problem === other);
  assert.ok(!inspect(connecting, { depth: 9 }).includes('secret'));
  connecting.cancel();
  assert.equal(connecting.renewing, null);
});

test('grants are said as what is known', () => {
  assert.equal(
    grantsText(OFFER, trans),
    'list, read; not write; delete unknown'
  );
  const all = { list: true, read: true, write: true, delete: true };
  assert.equal(grantsText({ grants: all }, trans), 'list, read, write, delete');
});

test('a far region is said to be slow and billed', () => {
  assert.equal(roundTripText(0.0004, trans), '< 1 ms');
  assert.equal(roundTripText(0.01, trans), '10 ms');
  assert.equal(
    roundTripText(0.024, trans),
    '24 ms: the data is probably in another region: slow, and billed'
  );
});

test('an end is near, far, past or never', () => {
  const at = (seconds: number) => new Date(NOW + 1000 * seconds).toISOString();
  const table: [string | null, string | undefined, string | undefined][] = [
    [at(42 * 60), 'expires in 42 min', 'warning'],
    [at(59), 'expires in 59 s', 'warning'],
    [at(3600), 'expires in 1 h', 'quiet'],
    [at(86_400), 'expires in 1 day', 'quiet'],
    [at(3 * 86_400), 'expires in 3 days', 'quiet'],
    [at(0), 'expired', 'error'],
    [at(-60), 'expired', 'error'],
    [null, undefined, undefined],
    ['soon', undefined, undefined]
  ];
  for (const [iso, text, tone] of table) {
    const expiry = expiryOf(iso, NOW, trans);
    assert.equal(expiry?.text, text);
    assert.equal(expiry?.tone, tone);
  }
  assert.equal(warnIn(at(5400), NOW), 1800);
  assert.equal(warnIn(at(60), NOW), 0);
  assert.equal(warnIn(at(-60), NOW), null);
  assert.equal(warnIn(null, NOW), null);
});
