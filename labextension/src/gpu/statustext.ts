import type { TranslationBundle } from '@jupyterlab/translation';

import type { GpuStatus, Sample } from '../api';
import { isServerMissing } from '../components/words';
import { formatBytesOf } from '../format';
import type { ApiError } from '../request';
import { groupsOf } from './grouping';

export interface Known {
  readonly status: GpuStatus | null;
  readonly samples: readonly Sample[];
  readonly problem: ApiError | null;
}

/** The device memory in a few words, or the state in words. */
export function statusText(known: Known, trans: TranslationBundle): string {
  const { status, problem } = known;
  if (isServerMissing(problem)) {
    return trans.__('GPU: restart the server');
  }
  if (problem) {
    return problem.status === 0
      ? trans.__('GPU: no answer')
      : trans.__('GPU: server error');
  }
  switch (status?.state) {
    case undefined:
    case 'starting':
      return trans.__('GPU…');
    case 'no_gpu':
      return trans.__('no GPU');
    case 'blocked':
      return trans.__('GPU ok, sensors blocked');
    case 'broken':
      return trans.__('GPU driver broken');
    case 'ok':
      return memoryText(status, trans);
  }
}

function memoryText(status: GpuStatus, trans: TranslationBundle): string {
  // A slice is a part of its card, and not counted twice.
  const cards = groupsOf(status.devices).map(({ device }) => device);
  const used = sum(cards.map(card => card.now?.memory_used_bytes ?? null));
  const total = sum(cards.map(card => card.memory_total_bytes));
  if (used === null || total === null) {
    return status.simulated ? trans.__('simulated GPU') : trans.__('GPU ok');
  }
  const amount = formatBytesOf(used, total);
  const count = cards.length;
  if (status.simulated) {
    return count === 1
      ? trans.__('simulated GPU %1', amount)
      : trans.__('%1 simulated GPUs %2', count, amount);
  }
  return count === 1
    ? trans.__('GPU %1', amount)
    : trans.__('%1 GPUs %2', count, amount);
}

/** Unknown as soon as one part is unknown: a partial sum would read as the whole. */
function sum(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>(
    (total, value) => (total === null || value === null ? null : total + value),
    0
  );
}
