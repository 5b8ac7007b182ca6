// What the kernel says of a running load, and the words for it.

import type { TranslationBundle } from '@jupyterlab/translation';

import {
  formatBytes,
  formatBytesOf,
  formatDuration,
  printable
} from '../format';

export const STATES = ['running', 'done', 'cancelled', 'failed'] as const;

export interface Progress {
  readonly title: string;
  readonly stage: string;
  readonly state: (typeof STATES)[number];
  readonly message: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number | null;
  readonly etaSeconds: number | null;
}

/** Read a mime bundle's value, which any notebook may have brought along. */
export function progressOf(value: unknown): Progress {
  const data: Record<string, unknown> =
    typeof value === 'object' && value !== null ? { ...value } : {};
  return {
    title: text(data.title),
    stage: text(data.stage),
    state: STATES.find(state => state === data.state) ?? 'failed',
    message: text(data.message),
    doneBytes: amount(data.done_bytes) ?? 0,
    totalBytes: amount(data.total_bytes) ?? 0,
    bytesPerSecond: amount(data.rate_bytes_per_second),
    etaSeconds: amount(data.eta_seconds)
  };
}

/** 0 to 1; a load of nothing is complete. */
export function ratioOf(progress: Progress): number {
  const { doneBytes, totalBytes, state } = progress;
  if (totalBytes === 0) {
    return state === 'done' ? 1 : 0;
  }
  return Math.min(1, doneBytes / totalBytes);
}

/** 'reading · 9.4 / 26.0 GB · 310 MB/s · 1 min 20 s left'; at the end, the receipt. */
export function detailOf(progress: Progress, trans: TranslationBundle): string {
  const { state, message, bytesPerSecond, etaSeconds } = progress;
  // While the header is read, nobody knows how much there is.
  const amounts =
    progress.totalBytes === 0
      ? ''
      : formatBytesOf(progress.doneBytes, progress.totalBytes);
  if (state === 'done' && message !== '') {
    return message;
  }
  if (state !== 'running') {
    const words = message || stateWord(state, trans);
    return amounts === '' ? words : `${words} · ${amounts}`;
  }
  // The message of a running load says the same for frontends without a bar.
  return [
    stageWord(progress.stage, trans),
    amounts,
    bytesPerSecond ? trans.__('%1/s', formatBytes(bytesPerSecond)) : '',
    etaSeconds === null ? '' : trans.__('%1 left', formatDuration(etaSeconds))
  ]
    .filter(part => part !== '')
    .join(' · ');
}

function stageWord(stage: string, trans: TranslationBundle): string {
  switch (stage) {
    case 'header':
      return trans.__('reading the header');
    case 'network':
      return trans.__('reading');
    case 'device':
      return trans.__('copying to the device');
    default:
      return printable(stage);
  }
}

export function stateWord(
  state: Progress['state'],
  trans: TranslationBundle
): string {
  switch (state) {
    case 'running':
      return trans.__('loading');
    case 'done':
      return trans.__('done');
    case 'cancelled':
      return trans.__('cancelled');
    case 'failed':
      return trans.__('failed');
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function amount(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? value
    : null;
}
