import type { TranslationBundle } from '@jupyterlab/translation';

import type { Device } from '../../api';
import { formatBytes, formatRatio } from '../../format';
import type { Quantity, Timeline } from './timeline';

/** So many colours stand in the style sheet; then the lines are dashed. */
export const LINE_COLORS = 8;
/** The axis of a storage from which nothing comes: 1 MB/s. */
const QUIET_STORAGE = 1e6;

export interface Line {
  readonly label: string;
  readonly title: string;
  readonly color: number;
  readonly isDashed: boolean;
  readonly values: (number | null)[];
}

/** One diagram: a quantity over time, a line a device. */
export interface ChartSpec {
  readonly id: string;
  readonly title: string;
  readonly lines: readonly Line[];
  /** The upper end of the axis, unless a value is higher. */
  readonly most: number;
  readonly format: (value: number) => string;
  /** Why there is nothing to draw. */
  readonly reason: string;
}

/** The diagrams of a timeline. */
export function chartsOf(
  timeline: Timeline,
  devices: readonly Device[],
  trans: TranslationBundle
): ChartSpec[] {
  const perDevice = (
    id: Quantity,
    title: string,
    most: number,
    format: (value: number) => string
  ): ChartSpec => ({
    id,
    title,
    most,
    format,
    reason: reasonOf(devices, id, trans),
    lines: timeline.devices.map((device, index) => ({
      label: device.label,
      title: device.name,
      color: index % LINE_COLORS,
      isDashed: index >= LINE_COLORS,
      values: device[id]
    }))
  });
  const total = highest(devices.map(device => device.memory_total_bytes));
  const limit = highest(devices.map(device => device.now?.power_limit_watts));
  return [
    perDevice('memory_used_bytes', trans.__('memory'), total, formatBytes),
    perDevice('utilization_ratio', trans.__('busy'), 1, formatRatio),
    perDevice('temperature_celsius', trans.__('temperature'), 100, celsius),
    perDevice('power_watts', trans.__('power'), limit, watts),
    {
      id: 'storage',
      title: trans.__('storage'),
      most: QUIET_STORAGE,
      format: value => `${formatBytes(value)}/s`,
      reason: trans.__('no notebook has loaded anything from storage yet'),
      lines: [storageLine(timeline, trans)]
    }
  ];
}

const celsius = (value: number) => `${Math.round(value)} °C`;
const watts = (value: number) => `${Math.round(value)} W`;

function storageLine(timeline: Timeline, trans: TranslationBundle): Line {
  return {
    label: trans.__('received'),
    title: trans.__('by all notebooks of this server'),
    color: 0,
    isDashed: false,
    values: timeline.storage
  };
}

/** Whether a diagram has anything to draw. */
export function hasValues({ lines }: ChartSpec): boolean {
  return lines.some(line => line.values.some(value => value !== null));
}

/** The axis of a diagram: from zero, to where everything has room. */
export function axisOf(
  most: number,
  highestValue: number | null
): [number, number] {
  const highest = highestValue ?? 0;
  return [0, highest > most ? 1.1 * highest : most || 1];
}

function highest(values: readonly (number | null | undefined)[]) {
  return Math.max(0, ...values.map(value => value ?? 0));
}

function reasonOf(
  devices: readonly Device[],
  id: Quantity,
  trans: TranslationBundle
): string {
  const [reason] = devices.flatMap(({ now }) => now?.unavailable[id] ?? []);
  return trans.__('not known: %1', reason ?? trans.__('no sample yet'));
}
