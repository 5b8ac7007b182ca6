import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ChunkMap } from '../../api';
import type { Layout } from './chunkmap';
import {
  CELL,
  cellAt,
  cellWords,
  cellsOf,
  countsOf,
  layOut,
  mapWords,
  piecesName,
  pixelsOf,
  placeOf
} from './chunkmap';
import type { Counts } from './chunkmap';
import { paint } from './paint';

const HEIGHT_PIXELS = 168;

interface IChunkViewProps {
  readonly map: ChunkMap;
  /** A newer one is on its way. */
  readonly isStale: boolean;
  /** The colours' theme: with another one the map is drawn again. */
  readonly theme: string;
  readonly trans: TranslationBundle;
}

/** The chunks of an array: stored, missing, touched by the typed part. */
export function ChunkView(props: IChunkViewProps): React.JSX.Element {
  const { map, trans } = props;
  const cells = React.useMemo(() => cellsOf(map), [map]);
  const counts = React.useMemo(() => cells && countsOf(cells), [cells]);
  return (
    <section
      className="jp-gpuext-Map"
      aria-label={trans.__('Chunk map')}
      data-stale={props.isStale}
    >
      {cells && counts ? (
        <Drawn {...props} cells={cells} counts={counts} />
      ) : (
        <p className="jp-gpuext-Quiet">{noMapWords(map, trans)}</p>
      )}
    </section>
  );
}

function Drawn(
  props: IChunkViewProps & {
    readonly cells: Uint8Array;
    readonly counts: Counts;
  }
): React.JSX.Element {
  const { map, cells, counts, theme, trans } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const canvas = React.useRef<HTMLCanvasElement>(null);
  const legend = React.useRef<HTMLUListElement>(null);
  const [over, setOver] = React.useState<number | null>(null);
  const width = useWidth(box);
  const layout = React.useMemo(
    () => layOut(map.grid, width, HEIGHT_PIXELS),
    [map, width]
  );
  React.useLayoutEffect(() => {
    if (canvas.current && legend.current && width > 0) {
      paint(canvas.current, legend.current, pixelsOf(cells, layout), layout);
    }
  }, [cells, layout, theme]);
  const words = mapWords(map, counts, trans);
  return (
    <>
      <div ref={box} className="jp-gpuext-Map-box">
        <canvas
          ref={canvas}
          role="img"
          aria-label={trans.__('Chunk map: %1', words)}
          data-cells={map.cell_count}
          data-stored={counts.stored}
          data-missing={counts.missing}
          data-unknown={counts.unknown}
          data-touched={counts.touched}
          data-touched-missing={counts.touchedMissing}
          onMouseMove={event => setOver(cellUnder(event, layout, map))}
          onMouseLeave={() => setOver(null)}
        />
      </div>
      <Legend legend={legend} counts={counts} trans={trans} />
      <p className="jp-gpuext-Quiet jp-gpuext-Map-words">
        {over === null ? words : overWords(map, cells, over, trans)}
        {layout.cellsPerPixel > 1 && over === null
          ? ` · ${trans.__('a dot is %1 of them', layout.cellsPerPixel)}`
          : ''}
      </p>
    </>
  );
}

/** What the colours mean; the drawing takes them from here. */
function Legend(props: {
  readonly legend: React.RefObject<HTMLUListElement>;
  readonly counts: Counts;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { counts, trans } = props;
  const entries: readonly [number, string, boolean][] = [
    [CELL.touched, trans.__('touched'), true],
    [CELL.stored, trans.__('stored'), true],
    [CELL.touchedMissing, trans.__('touched, missing'), counts.missing > 0],
    [CELL.missing, trans.__('missing'), counts.missing > 0],
    [CELL.touchedUnknown, trans.__('touched, unknown'), counts.unknown > 0],
    [CELL.unknown, trans.__('unknown'), counts.unknown > 0]
  ];
  return (
    <ul ref={props.legend} className="jp-gpuext-Map-legend">
      {entries.map(([cell, label, isThere]) => (
        <li key={cell} hidden={!isThere}>
          <i data-cell={cell} />
          {label}
        </li>
      ))}
    </ul>
  );
}

function overWords(
  map: ChunkMap,
  cells: Uint8Array,
  cell: number,
  trans: TranslationBundle
): string {
  const place = placeOf(map.grid, cell);
  const starts = place.map((at, axis) => {
    const [length = 1, size = 1] = [map.cell_shape[axis], map.shape[axis]];
    const name = map.dimensions?.[axis];
    const span = `${at * length}:${Math.min(size, (at + 1) * length)}`;
    return name ? `${name} ${span}` : span;
  });
  return `${piecesName(map, trans)} ${place.join(', ')} · ${starts.join(', ')} · ${cellWords(cells[cell] ?? 0, trans)}`;
}

function noMapWords(map: ChunkMap, trans: TranslationBundle): string {
  return trans.__(
    '%1 chunks: more than a map shows; %2 are touched.',
    map.cell_count.toLocaleString(),
    map.touched_count.toLocaleString()
  );
}

function cellUnder(
  event: React.MouseEvent<HTMLCanvasElement>,
  layout: Layout,
  map: ChunkMap
): number | null {
  const { left, top } = event.currentTarget.getBoundingClientRect();
  const [x, y] = [event.clientX - left, event.clientY - top];
  return cellAt(layout, map.cell_count, x, y);
}

/** An element's width, also when it changes. */
function useWidth(node: React.RefObject<HTMLElement>): number {
  const [width, setWidth] = React.useState(0);
  React.useLayoutEffect(() => {
    const measure = () => setWidth(node.current?.clientWidth ?? 0);
    const observer = new ResizeObserver(measure);
    if (node.current) {
      observer.observe(node.current);
    }
    measure();
    return () => observer.disconnect();
  }, [node]);
  return width;
}
