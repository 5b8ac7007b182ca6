import type { GpuStatus, KernelUse, Load, Use } from '../api';

/** What one notebook holds on one device. */
export interface Share {
  readonly kernelId: string;
  readonly path: string;
  /** Torch's name of the device in that notebook: cuda:0. */
  readonly device: string;
  readonly bytes: number;
  readonly loads: readonly Load[];
  /** Which colour of the palette is this notebook's, everywhere. */
  readonly color: number;
}

export const COLORS = 5;

/** The notebooks holding memory on a device, the largest first. */
export function sharesOf(kernels: readonly KernelUse[], uuid: string): Share[] {
  return shares(kernels, used => used === uuid).sort(
    (one, other) => other.bytes - one.bytes
  );
}

/** The notebooks holding memory on a device that is no card: cpu. */
export function sharesOffCard(status: GpuStatus): Share[] {
  const cards = new Set(status.devices.map(device => device.uuid));
  return shares(status.kernels, used => used === null || !cards.has(used));
}

/**
 * What a card is called inside a notebook: the current one's word first, then
 * the only notebook's; with several others the legend says it.
 */
export function aliasOf(
  found: readonly Share[],
  currentKernelId: string | null
): Share | undefined {
  return (
    found.find(share => share.kernelId === currentKernelId) ??
    (found.length === 1 ? found[0] : undefined)
  );
}

/** Bytes in use that no notebook told of; null when the sensor is silent. */
export function othersBytes(
  used: number | null,
  found: readonly Share[]
): number | null {
  const known = found.reduce((sum, share) => sum + share.bytes, 0);
  return used === null ? null : Math.max(0, used - known);
}

function shares(
  kernels: readonly KernelUse[],
  wanted: (uuid: string | null) => boolean
): Share[] {
  return kernels.flatMap((kernel, index) =>
    placesOf(kernel)
      .filter(place => wanted(place.uuid))
      .map(({ device, bytes, loads }) => ({
        kernelId: kernel.id,
        path: kernel.path,
        device,
        bytes,
        loads,
        color: index % COLORS
      }))
      .filter(share => share.bytes > 0 || share.loads.length > 0)
  );
}

type Place = Pick<Use, 'uuid'> & {
  readonly device: string;
  readonly bytes: number;
  readonly loads: readonly Load[];
};

/** Where a kernel holds memory, each place with its loads; no load is lost. */
function placesOf(kernel: KernelUse): Place[] {
  const { loads } = kernel;
  const held = kernel.uses.map(use => ({
    ...use,
    device: use.device ?? '',
    bytes: use.bytes ?? 0
  }));
  const [only, ...rest] = held;
  if (only && rest.length === 0) {
    // A load counted on a simulated card says that it lies on the cpu.
    return [{ ...only, loads }];
  }
  const on = (device: string) => loads.filter(load => load.device === device);
  const told = new Set(held.map(place => place.device));
  const untold = new Set(
    loads.map(load => load.device).filter(d => !told.has(d))
  );
  return [
    ...held.map(place => ({ ...place, loads: on(place.device) })),
    ...[...untold].map(device => ({
      device,
      uuid: null,
      bytes: on(device).reduce((sum, load) => sum + load.bytes, 0),
      loads: on(device)
    }))
  ];
}
