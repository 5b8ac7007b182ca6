import type { Device, GpuStatus, KernelUse } from '../api';

export type AlertKind = 'hot' | 'full' | 'ecc' | 'reset' | 'idle';

/** Something that a person would want to be told of. */
export interface Alert {
  readonly kind: AlertKind;
  /** Of what: a device's uuid, or a kernel's id. */
  readonly subject: string;
  readonly device: Device | null;
  readonly kernel: KernelUse | null;
}

export interface Thresholds {
  readonly hotCelsius: number;
  readonly fullRatio: number;
  readonly idleSeconds: number;
  readonly idleBytes: number;
}

export const DEFAULT_THRESHOLDS: Thresholds = {
  hotCelsius: 87,
  fullRatio: 0.95,
  idleSeconds: 3600,
  idleBytes: 1e9
};

/** What was true and said before. */
export interface AlertMemory {
  /** What is the matter now, as `kind subject`. */
  readonly present: ReadonlySet<string>;
  /** When each was said, in seconds. */
  readonly saidAt: ReadonlyMap<string, number>;
  /** Uncorrected memory errors, by device. */
  readonly errors: ReadonlyMap<string, number>;
}

export const NOTHING_SAID: AlertMemory = {
  present: new Set(),
  saidAt: new Map(),
  errors: new Map()
};

/** The same is not said again within. */
export const QUIET_SECONDS = 600;

/**
 * What to say of a status that has just come, and what to remember.
 *
 * Each trouble is said when it begins, and again only when it ended and came
 * back at least ten minutes later.
 */
export function decide(
  status: GpuStatus,
  memory: AlertMemory,
  thresholds: Thresholds,
  now: number
): { readonly alerts: readonly Alert[]; readonly memory: AlertMemory } {
  const troubles = [
    ...status.devices.flatMap(device =>
      deviceTroubles(device, memory.errors, thresholds)
    ),
    ...status.kernels.filter(kernel => isIdle(kernel, thresholds)).map(idle)
  ];
  const alerts = troubles.filter(
    trouble =>
      !memory.present.has(keyOf(trouble)) &&
      now - (memory.saidAt.get(keyOf(trouble)) ?? -Infinity) >= QUIET_SECONDS
  );
  return {
    alerts,
    memory: {
      present: new Set(troubles.map(keyOf)),
      saidAt: new Map([
        ...memory.saidAt,
        ...alerts.map(alert => [keyOf(alert), now] as const)
      ]),
      errors: new Map([...memory.errors, ...errorsOf(status.devices)])
    }
  };
}

function keyOf({ kind, subject }: Alert): string {
  return `${kind} ${subject}`;
}

function deviceTroubles(
  device: Device,
  errors: ReadonlyMap<string, number>,
  thresholds: Thresholds
): Alert[] {
  const { now, uuid } = device;
  const before = errors.get(uuid);
  const count = now?.ecc_uncorrected_count ?? null;
  const checks: readonly (readonly [AlertKind, boolean])[] = [
    ['hot', isHot(device, thresholds)],
    ['full', isFull(device, thresholds)],
    ['ecc', before !== undefined && count !== null && count > before],
    ['reset', now?.needs_reset === true]
  ];
  return checks
    .filter(([, isTrue]) => isTrue)
    .map(([kind]) => ({ kind, subject: uuid, device, kernel: null }));
}

/** The server's words for what the driver does against heat. */
const HEAT = new Set(['temperature', 'overheating']);

/** Whether heat slows a device down. */
export function isSlowedByHeat({ now }: Device): boolean {
  return (now?.throttled_by ?? []).some(reason => HEAT.has(reason));
}

function isHot(device: Device, { hotCelsius }: Thresholds): boolean {
  const celsius = device.now?.temperature_celsius ?? -Infinity;
  return celsius >= hotCelsius || isSlowedByHeat(device);
}

function isFull(device: Device, { fullRatio }: Thresholds): boolean {
  const { memory_total_bytes: total, now, shares_memory: isShared } = device;
  const used = now?.memory_used_bytes ?? null;
  // Where memory is the system's, it fills with what can be dropped at once.
  return (
    !isShared && total !== null && used !== null && used >= fullRatio * total
  );
}

function isIdle(kernel: KernelUse, thresholds: Thresholds): boolean {
  const held = kernel.uses
    .filter(use => use.uuid !== null)
    .reduce((sum, use) => sum + (use.bytes ?? 0), 0);
  return (
    held > thresholds.idleBytes &&
    (kernel.idle_seconds ?? 0) > thresholds.idleSeconds
  );
}

function idle(kernel: KernelUse): Alert {
  return { kind: 'idle', subject: kernel.id, device: null, kernel };
}

function errorsOf(devices: readonly Device[]): (readonly [string, number])[] {
  return devices.flatMap(({ uuid, now }) => {
    const count = now?.ecc_uncorrected_count ?? null;
    return count === null ? [] : [[uuid, count] as const];
  });
}
