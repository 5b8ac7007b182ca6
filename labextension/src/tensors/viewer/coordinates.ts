// The coordinates of an array's axes, and where a label lies among them.

import type { CoordinateInfo, DatasetEntity } from './contract';
import type { ViewerApi } from './requests';
import { numbersOf } from './values';
import type { Coordinate } from './view';
import { isAxis } from './view';
import type { Span, Window } from './window';
import { SelectionError, termsOf, wholeOf } from './window';

/** A coordinate is read whole; longer ones are counted instead. */
const MOST_COORDINATE_BYTES = 8 * 2 ** 20;

interface IWhere {
  readonly api: ViewerApi;
  readonly key: string;
  readonly version: string;
  readonly signal: AbortSignal;
}

interface ICoordinates {
  readonly coordinates: readonly Coordinate[];
  /** The names of those that could not be used. */
  readonly missing: readonly string[];
}

/** Read the coordinates of an array; one that cannot be an axis is left out. */
export async function coordinatesOf(
  entity: DatasetEntity,
  where: IWhere
): Promise<ICoordinates> {
  const found = await Promise.all(
    entity.coordinates.map(info => coordinateOf(info, entity, where))
  );
  const missing = entity.coordinates.filter((_, at) => !found[at]);
  return {
    coordinates: found.filter(one => one !== null),
    missing: missing.map(info => info.name)
  };
}

async function coordinateOf(
  info: CoordinateInfo,
  { shape }: DatasetEntity,
  where: IWhere
): Promise<Coordinate | null> {
  const { axis, key, path, name, kind } = info;
  const { api, signal } = where;
  const version = key === where.key ? where.version : '';
  try {
    const [about, answer] = await Promise.all([
      api.entity(key, path, { version, signal }),
      api.value({ ...wholeQuery(key, path), version }, signal)
    ]);
    const values = realNumbers(answer.buffer, answer.dtype);
    if (
      about.kind !== 'dataset' ||
      values.length !== shape[axis] ||
      !isAxis(values)
    ) {
      return null;
    }
    return {
      ...{ axis, name, kind, values },
      units: about.time ? '' : about.units,
      isDate: about.time
    };
  } catch (error) {
    if (signal.aborted) {
      throw error;
    }
    return null;
  }
}

function wholeQuery(key: string, path: string) {
  const mostBytes = MOST_COORDINATE_BYTES;
  return { key, path, select: '', stride: '', mostBytes };
}

function realNumbers(buffer: ArrayBuffer, dtype: string): Float64Array {
  return Float64Array.from(numbersOf(buffer, dtype) as Float64Array, Number);
}

/**
 * The window of a selection by label. The server says which labels are meant,
 * as it does in a load; here it is only found where they lie.
 *
 * @throws SelectionError - For a name that is no dimension with labels.
 */
export async function labelledWindow(
  select: string,
  entity: DatasetEntity,
  known: readonly Coordinate[],
  where: IWhere
): Promise<Window> {
  const window = [...wholeOf(entity.shape)];
  for (const term of termsOf(select)) {
    const name = term.split('=', 1)[0]?.trim() ?? '';
    const info = entity.coordinates.find(one => one.name === name);
    const coordinate = known.find(one => one.name === name);
    if (!info || !coordinate) {
      const names = known.map(one => one.name).join(', ');
      throw new SelectionError(
        `“${term}” names no axis with labels; there are: ${names || 'none'}.`
      );
    }
    const query = wholeQuery(info.key, info.path);
    const version = info.key === where.key ? where.version : '';
    const answer = await where.api.value(
      { ...query, select: term, version },
      where.signal
    );
    const values = realNumbers(answer.buffer, answer.dtype);
    window[info.axis] = spanOf(values, coordinate.values, answer.shape.length);
  }
  return window;
}

/**
 * Where some entries of a coordinate lie in it.
 *
 * @param axes - 0: a single entry, of which no axis is left.
 */
export function spanOf(
  some: Float64Array,
  all: Float64Array,
  axes: number
): Span | number {
  const start = all.indexOf(some[0] ?? Number.NaN);
  const next = all.indexOf(some[1] ?? Number.NaN);
  if (start < 0) {
    throw new SelectionError('Nothing has this label.');
  }
  if (axes === 0) {
    return start;
  }
  return { start, step: Math.max(1, next - start), count: some.length };
}
