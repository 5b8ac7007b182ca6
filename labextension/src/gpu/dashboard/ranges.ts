import type { TranslationBundle } from '@jupyterlab/translation';

export const RANGES = ['live', '1h', '6h', '24h'] as const;
/** How far back is shown; 'live' from the samples, the rest from the history. */
export type Range = (typeof RANGES)[number];

const SECONDS: Readonly<Record<Range, number>> = {
  live: 600,
  '1h': 3600,
  '6h': 6 * 3600,
  '24h': 24 * 3600
};

export function secondsOf(range: Range): number {
  return SECONDS[range];
}

export function rangeLabel(range: Range, trans: TranslationBundle): string {
  const labels: Readonly<Record<Range, string>> = {
    live: trans.__('10 min'),
    '1h': trans.__('1 h'),
    '6h': trans.__('6 h'),
    '24h': trans.__('24 h')
  };
  return labels[range];
}

/** Seconds since the epoch. */
export type Span = readonly [number, number];

/** Of a range that has only begun to fill, at least this part is shown. */
const LEAST_PART = 0.1;

/** The time axis: up to the newest point, and as far back as the range and the points go. */
export function spanOf(times: readonly number[], range: Range): Span {
  const end = times.at(-1) ?? Date.now() / 1000;
  const seconds = secondsOf(range);
  const known = end - (times[0] ?? end);
  return [end - Math.min(seconds, Math.max(LEAST_PART * seconds, known)), end];
}
