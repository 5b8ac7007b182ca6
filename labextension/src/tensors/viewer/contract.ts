// What the array viewer is told. These mirror server/openapi.yaml, name by name.

export interface AttributeInfo {
  readonly name: string;
  readonly dtype: 'str' | 'int64' | 'float64' | 'bool' | 'json';
  readonly shape: readonly number[];
}

/** By name, long ones cut; what JSON has no number for is its name. */
export type Attributes = Readonly<Record<string, unknown>>;

export interface EntityChild {
  readonly name: string;
  readonly path: string;
  readonly kind: 'group' | 'dataset';
  readonly dtype: string | null;
  readonly shape: readonly number[] | null;
  /** An older server leaves it out. */
  readonly dimension_names?: readonly (string | null)[] | null;
}

export interface CoordinateInfo {
  readonly axis: number;
  readonly name: string;
  /** Of the store that has it, which may be another one. */
  readonly key: string;
  readonly path: string;
  readonly kind: 'latitude' | 'longitude' | 'time' | 'other';
  readonly descending: boolean | null;
}

interface IEntity {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly attributes: readonly AttributeInfo[];
}

export interface GroupEntity extends IEntity {
  readonly kind: 'group';
  readonly children: readonly EntityChild[];
  readonly child_count: number;
  readonly more: boolean;
}

export interface DatasetEntity extends IEntity {
  readonly kind: 'dataset';
  readonly shape: readonly number[];
  readonly dtype: string;
  /** numpy's code of what is sent; null: its values cannot be read. */
  readonly value_dtype: string | null;
  readonly unreadable: string;
  /** The values are sent as milliseconds since 1970. */
  readonly time: boolean;
  readonly units: string;
  readonly long_name: string;
  readonly chunks: readonly number[] | null;
  readonly shards: readonly number[] | null;
  readonly dimension_names: readonly (string | null)[] | null;
  readonly coordinates: readonly CoordinateInfo[];
  readonly north_up: boolean | null;
  readonly size_bytes: number;
}

export type Entity = GroupEntity | DatasetEntity;

/** What a refusal with 413 proposes; null where nothing of it is known. */
export interface TooLarge {
  readonly sizeBytes: number;
  readonly stride: readonly number[];
  readonly strideBytes: number;
  readonly readBytes: number;
}

/** What the viewer is opened with; the path and the selection may be empty. */
export interface ViewTarget {
  readonly connection: string;
  readonly key: string;
  readonly path: string;
  readonly select: string;
}

/** Read a mime bundle's value, or a command's arguments; null: not one. */
export function targetOf(value: unknown): ViewTarget | null {
  const data: Record<string, unknown> =
    typeof value === 'object' && value !== null ? { ...value } : {};
  const { connection, key, path = '', select = '' } = data;
  return typeof connection === 'string' &&
    connection !== '' &&
    typeof key === 'string' &&
    typeof path === 'string' &&
    typeof select === 'string'
    ? { connection, key, path, select }
    : null;
}

/** One viewer shows one file or store. */
export function viewerId({ connection, key }: ViewTarget): string {
  // A store is named with its folder's slash, or without.
  return `jupyter-gpu-ext-view-${connection}://${key.replace(/\/$/, '')}`;
}

/** Read the details of a refusal with 413; null: nothing is proposed. */
export function tooLargeOf(
  details: Readonly<Record<string, unknown>>
): TooLarge | null {
  const { size_bytes, stride, stride_bytes, read_bytes } = details;
  const isStride =
    Array.isArray(stride) && stride.every(step => typeof step === 'number');
  return typeof size_bytes === 'number' && isStride
    ? {
        sizeBytes: size_bytes,
        stride: stride as number[],
        strideBytes: typeof stride_bytes === 'number' ? stride_bytes : 0,
        readBytes: typeof read_bytes === 'number' ? read_bytes : 0
      }
    : null;
}
