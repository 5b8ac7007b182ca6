// What the server says of tensor files; mirrors server/openapi.yaml, name by
// name. A question mark: an older server, or another format, leaves it out.

import { nameUrl } from '../../storage/insert';
import type { Path } from '../../storage/target';

/** Which part of a file is meant. */
export interface Part extends Path {
  /** Globs over the names; empty: all of them. */
  readonly keys: readonly string[];
  readonly select?: string;
  readonly raw?: boolean;
}

/** A part of one array of a store. */
export interface ArrayPart extends Path {
  /** Its name below the key; empty where the key is the array. */
  readonly path: string;
  readonly select: string;
}

export interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly size_bytes: number;
  /** This and what follows: of Zarr and HDF5. null: stored in one piece. */
  readonly chunks?: readonly number[] | null;
  readonly shards?: readonly number[] | null;
  readonly codecs?: readonly string[];
  readonly dimensions?: readonly (string | null)[] | null;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly units?: string;
  readonly long_name?: string;
  readonly standard_name?: string;
  /** Why its values are not read; empty when they are. */
  readonly unreadable?: string;
}

export interface TensorGroup {
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** What is in it was not looked at yet. */
  readonly unread: boolean;
}

export interface TensorFile {
  readonly url: string;
  readonly kind:
    | 'torch'
    | 'safetensors'
    | 'npy'
    | 'npz'
    | 'torch-legacy'
    | 'torch-distributed'
    | 'zarr'
    | 'hdf5';
  readonly size_bytes: number;
  readonly tensor_count: number;
  readonly tensor_bytes: number;
  /** The first 5000. */
  readonly tensors: readonly Tensor[];
  readonly metadata: Readonly<Record<string, string>>;
  /** How it was read and what is left out, a sentence each. */
  readonly notes: readonly string[];
  readonly requests: number;
  readonly bytes_read: number;
  readonly groups?: readonly TensorGroup[];
  /** Zarr: one document described all; it is as old as its last writing. */
  readonly consolidated?: boolean;
  /** HDF5: links, which are shown and not followed. */
  readonly links?: readonly {
    readonly name: string;
    readonly target: string;
  }[];
}

/** What a load would request and hold. */
export interface Plan {
  readonly url: string;
  readonly tensor_count: number;
  readonly requests: number;
  readonly bytes_read: number;
  readonly bytes_used: number;
  readonly bytes_on_device: number;
  /** Chunks or shards. This and what follows: Zarr only. */
  readonly object_count?: number;
  /** Objects whose size is known; fewer: bytes_read is an estimate. */
  readonly sampled_count?: number;
  readonly host_bytes?: { readonly cpu: number; readonly device: number };
  readonly tensors?: readonly Tensor[];
  /** A load asks for just this; else the numbers are estimates. */
  readonly exact?: boolean;
  /** Chunks that are decoded or filled. */
  readonly chunk_count?: number;
  /** Of them, those that were never written; null: not all were looked at. */
  readonly missing_count?: number | null;
  /** Values in the chunks that are read for each one wanted; 0: none is. */
  readonly read_ratio?: number;
  readonly metadata_bytes?: number;
  readonly requests_by_class?: {
    readonly list: number;
    readonly head: number;
    readonly get: number;
  };
  /** null unless the person has set prices. */
  readonly price?: {
    readonly amount: number;
    readonly currency: string;
  } | null;
  /** What would make it cheaper, the most useful first. */
  readonly advice?: readonly Advice[];
}

export interface Advice {
  readonly kind: string;
  readonly array: string;
  /** What is so. */
  readonly text: string;
  /** What changing it gives, in numbers. */
  readonly effect: string;
  /** Python that writes the array anew as proposed. */
  readonly snippet: string;
}

/**
 * Which stored objects an array has, and which a selection touches. A cell is
 * a shard where there are shards, else a chunk; bits are base64 of bytes, the
 * least significant first.
 */
export interface ChunkMap {
  readonly shape: readonly number[];
  readonly dimensions: readonly (string | null)[] | null;
  readonly cell_shape: readonly number[];
  readonly chunk_shape: readonly number[];
  /** Cells along each axis; empty without axes, which is one cell. */
  readonly grid: readonly number[];
  readonly cell_count: number;
  /** A bit a cell, in C order; null: too many, or nobody may list. */
  readonly stored: string | null;
  readonly stored_count: number;
  /** Everything was listed: what is not stored is missing. */
  readonly complete: boolean;
  readonly limit: { readonly cells: number; readonly listed: number };
  /** Bits of the positions along each axis; null: too many cells. */
  readonly touched: readonly string[] | null;
  readonly touched_count: number;
  readonly requests: number;
}

/** One document a path. */
export function insideId({ connection, key }: Path): string {
  return `jupyter-gpu-ext-inside:${nameUrl(connection, key)}`;
}
