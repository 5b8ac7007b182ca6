// What the panels insert, for the Python tests that run it: cases in, sources out.

import { readFileSync } from 'node:fs';

import type { Plan, TensorFile } from '../src/api';
import { datasetSource } from '../src/storage/datasetcode';
import { storeStream, streamSource } from '../src/storage/streamcode';
import type { Path } from '../src/storage/target';
import { xarrayCode, xarrayObstacle } from '../src/tensors/inside/insertcode';
import { partStream } from '../src/tensors/inside/streampart';
import * as viewer from '../src/tensors/viewer/code';
import type {
  DatasetEntity,
  EntityChild
} from '../src/tensors/viewer/contract';
import { shownOf, windowOf } from '../src/tensors/viewer/window';

interface ICase extends Path {
  readonly from: 'tree' | 'inside' | 'viewer';
  readonly as: 'stream' | 'xarray';
  readonly file: TensorFile;
  readonly name: string;
  readonly select: string;
  readonly plan: Plan;
  readonly entity: DatasetEntity;
  readonly siblings: readonly EntityChild[];
  readonly isAlone: boolean;
}

/** null: nothing is offered. */
function sourceOf(one: ICase): string | null {
  const isStream = one.as === 'stream';
  switch (one.from) {
    case 'tree': {
      const streamed = storeStream(one, one.file);
      return isStream
        ? streamed && streamSource(streamed, [])
        : datasetSource(one, one.file, []);
    }
    case 'inside':
      return insideSource(one, isStream);
    case 'viewer': {
      const { entity, connection, key, select, isAlone } = one;
      const window = windowOf(select, entity.shape);
      const view = { entity, window, coordinates: [] };
      const slice = shownOf(window).map(() => null);
      const seen = { connection, key, view, select, slice, flips: [], isAlone };
      if (isStream) {
        return viewer.streamCode(seen, []);
      }
      return viewer.canXarray(view, key, isAlone, one.siblings)
        ? viewer.xarrayCode(seen, [])
        : null;
    }
  }
}

function insideSource(one: ICase, isStream: boolean): string | null {
  const { file, name, select, plan } = one;
  const path = { connection: one.connection, key: one.key };
  const tensor = file.tensors.find(found => found.name === name);
  if (!tensor) {
    return null;
  }
  if (isStream) {
    const part = { select, plan, raw: false };
    const streamed = partStream(path, file, tensor, part);
    return streamed && streamSource(streamed, []);
  }
  return xarrayObstacle(path, file, tensor) === ''
    ? xarrayCode(path, file, tensor, select, [])
    : null;
}

const cases = JSON.parse(readFileSync(0, 'utf8')) as ICase[];
process.stdout.write(JSON.stringify(cases.map(sourceOf)));
