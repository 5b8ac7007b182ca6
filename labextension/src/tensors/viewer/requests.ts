// The questions of the viewer, and values that say how far they are.

import type { ServerConnection } from '@jupyterlab/services';

import type { Query } from '../../request';
import { ApiError, open, request } from '../../request';
import type { Attributes, Entity } from './contract';

export interface ValueQuery {
  readonly key: string;
  readonly path: string;
  readonly select: string;
  readonly stride: string;
  /** Of the answer; more is refused with a proposal. */
  readonly mostBytes: number;
  /** Empty: whichever is there. */
  readonly version: string;
}

export interface ValueAnswer {
  readonly buffer: ArrayBuffer;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** The endpoints, bound to one connection. */
export class ViewerApi {
  constructor(
    private readonly _settings: ServerConnection.ISettings,
    private readonly _connection: string
  ) {}

  entity(
    key: string,
    path: string,
    options: { version?: string; start?: number; signal?: AbortSignal } = {}
  ): Promise<Entity> {
    const { version = '', start = 0, signal } = options;
    const query: Query = {
      ...{ connection: this._connection, key, path },
      ...(version === '' ? {} : { version }),
      ...(start === 0 ? {} : { start })
    };
    return request(this._settings, 'tensors/entity', query, {
      signal: signal ?? null
    });
  }

  /** The attributes of a group or an array, of the version that was seen. */
  attributes(
    key: string,
    path: string,
    options: { readonly version: string; readonly signal: AbortSignal }
  ): Promise<Attributes> {
    const { version, signal } = options;
    const query = { connection: this._connection, key, path, version };
    return request(this._settings, 'tensors/attributes', query, { signal });
  }

  /**
   * Read values.
   *
   * @param onProgress - Told the part that has arrived, 0 to 1.
   * @throws ApiError - Also for an answer that ended before its end.
   */
  async value(
    query: ValueQuery,
    signal: AbortSignal,
    onProgress: (ratio: number) => void = () => undefined
  ): Promise<ValueAnswer> {
    const { key, path, select, stride, mostBytes, version } = query;
    const response = await open(
      this._settings,
      'tensors/value',
      {
        ...{ connection: this._connection, key, path, select, stride },
        most_bytes: mostBytes,
        ...(version === '' ? {} : { version })
      },
      { signal }
    );
    const shape = response.headers.get('X-Jupyter-Gpu-Ext-Shape') ?? '';
    return {
      buffer: await received(response, onProgress),
      dtype: response.headers.get('X-Jupyter-Gpu-Ext-Dtype') ?? '',
      shape: shape === '' ? [] : shape.split(',').map(Number)
    };
  }
}

/** All bytes of an answer whose length was said before. */
async function received(
  response: Response,
  onProgress: (ratio: number) => void
): Promise<ArrayBuffer> {
  const total = Number(response.headers.get('Content-Length') ?? 0);
  const bytes = new Uint8Array(total);
  let done = 0;
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const part = await reader?.read();
      if (!part || part.done) {
        break;
      }
      if (done + part.value.length > total) {
        throw cutShort();
      }
      bytes.set(part.value, done);
      done += part.value.length;
      onProgress(done / total);
    }
  } catch (error) {
    throw error instanceof DOMException && error.name === 'AbortError'
      ? error
      : cutShort();
  }
  if (done !== total) {
    throw cutShort();
  }
  return bytes.buffer;
}

function cutShort(): ApiError {
  return new ApiError(
    0,
    'cut_short',
    'The values ended before their end: what was read is damaged, or was replaced meanwhile.',
    'Ask again; the server then says which it is.'
  );
}
