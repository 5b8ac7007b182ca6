import type { TranslationBundle } from '@jupyterlab/translation';

import type { KernelUse } from '../api';
import { formatBytes } from '../format';

/** A notebook's device memory in a few words: '1.2 GB · cuda:0'; empty where it holds none. */
export function badgeText(
  kernels: readonly KernelUse[],
  kernelId: string | null,
  trans: TranslationBundle
): string {
  const kernel = kernels.find(({ id }) => id === kernelId);
  const uses = (kernel?.uses ?? []).filter(
    ({ uuid, bytes }) => uuid !== null && bytes !== 0
  );
  const known = uses.filter(({ bytes }) => bytes !== null);
  if (uses.length === 0) {
    return '';
  }
  const bytes = known.reduce((sum, use) => sum + (use.bytes ?? 0), 0);
  const amount = known.length === 0 ? trans.__('GPU') : formatBytes(bytes);
  const [only] = uses.length === 1 ? uses : [];
  const place = only ? only.device : trans.__('%1 GPUs', uses.length);
  return place ? `${amount} · ${place}` : amount;
}
