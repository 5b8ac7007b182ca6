// What a link grants, in words. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Offer, Right } from '../api';

/** Slower than this and the data is hardly next door. */
const NEAR_SECONDS = 0.01;
const RIGHTS: readonly Right[] = ['list', 'read', 'write', 'delete'];

/** 'list, read; not write; delete unknown' */
export function grantsText(
  offer: Pick<Offer, 'grants'>,
  trans: TranslationBundle
): string {
  const those = (value: boolean | null) =>
    RIGHTS.filter(right => offer.grants[right] === value).join(', ');
  const [may, mayNot, unknown] = [those(true), those(false), those(null)];
  return [
    may,
    mayNot && trans.__('not %1', mayNot),
    unknown && trans.__('%1 unknown', unknown)
  ]
    .filter(part => part !== '')
    .join('; ');
}

/** '3 ms'; far away, also what that means. */
export function roundTripText(
  seconds: number,
  trans: TranslationBundle
): string {
  const time = seconds < 0.001 ? '< 1 ms' : `${Math.round(seconds * 1000)} ms`;
  return isFar(seconds)
    ? trans.__(
        '%1: the data is probably in another region: slow, and billed',
        time
      )
    : time;
}

export function isFar(seconds: number): boolean {
  return seconds > NEAR_SECONDS;
}
