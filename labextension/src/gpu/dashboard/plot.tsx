// The only module that draws with uPlot; loaded when a dashboard opens.

import * as React from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import type { ChartSpec } from './charts';
import { axisOf } from './charts';
import type { Palette } from './palette';
import { TO_THE_MINUTE, WITH_SECONDS } from './clock';
import type { Span } from './ranges';

const HEIGHT = 160;
const AXIS_WIDTH = 62;
/** What the plots tell each other: where the cursor is, no more. */
const SHARED = new Set(['mousemove', 'mouseleave']);

export interface PlotProps {
  readonly spec: ChartSpec;
  readonly times: number[];
  readonly span: Span;
  readonly palette: Palette;
  /** The stretch that a person dragged over; null to see everything again. */
  readonly onZoom: (span: Span | null) => void;
  /** The place in `times` that the cursor points at. */
  readonly onCursor: (index: number | null) => void;
}

/** A canvas that follows its properties, its size and the theme. */
export function Plot(props: PlotProps): React.JSX.Element {
  const box = React.useRef<HTMLDivElement>(null);
  const plot = React.useRef<uPlot | null>(null);
  const latest = React.useRef(props);
  latest.current = props;
  const { spec, times, span, palette } = props;
  const shape = spec.lines.map(line => line.label).join('\n');
  React.useEffect(() => {
    const node = box.current;
    if (!node) {
      return;
    }
    const made = new uPlot(
      optionsFor(latest, node),
      dataOf(latest.current),
      node
    );
    plot.current = made;
    const resized = new ResizeObserver(() => resize(made, node));
    resized.observe(node);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  const [from, to] = span;
  React.useEffect(() => {
    plot.current?.setData(dataOf(latest.current));
  }, [times, spec, from, to]);
  // The axes' sizes stand; only the colours are new.
  React.useEffect(() => plot.current?.redraw(false, true), [palette]);
  return <div ref={box} className="jp-gpuext-Plot" aria-hidden="true" />;
}

function resize(plot: uPlot, node: HTMLElement): void {
  const width = node.clientWidth;
  // A hidden tab has no width.
  if (width > 0 && width !== plot.width) {
    plot.setSize({ width, height: HEIGHT });
  }
}

function dataOf({ times, spec }: PlotProps): uPlot.AlignedData {
  return [times, ...spec.lines.map(line => line.values)];
}

function optionsFor(
  latest: React.RefObject<PlotProps>,
  node: HTMLElement
): uPlot.Options {
  const now = () => latest.current as PlotProps;
  return {
    width: Math.max(1, node.clientWidth),
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      sync: {
        key: 'jupyter-gpu-ext',
        filters: { pub: type => SHARED.has(type) }
      },
      bind: { dblclick: () => () => (now().onZoom(null), null) }
    },
    scales: {
      x: { range: () => [...now().span] },
      y: { range: (_, __, most) => axisOf(now().spec.most, most) }
    },
    axes: axesFor(now),
    series: [
      {},
      ...now().spec.lines.map((line, index) =>
        seriesFor(now, line.color, index)
      )
    ],
    hooks: {
      setSelect: [self => zoom(self, now())],
      setCursor: [self => now().onCursor(self.cursor.idx ?? null)]
    }
  };
}

function axesFor(now: () => PlotProps): uPlot.Axis[] {
  const stroke = () => now().palette.axis;
  const grid = { stroke: () => now().palette.grid, width: 1 };
  const { font } = now().palette;
  const common = { stroke, grid, ticks: { show: false }, font };
  return [
    {
      ...common,
      size: 26,
      space: 64,
      values: (_, splits, __, ___, stepSeconds) => {
        const clock = stepSeconds < 60 ? WITH_SECONDS : TO_THE_MINUTE;
        return splits.map(seconds => clock.format(1000 * seconds));
      }
    },
    {
      ...common,
      size: AXIS_WIDTH,
      values: (_, splits) => splits.map(value => now().spec.format(value))
    }
  ];
}

function seriesFor(
  now: () => PlotProps,
  color: number,
  index: number
): uPlot.Series {
  const isDashed = now().spec.lines[index]?.isDashed;
  return {
    stroke: () => now().palette.lines[color] ?? '',
    width: 1.5,
    ...(isDashed ? { dash: [6, 3] } : {}),
    // A single point is no line.
    points: { size: 5, show: self => (self.data[0]?.length ?? 0) < 3 }
  };
}

function zoom(plot: uPlot, { onZoom }: PlotProps): void {
  const { left, width } = plot.select;
  if (width > 0) {
    onZoom([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }
}
