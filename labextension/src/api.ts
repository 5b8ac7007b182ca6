import type { ServerConnection } from '@jupyterlab/services';

import type {
  DoctorReport,
  GpuStatus,
  History,
  Released,
  RungName,
  Rungs
} from './gpu/contract';
import type { Query } from './request';
import { json, request, urlOf } from './request';
import type {
  ArrayPart,
  ChunkMap,
  Part,
  Plan,
  TensorFile
} from './tensors/inside/contract';

export type * from './gpu/contract';
export type * from './tensors/inside/contract';

// These mirror server/openapi.yaml, name by name.

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

export interface Connection {
  readonly name: string;
  readonly root: string;
  /** null: the connections file does not say it rightly. */
  readonly kind: string | null;
  readonly identity: string;
  readonly read_only: boolean;
  readonly expires_at: string | null;
  readonly problem: Problem | null;
}

/** What could be connected; never connected by itself. */
export interface Found {
  readonly label: string;
  readonly detail: string;
  readonly link: string;
}

export interface Connections {
  readonly connections: readonly Connection[];
  readonly file: string;
  readonly example: string;
  readonly found: readonly Found[];
}

export type Right = 'list' | 'read' | 'write' | 'delete';

/** What a link turned out to be. */
export interface Offer {
  readonly name: string;
  readonly root: string;
  readonly kind: string;
  readonly identity: string;
  readonly read_only: boolean;
  readonly expires_at: string | null;
  /** null: not known. */
  readonly grants: Readonly<Record<Right, boolean | null>>;
  /** The key of the only object that it opens. */
  readonly one_object: string | null;
  readonly checks: readonly {
    readonly what: 'list' | 'read' | 'write';
    readonly ok: boolean;
    readonly message: string;
  }[];
  readonly round_trip_seconds: number | null;
  readonly saved: boolean;
}

export interface OfferRequest {
  readonly link: string;
  readonly name?: string;
  readonly read_only?: boolean;
  readonly save?: boolean;
  /** The link takes the place of the one behind the connection `name`. */
  readonly renew?: boolean;
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

/** What is seen of a file that holds no tensors; never more than a part. */
export interface Preview {
  readonly kind: 'text' | 'csv' | 'json' | 'image' | 'parquet';
  readonly truncated: boolean;
  readonly text?: string;
  readonly columns?: readonly string[];
  readonly rows?: readonly (readonly string[])[];
  readonly media_type?: string;
  readonly base64?: string;
  readonly bytes_read: number;
}

/** What a row is: by its name, by its first bytes, by what lies in it. */
export type RowKind =
  | 'safetensors'
  | 'npy'
  | 'npz'
  | 'pt'
  | 'hdf5'
  | 'netcdf3'
  | 'zarr'
  | 'zarr2_array'
  | 'zarr2_group'
  | 'zarr3'
  | 'sharded'
  | 'distributed';

export interface KindsRequest {
  readonly connection: string;
  readonly rows: readonly Pick<Entry, 'key' | 'etag'>[];
}

export interface KindsAnswer {
  readonly kinds: Readonly<Record<string, RowKind | null>>;
  /** The keys that storage did not answer for in time. */
  readonly later: readonly string[];
}

/** An upload that the server keeps until it is committed or aborted. */
export interface UploadSession {
  readonly id: string;
  readonly block_bytes: number;
  /** The indices of the blocks that have arrived. */
  readonly received: readonly number[];
}

export interface UploadRequest {
  readonly connection: string;
  readonly key: string;
  readonly size_bytes: number;
  readonly overwrite?: boolean;
  readonly resume_id?: string;
}

export interface Change {
  readonly connection: string;
  readonly key: string;
  readonly to: string;
  readonly overwrite?: boolean;
  readonly move?: boolean;
}

export interface ShareLink {
  readonly url: string;
  readonly expires_at: string;
}

export type Doomed =
  | { readonly connection: string; readonly keys: readonly string[] }
  | { readonly connection: string; readonly prefix: string };

/** A job of the server. */
export interface Transfer {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly done: number;
  readonly total: number | null;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly failed: readonly {
    readonly key: string;
    readonly code: string;
    readonly message: string;
  }[];
}

/** The endpoints, bound to one server. */
export class Api {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  gpuStatus(since: number): Promise<GpuStatus> {
    return request(this._settings, 'gpu/status', { since });
  }

  gpuHistory(): Promise<History> {
    return request(this._settings, 'gpu/history');
  }

  /** What could be freed of a kernel's device memory, and at what price. */
  rungs(kernel: string): Promise<Rungs> {
    return request(this._settings, releasePath(kernel));
  }

  release(kernel: string, rung: RungName): Promise<Released> {
    return this._send(releasePath(kernel), 'POST', { rung });
  }

