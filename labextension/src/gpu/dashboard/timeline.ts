import type { Column, Device, DeviceSample, History, Sample } from '../../api';
import { printable } from '../../format';

export const QUANTITIES = [
  'memory_used_bytes',
  'utilization_ratio',
  'temperature_celsius',
  'power_watts'
] as const satisfies readonly (keyof DeviceSample)[];

export type Quantity = (typeof QUANTITIES)[number];

type Values = (number | null)[];

/** What happened when: columns of one length, null where nothing is known. */
export interface Timeline {
  /** Seconds since the epoch, ascending. */
  readonly times: number[];
  readonly storage: Values;
  readonly devices: readonly DeviceLine[];
}

export interface DeviceLine extends Readonly<Record<Quantity, Values>> {
  readonly uuid: string;
  readonly label: string;
  readonly name: string;
}

/** A pause of so many intervals is a gap, not a line from one end to the other. */
const GAP_INTERVALS = 5;

/** The samples of the devices that are there now. */
export function timelineOfSamples(
  samples: readonly Sample[],
  devices: readonly Device[],
  intervalSeconds: number
): Timeline {
  const rows = withGaps(samples, GAP_INTERVALS * Math.max(1, intervalSeconds));
  const cells = devices.map(({ uuid }) =>
    rows.map(row => row.devices.find(device => device.uuid === uuid))
  );
  const column = (device: number, quantity: Quantity) =>
    cells[device]?.map(cell => cell?.[quantity] ?? null) ?? [];
  return {
    times: rows.map(row => row.time),
    storage: rows.map(row => row.storage_bytes_per_second),
    devices: devices.map((device, index) => ({
      ...namesOf(device),
      memory_used_bytes: column(index, 'memory_used_bytes'),
      utilization_ratio: column(index, 'utilization_ratio'),
      temperature_celsius: column(index, 'temperature_celsius'),
      power_watts: column(index, 'power_watts')
    }))
  };
}

/** The last `seconds` of the history, under the names of the devices that are there now. */
export function timelineOfHistory(
  history: History,
  devices: readonly Device[],
  seconds: number
): Timeline {
  const end = history.times.at(-1) ?? 0;
  const from = history.times.findIndex(time => time >= end - seconds);
  const cut = (column: Column) => column.slice(Math.max(0, from));
  return {
    times: history.times.slice(Math.max(0, from)),
    storage: cut(history.storage_bytes_per_second),
    devices: history.devices.map(device => ({
      ...namesOf(devices.find(one => one.uuid === device.uuid) ?? device),
      memory_used_bytes: cut(device.memory_used_bytes),
      utilization_ratio: cut(device.utilization_ratio),
      temperature_celsius: cut(device.temperature_celsius),
      power_watts: cut(device.power_watts)
    }))
  };
}

function namesOf(device: Pick<Device, 'uuid' | 'name'> & Partial<Device>) {
  const name = printable(device.name);
  const { uuid, index, slice_of: card = null } = device;
  const isCard = index !== undefined && card === null;
  return { uuid, name, label: isCard ? `GPU ${index}` : name };
}

/** The same samples, with an empty one in each pause. */
function withGaps(
  samples: readonly Sample[],
  longestSeconds: number
): readonly Sample[] {
  return samples.flatMap((sample, index) => {
    const before = samples[index - 1];
    return before && sample.time - before.time > longestSeconds
      ? [emptyAt(before.time + longestSeconds / 2), sample]
      : [sample];
  });
}

function emptyAt(time: number): Sample {
  return { cursor: 0, time, storage_bytes_per_second: null, devices: [] };
}
