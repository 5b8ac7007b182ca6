import type { TranslationBundle } from '@jupyterlab/translation';

import type {
  Connection,
  Entry,
  GpuStatus,
  KernelUse,
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
    devices: [
      {
        uuid: 'A',
        memory_used_bytes: 14.9e9,
        utilization_ratio,
        unavailable: {}
      }
    ]
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
    devices: [
      { index: 0, uuid: 'A', name: 'NVIDIA L4', memory_total_bytes: 24e9 }
    ],
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
    held: [],
    loads: [],
    ...change
  };
}