  /** Look at the server, and at a kernel if one is named; takes seconds. */
  doctor(kernel: string | null, signal: AbortSignal): Promise<DoctorReport> {
    const query: Query = kernel === null ? {} : { kernel };
    return request(this._settings, 'gpu/doctor', query, { signal });
  }

  connections(): Promise<Connections> {
    return request(this._settings, 'storage/connections');
  }

  /** Ask what a link is; with `save`, keep it as a connection. */
  offer(body: OfferRequest): Promise<Offer> {
    return this._send('storage/connections', 'POST', body);
  }

  disconnect(name: string): Promise<object> {
    return this._delete('storage/connections', { name });
  }

  list(
    connection: string,
    prefix: string,
    options: { limit: number; token: string | null; search: string }
  ): Promise<Page> {
    const { limit, token, search } = options;
    return request(this._settings, 'storage/list', {
      connection,
      prefix,
      limit,
      // `token` would be taken for Jupyter's own.
      ...(token === null ? {} : { page_token: token }),
      ...(search === '' ? {} : { search })
    });
  }

  properties(connection: string, key: string): Promise<Entry> {
    return request(this._settings, 'storage/object', { connection, key });
  }

  change(body: Change): Promise<Entry> {
    return this._send('storage/object', 'PATCH', body);
  }

  remove(
    connection: string,
    key: string,
    etag: string | null
  ): Promise<object> {
    const query = { connection, key, ...(etag === null ? {} : { etag }) };
    return this._delete('storage/object', query);
  }

  makeFolder(connection: string, key: string): Promise<Entry> {
    return this._send('storage/folders', 'POST', { connection, key });
  }

  share(connection: string, key: string, minutes: number): Promise<ShareLink> {
    const body = { connection, key, minutes };
    return this._send('storage/share', 'POST', body);
  }

  downloadUrl(connection: string, key: string): string {
    return urlOf(this._settings, 'storage/download', { connection, key });
  }

  openUpload(body: UploadRequest): Promise<UploadSession> {
    return this._send('storage/uploads', 'POST', body);
  }

  putBlock(
    id: string,
    index: number,
    body: Blob,
    signal: AbortSignal
  ): Promise<Pick<UploadSession, 'received'>> {
    const headers = { 'Content-Type': 'application/octet-stream' };
    const init = { method: 'PUT', body, signal, headers };
    return request(this._settings, `storage/uploads/${id}/${index}`, {}, init);
  }

  commitUpload(id: string): Promise<Entry> {
    return this._send(`storage/uploads/${id}`, 'POST', {});
  }

  abortUpload(id: string): Promise<object> {
    return this._delete(`storage/uploads/${id}`, {});
  }

  startDeletion(body: Doomed): Promise<Pick<Transfer, 'id'>> {
    return this._send('storage/deletions', 'POST', body);
  }

  transfers(): Promise<{ transfers: readonly Transfer[] }> {
    return request(this._settings, 'transfers');
  }

  cancelTransfer(id: string): Promise<object> {
    return this._delete(`transfers/${id}`, {});
  }

  preview(connection: string, key: string): Promise<Preview> {
    return request(this._settings, 'tensors/preview', { connection, key });
  }

  /** What rows are, for their badges. */
  kinds(body: KindsRequest, signal: AbortSignal): Promise<KindsAnswer> {
    const init = { ...json('POST', body), signal };
    return request(this._settings, 'tensors/kinds', {}, init);
  }

  tensorInfo(
    connection: string,
    key: string,
    signal?: AbortSignal,
    options: { readonly deep?: boolean } = {}
  ): Promise<TensorFile> {
    const query = { connection, key, ...options };
    return request(this._settings, 'tensors/info', query, { signal });
  }

  /** What a load of a part would request and hold. */
  tensorPlan(part: Part, signal: AbortSignal): Promise<Plan> {
    const { connection, key, keys, select = '', raw = false } = part;
    const query = { connection, key, keys, select, raw };
    return request(this._settings, 'tensors/plan', query, { signal });
  }

  /** Which chunks of an array are stored, and which a part touches. */
  tensorChunks(part: ArrayPart, signal: AbortSignal): Promise<ChunkMap> {
    const query: Query = { ...part };
    return request(this._settings, 'tensors/chunks', query, { signal });
  }

  private _send<T>(path: string, method: string, body: object): Promise<T> {
    return request(this._settings, path, {}, json(method, body));
  }

  private _delete(path: string, query: Query): Promise<object> {
    return request(this._settings, path, query, { method: 'DELETE' });
  }
}

function releasePath(kernel: string): string {
  return `gpu/kernels/${encodeURIComponent(kernel)}/release`;
}
