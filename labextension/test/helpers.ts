import type { TranslationBundle } from '@jupyterlab/translation';

import type {
  Connection,
  Device,
  Entry,
  GpuStatus,
  KernelUse,
  Reading,
  Sample
} from '../src/api';

/** English as it stands in the source, with its arguments filled in. */
export const trans = {
  __: (text: string, ...args: unknown[]) => fill(text, args),
  _n: (one: string, many: string, count: number, ...args: unknown[]) =>
    fill(count === 1 ? one : many, [count, ...args])
} as unknown as TranslationBundle;

function fill(text: string, args: unknown[]): string {
  return text.replace(/%(\d)/g, (_, index: string) =>
    String(args[Number(index) - 1])
  );
}

export const CONNECTION: Connection = {
  name: 'weights',
  root: 'az://models',
  kind: 'az',
  identity: 'account key of mystorage',
  read_only: true,
  expires_at: null,
  problem: null
};

export function entry(key: string, change: Partial<Entry> = {}): Entry {
  const isFolder = key.endsWith('/');
  return {
    kind: isFolder ? 'folder' : 'object',
    name: key.replace(/\/$/, '').split('/').pop() ?? '',
    key,
    size_bytes: isFolder ? null : 10,
    modified: null,
    etag: null,
    tier: null,
    unreadable: null,
    ...change
  };
}

export function sample(
  cursor: number,
  utilization_ratio: number | null = 0.5
): Sample {
  return {
    cursor,
    time: cursor,
    storage_bytes_per_second: null,
    devices: [
      {
        uuid: 'A',
        memory_used_bytes: 14.9e9,
        utilization_ratio,
        temperature_celsius: 61,
        power_watts: 68
      }
    ]
  };
}

export function reading(change: Partial<Reading> = {}): Reading {
  return {
    memory_used_bytes: 14.9e9,
    memory_free_bytes: 8.6e9,
    memory_reserved_bytes: 0.5e9,
    utilization_ratio: 0.5,
    temperature_celsius: 61,
    power_watts: 68,
    power_limit_watts: 72,
    graphics_clock_hertz: 2.04e9,
    memory_clock_hertz: 6.25e9,
    throttled_by: [],
    fan_ratio: null,
    energy_joules: 1e6,
    ecc_corrected_count: 0,
    ecc_uncorrected_count: 0,
    remapped_rows_count: 0,
    needs_reset: false,
    pcie_generation: 4,
    pcie_width: 16,
    pcie_received_bytes_per_second: null,
    pcie_sent_bytes_per_second: null,
    unavailable: {},
    ...change
  };
}

export function device(change: Partial<Device> = {}): Device {
  return {
    index: 0,
    uuid: 'A',
    name: 'NVIDIA L4',
    memory_total_bytes: 24e9,
    slice_of: null,
    shares_memory: false,
    now: reading(),
    ...change
  };
}

export function status(change: Partial<GpuStatus> = {}): GpuStatus {
  return {
    version: '0.1.0',
    state: 'ok',
    reason: '',
    hint: '',
    simulated: false,
    stale: false,
    interval_seconds: 1,
    cursor: 1,
    devices: [device()],
    samples: [],
    kernels: [],
    ...change
  };
}

export function kernel(change: Partial<KernelUse>): KernelUse {
  return {
    id: 'k',
    path: 'train.ipynb',
    linked: true,
    state: 'idle',
    idle_seconds: 10,
    uses: [],
    loads: [],
    streams: [],
    ...change
  };
}
