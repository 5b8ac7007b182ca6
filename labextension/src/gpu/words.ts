import type { TranslationBundle } from '@jupyterlab/translation';

import type { Use } from '../api';
import { baseName, formatBytes, formatCoarse, printable } from '../format';
import type { Share } from './usage';

/** A notebook that did nothing for less than this is not called idle. */
const IDLE_SECONDS = 60;

export function notebookName(
  { path }: Pick<Share, 'path'>,
  trans: TranslationBundle
): string {
  return path === ''
    ? trans.__('a kernel without notebook')
    : printable(baseName(path));
}

/** How we know that a notebook uses a device. */
export function howWords(how: Use['how'], trans: TranslationBundle): string {
  switch (how) {
    case 'pid':
      return trans.__('the driver names its process');
    case 'namespace_pid':
      return trans.__(
        'the driver names its process, by its number in this container'
      );
    case 'nspid':
      return trans.__(
        'the driver names its process, by its number outside this container'
      );
    case 'descriptors':
      return trans.__(
        'its process has the device open; nobody says for how much'
      );
    case 'report':
      return trans.__('the notebook itself says so');
  }
}

/** What is said of a notebook below its name: peak, cache, idle time. */
export function shareFacts(share: Share, trans: TranslationBundle): string {
  const { bytes, peakBytes, cachedBytes, idleSeconds } = share;
  return [
    bytes === null ? trans.__('uses this GPU, amount unknown') : '',
    peakBytes !== null && peakBytes > (bytes ?? 0)
      ? trans.__('peak %1', formatBytes(peakBytes))
      : '',
    cachedBytes ? trans.__('%1 cached', formatBytes(cachedBytes)) : '',
    idleSeconds !== null && idleSeconds >= IDLE_SECONDS
      ? trans.__('idle %1', formatCoarse(idleSeconds))
      : ''
  ]
    .filter(text => text !== '')
    .join(' · ');
}
