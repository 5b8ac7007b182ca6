// An array as the drawing library sees it: a tiny tree of two ways to look. Pure.
// `/plot` is a group of NeXus with the array and its axes; `/values` is the array by index.

import type {
  AttributeValues,
  Dataset,
  DType,
  GroupWithChildren,
  ProvidedEntity
} from '@h5web/app';

import type { DatasetEntity } from './contract';
import { codeOf } from './values';
import type { ArrayView, PlotAxis } from './view';
import { plotAxes } from './view';
import { shownOf } from './window';

export const PLOT = '/plot';
export const VALUES = '/values';
export const SIGNAL = '/plot/values';

/** How an array is looked at. */
export type Look = 'plot' | 'values';

export interface Node {
  readonly entity: ProvidedEntity;
  readonly attributes: AttributeValues;
}

/** What the drawing library may ask for, by path. */
export function treeOf(view: ArrayView): ReadonlyMap<string, Node> {
  const values = valuesNode(view);
  const axes = plotAxes(view);
  const nodes = axes.length === 0 ? [] : plotNodes(view, axes);
  const all = [values, ...nodes];
  const root = group('/', {}, [values, ...nodes.slice(0, 1)]);
  return new Map([root, ...all].map(node => [node.entity.path, node]));
}

/** Whether the last axis are the colours of a picture. */
export function isPicture({ entity, window }: ArrayView): boolean {
  const code = codeOf(entity.value_dtype ?? '');
  const shown = shownOf(window);
  const last = shown.at(-1);
  return (
    shown.length >= 3 &&
    (last?.count === 3 || last?.count === 4) &&
    last.axis === entity.shape.length - 1 &&
    code?.kind === 'u' &&
    code.bytes === 1
  );
}

/** The path of an axis' numbers, or null: an index of h5web's own. */
export function axisOf(
  view: ArrayView,
  path: string
): Float64Array | undefined {
  const axes = plotAxes(view);
  const at = axes.findIndex((_, index) => axisPath(index) === path);
  return axes[at]?.values ?? undefined;
}

function plotNodes(view: ArrayView, axes: readonly PlotAxis[]): Node[] {
  const signal = dataset(SIGNAL, shapeOf(view), typeOf(view.entity), {
    long_name: titleOf(view.entity),
    units: view.entity.units,
    ...(isPicture(view) ? { interpretation: 'rgb-image' } : {})
  });
  const known = axes.flatMap((axis, at) =>
    axis.values
      ? [
          dataset(axisPath(at), [axis.values.length], numberType('f', 8), {
            long_name: axis.label,
            units: axis.unit
          })
        ]
      : []
  );
  const names = axes.map((axis, at) =>
    axis.values ? nameOf(axisPath(at)) : '.'
  );
  const attributes = {
    NX_class: 'NXdata',
    signal: nameOf(SIGNAL),
    axes: names
  };
  return [group(PLOT, attributes, [signal, ...known]), signal, ...known];
}

function valuesNode(view: ArrayView): Node {
  const node = dataset(VALUES, shapeOf(view), typeOf(view.entity), {
    long_name: titleOf(view.entity),
    units: view.entity.units,
    ...(isPicture(view) ? { CLASS: 'IMAGE' } : {})
  });
  // By index, the name is what stands above a picture.
  const entity = { ...node.entity, name: titleOf(view.entity) };
  return { ...node, entity };
}

function shapeOf(view: ArrayView): number[] {
  return shownOf(view.window).map(span => span.count);
}

/** '2 metre temperature (K)'. */
export function titleOf(entity: DatasetEntity): string {
  const name = entity.long_name === '' ? entity.name : entity.long_name;
  return entity.units === '' ? name : `${name} (${entity.units})`;
}

function typeOf({ value_dtype, dtype }: DatasetEntity): DType {
  const code = codeOf(value_dtype ?? '');
  if (!code) {
    throw new Error(`Values of type ${dtype} cannot be shown.`);
  }
  if (code.kind === 'c') {
    const part = numberType('f', code.bytes / 2);
    return { class: 'Complex', realType: part, imagType: part } as DType;
  }
  return numberType(code.kind, code.bytes);
}

function numberType(kind: string, bytes: number): DType {
  const common = { size: 8 * bytes, endianness: 'little-endian' };
  // The library's names are an enumeration, which exists in its own chunk only.
  return (kind === 'f'
    ? { class: 'Float', ...common }
    : {
        class: 'Integer',
        signed: kind === 'i',
        ...common
      }) as unknown as DType;
}

function dataset(
  path: string,
  shape: number[],
  type: DType,
  attributes: Readonly<Record<string, string>>
): Node & { readonly entity: Dataset } {
  const entity = {
    ...{ name: nameOf(path), path, kind: 'dataset', type },
    shape: shapeClass(shape),
    attributes: described(attributes)
  };
  return {
    entity: entity as unknown as Dataset,
    attributes: { ...attributes }
  };
}

function group(
  path: string,
  attributes: AttributeValues,
  children: readonly Node[]
): Node {
  const entity = {
    ...{ name: nameOf(path), path, kind: 'group' },
    attributes: described(attributes),
    children: children.map(child => child.entity)
  };
  return { entity: entity as unknown as GroupWithChildren, attributes };
}

function described(attributes: AttributeValues): object[] {
  const type = { class: 'String', charSet: 'UTF-8', strPad: 'null-terminated' };
  return Object.entries(attributes).map(([name, value]) => ({
    name,
    shape: shapeClass(Array.isArray(value) ? [value.length] : []),
    type
  }));
}

function shapeClass(dims: readonly number[]): object {
  return { class: dims.length === 0 ? 'Scalar' : 'Array', dims };
}

function axisPath(at: number): string {
  return `/plot/axis${at}`;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
