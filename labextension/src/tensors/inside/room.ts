// How much is free where a load would go. Pure.

import type { Device, GpuStatus } from '../../api';

export interface Room {
  /** 'GPU 3 · cuda:0', or 'GPU 3' as long as the notebook does not use it. */
  readonly name: string;
  readonly freeBytes: number;
}

/**
 * The card of the notebook in front: the one that it uses already, matched by
 * UUID; else the only one, else the one with the most free memory.
 */
export function roomFor(
  status: GpuStatus | null,
  kernelId: string | null
): Room | null {
  const devices = status?.devices ?? [];
  const kernel = status?.kernels.find(({ id }) => id === kernelId);
  for (const use of kernel?.uses ?? []) {
    const device = devices.find(({ uuid }) => uuid === use.uuid);
    const free = device ? freeOf(device) : null;
    if (device && free !== null) {
      const names = [`GPU ${device.index}`, use.device ?? ''];
      return { name: names.filter(Boolean).join(' · '), freeBytes: free };
    }
  }
  const [most] = devices
    .map(device => ({ device, free: freeOf(device) }))
    .sort((one, other) => (other.free ?? -1) - (one.free ?? -1));
  return most && most.free !== null
    ? { name: `GPU ${most.device.index}`, freeBytes: most.free }
    : null;
}

function freeOf({ now, memory_total_bytes: total }: Device): number | null {
  if (typeof now?.memory_free_bytes === 'number') {
    return now.memory_free_bytes;
  }
  const used = now?.memory_used_bytes ?? null;
  return total === null || used === null ? null : total - used;
}
