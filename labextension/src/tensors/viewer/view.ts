// What is shown of an array: its window, its axes with their coordinates. Pure.

import type { DatasetEntity } from './contract';
import { dateAxis, momentText } from './dates';
import type { Slice, Span, Window } from './window';
import { indexOf, shownOf } from './window';

/** The coordinate of an array's axis, a number for each of its entries. */
export interface Coordinate {
  readonly axis: number;
  readonly name: string;
  readonly kind: 'latitude' | 'longitude' | 'time' | 'other';
  readonly units: string;
  /** Of dates milliseconds since 1970. */
  readonly isDate: boolean;
  readonly values: Float64Array;
}

export interface ArrayView {
  readonly entity: DatasetEntity;
  readonly window: Window;
  readonly coordinates: readonly Coordinate[];
}

/** An axis that is shown, as a plot has it. */
export interface PlotAxis {
  readonly axis: number;
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  /** Entry 0 of the plot is the array's last. */
  readonly flipped: boolean;
  /** null: too many entries to number them one by one. */
  readonly values: Float64Array | null;
}

/** Longer axes are numbered by the plot itself. */
const MOST_ENTRIES = 1_000_000;

/** Whether an axis can carry these numbers: all are there, in one direction. */
export function isAxis(values: Float64Array): boolean {
  const first = values[0] ?? Number.NaN;
  const direction = Math.sign((values[1] ?? first) - first);
  return values.every(
    (value, at) =>
      Number.isFinite(value) &&
      (at === 0 || Math.sign(value - (values[at - 1] ?? value)) === direction)
  );
}

export function coordinateOf(
  view: ArrayView,
  axis: number
): Coordinate | undefined {
  return view.coordinates.find(one => one.axis === axis);
}

export function axisName(view: ArrayView, axis: number): string {
  return (
    coordinateOf(view, axis)?.name ??
    view.entity.dimension_names?.[axis] ??
    `axis ${axis}`
  );
}

/** The axes of a plot over coordinates; a map's north is up. */
export function plotAxes(view: ArrayView): readonly PlotAxis[] {
  return shownOf(view.window).map(span => {
    const coordinate = coordinateOf(view, span.axis);
    const name = axisName(view, span.axis);
    if (!coordinate) {
      const flips = { axis: span.axis, name, flipped: false };
      return { ...flips, label: name, unit: '', values: numbersOf(span) };
    }
    const there = pick(coordinate.values, span);
    // A plot begins at the bottom, and so does north where it comes first.
    const flipped =
      coordinate.kind === 'latitude' && (there[0] ?? 0) > (there.at(-1) ?? 0);
    const values = flipped ? there.reverse() : there;
    return { axis: span.axis, name, flipped, ...labelled(coordinate, values) };
  });
}

/** Which axes a plot over coordinates has in the opposite direction. */
export function flipsOf(view: ArrayView): readonly boolean[] {
  return plotAxes(view).map(axis => axis.flipped);
}

/** 'time[9] = 2020-01-03 06:00' for each axis of which one entry is seen. */
export function placesOf(
  view: ArrayView,
  slice: Slice,
  flips: readonly boolean[]
): readonly string[] {
  let at = -1;
  return view.window.flatMap((span, axis) => {
    if (typeof span === 'number') {
      return [placeText(view, axis, span)];
    }
    at += 1;
    const entry = slice[at] ?? null;
    return entry === null
      ? []
      : [placeText(view, axis, indexOf(span, entry, flips[at] ?? false))];
  });
}

function placeText(view: ArrayView, axis: number, index: number): string {
  const coordinate = coordinateOf(view, axis);
  const value = coordinate?.values[index];
  return coordinate && value !== undefined
    ? `${coordinate.name}[${index}] = ${valueText(coordinate, value)}`
    : `${axisName(view, axis)} = ${index}`;
}

function valueText(coordinate: Coordinate, value: number): string {
  if (coordinate.isDate) {
    return momentText(value);
  }
  // Digits that only a 32-bit number's rounding has brought are no news.
  const short = Number(value.toPrecision(7));
  const unit = unitOf(coordinate);
  return unit === '' || unit === '°' ? `${short}${unit}` : `${short} ${unit}`;
}

function unitOf({ units }: Coordinate): string {
  return /^degrees?(_?(north|east|N|E|S|W))?$/.test(units) ? '°' : units;
}

function labelled(
  coordinate: Coordinate,
  values: Float64Array
): { label: string; unit: string; values: Float64Array } {
  if (coordinate.isDate) {
    const dates = dateAxis(values);
    const label = `${coordinate.name} (${dates.unit})`;
    return { label, unit: dates.unit, values: dates.values };
  }
  const unit = unitOf(coordinate);
  const label = unit === '' ? coordinate.name : `${coordinate.name} (${unit})`;
  return { label, unit, values };
}

function pick(
  values: Float64Array,
  { start, step, count }: Span
): Float64Array {
  return Float64Array.from(
    { length: count },
    (_, i) => values[start + i * step] ?? Number.NaN
  );
}

function numbersOf({ start, step, count }: Span): Float64Array | null {
  return count > MOST_ENTRIES
    ? null
    : Float64Array.from({ length: count }, (_, i) => start + i * step);
}
