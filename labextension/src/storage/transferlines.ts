// What a transfer's line says. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Transfer } from '../api';
import { formatBytes, formatBytesOf, formatDuration } from '../format';
import type { UploadState } from './upload';

export interface Line {
  /** 0 to 1; null: not known. */
  readonly ratio: number | null;
  readonly detail: string;
}

interface IProgress {
  readonly state: UploadState;
  readonly doneBytes: number;
  readonly sizeBytes: number;
  readonly bytesPerSecond: number | null;
}

/** '9.4 / 26.0 GB · 310 MB/s · 1 min 20 s left' */
export function uploadLine(
  progress: IProgress,
  trans: TranslationBundle
): Line {
  const { state, doneBytes, sizeBytes, bytesPerSecond } = progress;
  const ratio =
    sizeBytes === 0 ? Number(state === 'done') : doneBytes / sizeBytes;
  const amounts = formatBytesOf(doneBytes, sizeBytes);
  switch (state) {
    case 'waiting':
      return {
        ratio,
        detail: trans.__('waiting · %1', formatBytes(sizeBytes))
      };
    case 'done':
      return {
        ratio: 1,
        detail: trans.__('uploaded · %1', formatBytes(sizeBytes))
      };
    case 'asking':
      return { ratio, detail: trans.__('exists: replace it?') };
    case 'cancelled':
      return { ratio, detail: trans.__('cancelled') };
    case 'interrupted':
      return { ratio, detail: trans.__('interrupted · %1 kept', amounts) };
    case 'failed':
      return { ratio, detail: trans.__('failed · %1', amounts) };
    case 'running': {
      if (doneBytes >= sizeBytes) {
        return { ratio, detail: trans.__('%1 · finishing…', amounts) };
      }
      const pace = bytesPerSecond
        ? [
            trans.__('%1/s', formatBytes(bytesPerSecond)),
            trans.__(
              '%1 left',
              formatDuration((sizeBytes - doneBytes) / bytesPerSecond)
            )
          ]
        : [];
      return { ratio, detail: [amounts, ...pace].join(' · ') };
    }
  }
}

/** '120 of 300 · 3 failed' */
export function jobLine(job: Transfer, trans: TranslationBundle): Line {
  const { done, total, state, failed } = job;
  if (state === 'running' && total === 0) {
    return { ratio: null, detail: trans.__('looking what is there…') };
  }
  const ratio = total === null ? null : total === 0 ? 1 : done / total;
  const count =
    total === null
      ? done.toLocaleString()
      : trans.__('%1 of %2', done.toLocaleString(), total.toLocaleString());
  const words: Record<Transfer['state'], string> = {
    running: '',
    done: trans.__('done'),
    failed: trans.__('ended'),
    cancelled: trans.__('cancelled')
  };
  const misses =
    failed.length === 0 ? '' : trans.__('%1 failed', failed.length);
  const parts = [words[state], count, misses].filter(part => part !== '');
  return { ratio, detail: parts.join(' · ') };
}
