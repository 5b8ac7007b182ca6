import type { ServerConnection } from '@jupyterlab/services';

import { request } from './request';

// These mirror server/openapi.yaml, name by name.

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface Device {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly memory_total_bytes: number | null;
}

export interface DeviceSample {
  readonly uuid: string;
  readonly memory_used_bytes: number | null;
  /** 0 to 1. */
  readonly utilization_ratio: number | null;
  /** Field name to the reason it is null. */
  readonly unavailable: Readonly<Record<string, string>>;
}

export interface Sample {
  readonly cursor: number;
  /** Seconds since the epoch. */
  readonly time: number;
  readonly devices: readonly DeviceSample[];
}

export interface Held {
  readonly device: string;
  readonly uuid: string | null;
  readonly bytes: number;
}

export interface Load {
  readonly name: string;
  readonly url: string;
  readonly device: string;
  readonly bytes: number;
}

export interface KernelUse {
  readonly id: string;
  readonly path: string;
  readonly linked: boolean;
  readonly held: readonly Held[];
  readonly loads: readonly Load[];
}

export interface GpuStatus {
  readonly version: string;
  readonly state: 'starting' | 'ok' | 'no_gpu' | 'blocked' | 'broken';
  readonly reason: string;
  readonly hint: string;
  readonly simulated: boolean;
  readonly stale: boolean;
  readonly interval_seconds: number;
  readonly cursor: number;
  readonly devices: readonly Device[];
  readonly samples: readonly Sample[];
  readonly kernels: readonly KernelUse[];
}

export interface Connection {
  readonly name: string;
  readonly root: string;
  readonly identity: string;
  readonly read_only: boolean;
  readonly problem: Problem | null;
}

export interface Connections {
  readonly connections: readonly Connection[];
  readonly file: string;
  readonly example: string;
}

export interface Entry {
  readonly kind: 'folder' | 'object';
  readonly name: string;
  /** Byte-exact; a folder's ends with a slash. */
  readonly key: string;
  readonly size_bytes: number | null;
  readonly modified: string | null;
  readonly etag: string | null;
  readonly tier: string | null;
  /** Why this name cannot be opened. */
  readonly unreadable: string | null;
}

export interface Page {
  readonly connection: string;
  readonly prefix: string;
  readonly entries: readonly Entry[];
  readonly next_token: string | null;
}

export interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly size_bytes: number;
}

export interface TensorFile {
  readonly url: string;
  readonly kind: 'torch' | 'safetensors';
  readonly size_bytes: number;
  readonly tensor_count: number;
  readonly tensor_bytes: number;
  /** The first 5000. */
  readonly tensors: readonly Tensor[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly requests: number;
  readonly bytes_read: number;
}

/** The endpoints, bound to one server. */
export class Api {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  gpuStatus(since: number): Promise<GpuStatus> {
    return request(this._settings, 'gpu/status', { since });
  }

  connections(): Promise<Connections> {
    return request(this._settings, 'storage/connections');
  }

  list(
    connection: string,
    prefix: string,
    options: { limit: number; token: string | null }
  ): Promise<Page> {
    const { limit, token } = options;
    return request(this._settings, 'storage/list', {
      connection,
      prefix,
      limit,
      ...(token === null ? {} : { page_token: token })
    });
  }

  tensorInfo(connection: string, key: string): Promise<TensorFile> {
    return request(this._settings, 'tensors/info', { connection, key });
  }
}
