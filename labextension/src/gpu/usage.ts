import type { GpuStatus, KernelUse, Load, Use } from '../api';

/** What one notebook holds on one device. */
export interface Share {
  readonly kernelId: string;
  readonly path: string;
  /** Whether the notebook's kernel has the extension loaded. */
  readonly linked: boolean;
  readonly idleSeconds: number | null;
  /** Torch's name of the device in that notebook: cuda:0; '' where unknown. */
  readonly device: string;
  /** null: it uses the device, and nobody says how much. */
  readonly bytes: number | null;
  readonly peakBytes: number | null;
  readonly cachedBytes: number | null;
  readonly how: Use['how'];
  readonly loads: readonly Load[];
  /** Which colour of the palette is this notebook's, everywhere. */
  readonly color: number;
}

export const COLORS = 5;

/** What names a share among those of a card. */
export function shareKey(share: Share): string {
  return `${share.kernelId} ${share.device}`;
}

/** The notebooks holding memory on a device, the largest first. */
export function sharesOf(kernels: readonly KernelUse[], uuid: string): Share[] {
  return shares(kernels, used => used === uuid).sort(
    (one, other) => (other.bytes ?? -1) - (one.bytes ?? -1)
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
  const named = found.filter(share => share.device !== '');
  return (
    named.find(share => share.kernelId === currentKernelId) ??
    (named.length === 1 ? named[0] : undefined)
  );
}

/** Bytes in use that no notebook told of; null when the sensor is silent. */
export function othersBytes(
  used: number | null,
  found: readonly Share[]
): number | null {
  const known = found.reduce((sum, share) => sum + (share.bytes ?? 0), 0);
  return used === null ? null : Math.max(0, used - known);
}

function shares(
  kernels: readonly KernelUse[],
  wanted: (uuid: string | null) => boolean
): Share[] {
  return kernels.flatMap((kernel, index) =>
    placesOf(kernel)
      .filter(place => wanted(place.uuid))
      .map(place => ({
        kernelId: kernel.id,
        path: kernel.path,
        linked: kernel.linked,
        idleSeconds: kernel.idle_seconds,
        device: place.device ?? '',
        bytes: place.bytes,
        peakBytes: place.peak_bytes,
        cachedBytes: place.cached_bytes,
        how: place.how,
        loads: place.loads,
        color: index % COLORS
      }))
      .filter(share => share.bytes !== 0 || share.loads.length > 0)
  );
}

type Place = Use & { readonly loads: readonly Load[] };

/** Where a kernel holds memory, each place with its loads; no load is lost. */
function placesOf(kernel: KernelUse): Place[] {
  const { loads, uses } = kernel;
  const [only, ...rest] = uses;
  if (only && rest.length === 0) {
    // A load counted on a simulated card says that it lies on the cpu.
    return [{ ...only, loads }];
  }
  const on = (device: string | null) =>
    loads.filter(load => load.device === device);
  const told = new Set(uses.map(use => use.device));
  const untold = new Set(
    loads.map(load => load.device).filter(device => !told.has(device))
  );
  return [
    ...uses.map(use => ({ ...use, loads: on(use.device) })),
    ...[...untold].map(device => placeOfLoads(device, on(device)))
  ];
}

/** Loads on a device of which the kernel told nothing else. */
function placeOfLoads(device: string, loads: readonly Load[]): Place {
  return {
    uuid: null,
    device,
    bytes: loads.reduce((sum, load) => sum + load.bytes, 0),
    peak_bytes: null,
    cached_bytes: null,
    how: 'report',
    loads
  };
}
