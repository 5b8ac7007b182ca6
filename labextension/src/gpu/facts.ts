import type { TranslationBundle } from '@jupyterlab/translation';

import type { Device, Reading } from '../api';
import {
  formatBytes,
  formatEnergy,
  formatHertz,
  formatRatio,
  printable
} from '../format';

/** A line of the details: a value, or the reason why there is none. */
export interface Fact {
  readonly label: string;
  readonly value: string | null;
  readonly reason: string;
}

type Numeric = {
  [K in keyof Reading]: Reading[K] extends number | null ? K : never;
}[keyof Reading];

const watts = (value: number) => `${Math.round(value)} W`;
const rate = (value: number) => `${formatBytes(value)}/s`;
const count = (value: number) => value.toLocaleString();

/** Everything known of a device that its card does not show at once. */
export function factsOf(device: Device, trans: TranslationBundle): Fact[] {
  const { now } = device;
  const reason = reasonOf(now, trans);
  const one = (
    label: string,
    field: Numeric,
    format: (value: number) => string
  ): Fact => {
    const value = now?.[field] ?? null;
    return {
      label,
      value: value === null ? null : format(value),
      reason: reason(field)
    };
  };
  return [
    one(trans.__('free'), 'memory_free_bytes', formatBytes),
    one(trans.__('reserved'), 'memory_reserved_bytes', formatBytes),
    one(trans.__('graphics clock'), 'graphics_clock_hertz', formatHertz),
    one(trans.__('memory clock'), 'memory_clock_hertz', formatHertz),
    one(trans.__('power limit'), 'power_limit_watts', watts),
    one(trans.__('energy'), 'energy_joules', formatEnergy),
    one(trans.__('fan'), 'fan_ratio', formatRatio),
    linkFact(now, reason, trans),
    one(trans.__('PCIe received'), 'pcie_received_bytes_per_second', rate),
    one(trans.__('PCIe sent'), 'pcie_sent_bytes_per_second', rate),
    one(trans.__('ECC corrected'), 'ecc_corrected_count', count),
    one(trans.__('ECC uncorrected'), 'ecc_uncorrected_count', count),
    rowsFact(now, reason, trans)
  ];
}

/** Why a field of a reading is null. */
export function reasonOf(
  now: Reading | null,
  trans: TranslationBundle
): (field: keyof Reading) => string {
  return field =>
    now === null
      ? trans.__('no sample yet')
      : printable(now.unavailable[field] ?? trans.__('not reported'));
}

type Reason = (field: keyof Reading) => string;

function linkFact(
  now: Reading | null,
  reason: Reason,
  trans: TranslationBundle
): Fact {
  const [generation, width] = [now?.pcie_generation, now?.pcie_width];
  const isKnown = typeof generation === 'number' && typeof width === 'number';
  return {
    label: trans.__('PCIe link'),
    value: isKnown ? trans.__('generation %1 × %2', generation, width) : null,
    reason: reason(
      typeof generation === 'number' ? 'pcie_width' : 'pcie_generation'
    )
  };
}

function rowsFact(
  now: Reading | null,
  reason: Reason,
  trans: TranslationBundle
): Fact {
  const rows = now?.remapped_rows_count ?? null;
  const value = rows === null ? null : count(rows);
  return {
    label: trans.__('remapped rows'),
    value:
      now?.needs_reset === true
        ? trans.__('%1, reset needed', value ?? '—')
        : value,
    reason: reason('remapped_rows_count')
  };
}
