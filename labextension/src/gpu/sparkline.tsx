import type * as React from 'react';

import { sparkLines } from './samples';

export const SPARK_SAMPLES = 120;

/** The last two minutes of a ratio; decoration beside the number it belongs to. */
export function Sparkline(props: {
  readonly values: readonly (number | null)[];
}): React.JSX.Element {
  const lines = sparkLines(props.values, SPARK_SAMPLES);
  return (
    <svg
      className="jp-gpuext-Spark"
      viewBox={`0 -0.05 ${SPARK_SAMPLES - 1} 1.1`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {lines.map(line => (
        <g key={line.slice(0, line.indexOf(','))}>
          <polygon points={closed(line)} />
          <polyline points={line} vectorEffect="non-scaling-stroke" />
        </g>
      ))}
    </svg>
  );
}

/** The same line with its two ends on the floor, so that it can be filled. */
function closed(line: string): string {
  const xs = line.split(' ').map(point => point.split(',')[0]);
  return `${xs[0]},1 ${line} ${xs.at(-1)},1`;
}
