import type { Device } from '../api';

export interface Group {
  readonly device: Device;
  readonly slices: readonly Device[];
}

/** Each card with its MIG slices; a slice whose card is not seen stands alone. */
export function groupsOf(devices: readonly Device[]): Group[] {
  const known = new Set(devices.map(device => device.uuid));
  const isSlice = ({ slice_of: card }: Device) =>
    card !== null && known.has(card);
  return devices
    .filter(device => !isSlice(device))
    .map(device => ({
      device,
      slices: devices.filter(other => other.slice_of === device.uuid)
    }));
}
