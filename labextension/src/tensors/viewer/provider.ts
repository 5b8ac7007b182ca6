// What the drawing library asks of us. Loaded with it, not before.

import type {
  AttributeValues,
  BuiltInExporter,
  Dataset,
  Entity,
  ExportFormat,
  ExportURL,
  ProvidedEntity,
  ValuesStoreParams
} from '@h5web/app';
import { AbortError, DataProviderApi } from '@h5web/app';

import { ApiError } from '../../request';
import type { ViewReader } from './reading';
import { NotRead } from './reading';
import type { Node } from './tree';
import { PLOT, SIGNAL, VALUES, axisOf, treeOf } from './tree';
import type { ArrayView } from './view';
import { flipsOf } from './view';
import type { Slice } from './window';
import { shownOf, sliceOf } from './window';

export interface IDrawn {
  readonly view: ArrayView;
  readonly reader: ViewReader;
  /** The words for a failure. */
  readonly say: (error: unknown) => string;
  /** Values could not be read. */
  readonly onTrouble: () => void;
  /** Which slice is to be seen: once it is asked for, and as it is drawn. */
  readonly onSlice: (slice: Slice) => void;
  /** Something was read, or seen again. */
  readonly onUse: (params: ValuesStoreParams, bytes: number) => void;
}

export class Provider extends DataProviderApi {
  constructor(private readonly _drawn: IDrawn) {
    super(_drawn.view.entity.name);
    this._tree = treeOf(_drawn.view);
    this._flips = flipsOf(_drawn.view);
  }

  override async getEntity(path: string): Promise<ProvidedEntity> {
    return this._node(path).entity;
  }

  override async getAttrValues({ path }: Entity): Promise<AttributeValues> {
    return this._node(path).attributes;
  }

  override async getValue(
    params: ValuesStoreParams,
    signal: AbortSignal = new AbortController().signal,
    onProgress: (ratio: number) => void = () => undefined
  ): Promise<unknown> {
    const { dataset, selection } = params;
    const { view, reader, say, onSlice, onTrouble, onUse } = this._drawn;
    const numbers = axisOf(view, dataset.path);
    if (numbers) {
      return numbers;
    }
    const slice = sliceOf(selection, shownOf(view.window).length);
    // It is asked while the library draws.
    queueMicrotask(() => onSlice(slice));
    try {
      const flips = dataset.path === SIGNAL ? this._flips : [];
      const values = await reader.read(slice, flips, signal, onProgress);
      onUse(params, 'byteLength' in values ? values.byteLength : 0);
      return shownOf(view.window).length === 0 ? values[0] : values;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NotRead) {
        // The library then offers to try again.
        throw new AbortError(error.message);
      }
      onTrouble();
      throw new Error(say(error));
    }
  }

  /** Asked for whenever a picture is drawn, so it also tells what is seen. */
  override getExportURL(
    _format: ExportFormat,
    dataset: Dataset,
    selection?: string,
    exporter?: BuiltInExporter
  ): ExportURL | undefined {
    const { view, onSlice, onUse } = this._drawn;
    if (dataset.path === SIGNAL || dataset.path === VALUES) {
      const slice = sliceOf(selection, shownOf(view.window).length);
      queueMicrotask(() => {
        onSlice(slice);
        onUse(
          { dataset: dataset as ValuesStoreParams['dataset'], selection },
          0
        );
      });
    }
    return exporter ? async () => new Blob([exporter()]) : undefined;
  }

  private _node(path: string): Node {
    const node = this._tree.get(path);
    if (!node) {
      throw new ApiError(404, 'not_found', `There is nothing at ${path}.`, '');
    }
    return node;
  }

  private readonly _tree: ReadonlyMap<string, Node>;
  private readonly _flips: readonly boolean[];
}

export const PATH_OF = { plot: PLOT, values: VALUES } as const;
