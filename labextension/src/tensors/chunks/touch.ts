// Which cells of a map a part of the array touches. Pure: the map is asked for
// once, and follows what is seen without another question.

import type { ChunkMap } from '../../api';

/** Some entries of an axis; a number is one of them. */
export type Entries =
  | number
  | {
      readonly start: number;
      readonly step: number;
      readonly count: number;
    };

/** The map with what these entries touch, some of each axis of the array. */
export function touching(map: ChunkMap, part: readonly Entries[]): ChunkMap {
  if (part.length !== map.grid.length) {
    return map;
  }
  const axes = part.map((entries, axis) =>
    placesOf(entries, map.cell_shape[axis] ?? 1, map.grid[axis] ?? 0)
  );
  const count = (bits: Uint8Array) => bits.reduce((sum, one) => sum + one, 0);
  return {
    ...map,
    // Where the server marks none there are too many cells for a map.
    touched: map.touched === null ? null : axes.map(packed),
    touched_count: axes.reduce((product, bits) => product * count(bits), 1)
  };
}

/** A one for each place along an axis that has some of the entries. */
function placesOf(entries: Entries, cell: number, places: number): Uint8Array {
  const bits = new Uint8Array(places);
  const { start, step, count } =
    typeof entries === 'number'
      ? { start: entries, step: 1, count: 1 }
      : entries;
  const placeOf = (at: number) => Math.floor((start + at * step) / cell);
  if (step <= cell) {
    // No place between the first and the last is left out.
    return bits.fill(1, placeOf(0), count > 0 ? placeOf(count - 1) + 1 : 0);
  }
  for (let at = 0; at < count; at += 1) {
    bits[placeOf(at)] = 1;
  }
  return bits;
}

/** Bits as the server packs them: base64, the least significant first. */
function packed(bits: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, at) => {
    bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (bit << (at & 7));
  });
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
}
