// When a connection's credential ends, in words. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

const SOON_SECONDS = 3600;
const DAY_SECONDS = 86_400;

export interface Expiry {
  readonly text: string;
  /** For a narrow panel: '42 min'. */
  readonly short: string;
  readonly tone: 'quiet' | 'warning' | 'error';
}

/** Seconds until a timestamp, negative after it; null where there is none. */
export function secondsUntil(iso: string | null, now: number): number | null {
  const time = iso === null ? NaN : Date.parse(iso);
  return Number.isNaN(time) ? null : (time - now) / 1000;
}

/** 'expires in 42 min', and how urgent that is; null when it never does. */
export function expiryOf(
  iso: string | null,
  now: number,
  trans: TranslationBundle
): Expiry | null {
  const left = secondsUntil(iso, now);
  if (left === null) {
    return null;
  }
  if (left <= 0) {
    const text = trans.__('expired');
    return { text, short: text, tone: 'error' };
  }
  const short = roughly(left, trans);
  const text = trans.__('expires in %1', short);
  return { text, short, tone: left < SOON_SECONDS ? 'warning' : 'quiet' };
}

/** In how many seconds a person must hear of it; null: never. */
export function warnIn(iso: string | null, now: number): number | null {
  const left = secondsUntil(iso, now);
  return left === null || left <= 0 ? null : Math.max(0, left - SOON_SECONDS);
}

function roughly(seconds: number, trans: TranslationBundle): string {
  if (seconds < 60) {
    return trans.__('%1 s', Math.ceil(seconds));
  }
  if (seconds < SOON_SECONDS) {
    return trans.__('%1 min', Math.floor(seconds / 60));
  }
  if (seconds < DAY_SECONDS) {
    return trans.__('%1 h', Math.floor(seconds / 3600));
  }
  const days = Math.floor(seconds / DAY_SECONDS);
  return trans._n('%1 day', '%1 days', days);
}
