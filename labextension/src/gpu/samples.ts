import type { GpuStatus, Sample } from '../api';

/** Ten minutes at one sample a second. */
export const KEPT_SAMPLES = 600;

/**
 * The samples known after a reply.
 *
 * A cursor that went back means that the server restarted: what we had belongs
 * to another count and is dropped.
 */
export function mergeSamples(
  known: readonly Sample[],
  reply: Pick<GpuStatus, 'cursor' | 'samples'>
): readonly Sample[] {
  const last = known.at(-1)?.cursor ?? -1;
  if (reply.cursor < last) {
    return reply.samples.slice(-KEPT_SAMPLES);
  }
  const fresh = reply.samples.filter(sample => sample.cursor > last);
  return fresh.length === 0 ? known : [...known, ...fresh].slice(-KEPT_SAMPLES);
}

/** The last `count` busy ratios of a device, oldest first; null where unknown. */
export function busySeries(
  samples: readonly Sample[],
  uuid: string,
  count: number
): (number | null)[] {
  return samples
    .slice(-count)
    .map(
      sample =>
        sample.devices.find(device => device.uuid === uuid)
          ?.utilization_ratio ?? null
    );
}

/** What arrived from storage in each of the last `count` samples, bytes a second. */
export function storageSeries(
  samples: readonly Sample[],
  count: number
): (number | null)[] {
  return samples.slice(-count).map(sample => sample.storage_bytes_per_second);
}

/** The values as shares of the largest of them. */
export function scaled(values: readonly (number | null)[]): (number | null)[] {
  const most = Math.max(1, ...values.map(value => value ?? 0));
  return values.map(value => (value === null ? null : value / most));
}

/**
 * Polylines through the known values, in a box of `count - 1` by 1 with the
 * newest value at the right edge; a gap for each unknown stretch.
 */
export function sparkLines(
  values: readonly (number | null)[],
  count: number
): string[] {
  const offset = count - values.length;
  const lines: string[][] = [[]];
  values.forEach((value, index) => {
    if (value === null) {
      lines.push([]);
    } else {
      lines.at(-1)?.push(`${offset + index},${(1 - value).toFixed(3)}`);
    }
  });
  return lines.filter(line => line.length > 0).map(line => line.join(' '));
}
