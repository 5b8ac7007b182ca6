import type { TranslationBundle } from '@jupyterlab/translation';

import type { Device, KernelUse } from '../api';
import {
  baseName,
  formatBytes,
  formatBytesOf,
  formatCoarse,
  printable
} from '../format';
import type { Alert } from './alerts';
import { isSlowedByHeat } from './alerts';

/** An alert in one sentence and what to do next; a notification shows 140 characters. */
export function alertText(alert: Alert, trans: TranslationBundle): string {
  const { kind, device, kernel } = alert;
  if (device === null) {
    return kernel === null ? '' : idleText(kernel, trans);
  }
  const name = trans.__('GPU %1', device.index);
  switch (kind) {
    case 'hot':
      return hotText(name, device, trans);
    case 'full':
      return trans.__(
        '%1 memory is nearly full: %2. Release what idle notebooks hold.',
        name,
        formatBytesOf(
          device.now?.memory_used_bytes ?? 0,
          device.memory_total_bytes ?? 0
        )
      );
    case 'ecc':
      return trans.__(
        '%1 had a memory error that could not be corrected: results may be wrong. Run the GPU doctor.',
        name
      );
    case 'reset':
      return trans.__(
        '%1 must be reset to replace a row of broken memory. Save your work and restart the machine.',
        name
      );
    case 'idle':
      return '';
  }
}

function hotText(
  name: string,
  device: Device,
  trans: TranslationBundle
): string {
  const celsius = device.now?.temperature_celsius ?? null;
  const heat = celsius === null ? '' : ` (${Math.round(celsius)} °C)`;
  return isSlowedByHeat(device)
    ? trans.__('%1 is slowed by heat%2. Check its cooling.', name, heat)
    : trans.__(
        '%1 is hot%2. It slows down when it gets hotter: check its cooling.',
        name,
        heat
      );
}

function idleText(kernel: KernelUse, trans: TranslationBundle): string {
  const held = kernel.uses.reduce(
    (sum, use) => sum + (use.uuid === null ? 0 : (use.bytes ?? 0)),
    0
  );
  const path = printable(baseName(kernel.path));
  return trans.__(
    '%1 holds %2 of GPU memory and has been idle for %3.',
    path === '' ? trans.__('A kernel without notebook') : path,
    formatBytes(held),
    formatCoarse(kernel.idle_seconds ?? 0)
  );
}
