import * as React from 'react';

import type { ChartSpec } from './charts';
import { hasValues } from './charts';
import { WITH_SECONDS } from './clock';
import type { Palette } from './palette';
import type { Plot as PlotComponent } from './plot';
import type { Span } from './ranges';

export interface ChartProps {
  readonly spec: ChartSpec;
  readonly times: number[];
  readonly span: Span;
  readonly palette: Palette;
  readonly Plot: typeof PlotComponent;
  readonly onZoom: (span: Span | null) => void;
}

/** A diagram, with the values at the cursor; without one, the newest. */
export function Chart(props: ChartProps): React.JSX.Element {
  const { spec, times, Plot } = props;
  const [cursor, setCursor] = React.useState<number | null>(null);
  const time = cursor === null ? undefined : times[cursor];
  return (
    <figure className="jp-gpuext-Chart" data-chart={spec.id}>
      <figcaption>
        <h3>{spec.title}</h3>
        {time === undefined ? null : (
          <span className="jp-gpuext-Number">
            {WITH_SECONDS.format(1000 * time)}
          </span>
        )}
      </figcaption>
      {hasValues(spec) ? (
        <>
          <Plot {...props} onCursor={setCursor} />
          <Legend spec={spec} at={cursor ?? times.length - 1} />
        </>
      ) : (
        <p className="jp-gpuext-Chart-empty">{spec.reason}</p>
      )}
    </figure>
  );
}

/** The value of each line at one place. */
function Legend(props: {
  readonly spec: ChartSpec;
  readonly at: number;
}): React.JSX.Element {
  const { spec, at } = props;
  return (
    <ul className="jp-gpuext-Chart-legend">
      {spec.lines.map(line => (
        <li key={line.label} title={line.title}>
          <i
            className="jp-gpuext-Stroke"
            data-line={line.color}
            data-dashed={line.isDashed}
          />
          <span>{line.label}</span>
          <span className="jp-gpuext-Number">
            {textAt(spec, line.values[at])}
          </span>
        </li>
      ))}
    </ul>
  );
}

function textAt(spec: ChartSpec, value: number | null | undefined): string {
  return value === null || value === undefined ? '—' : spec.format(value);
}
