import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { GpuStatus, History, Sample } from '../../api';
import { Button, Notice } from '../../components/notice';
import { wordsFor } from '../../components/words';
import type { ApiError } from '../../request';
import { StateNotice } from '../state';
import { Chart } from './chart';
import { chartsOf } from './charts';
import type { Palette } from './palette';
import type { Plot as PlotComponent } from './plot';
import type { Range, Span } from './ranges';
import { RANGES, rangeLabel, secondsOf, spanOf } from './ranges';
import type { Timeline } from './timeline';
import { timelineOfHistory, timelineOfSamples } from './timeline';

export interface DashboardProps {
  readonly status: GpuStatus | null;
  readonly samples: readonly Sample[];
  readonly history: History | null;
  readonly problem: ApiError | null;
  readonly range: Range;
  readonly zoom: Span | null;
  /** null: not loaded yet. */
  readonly Plot: typeof PlotComponent | null;
  readonly palette: Palette | null;
  readonly onRange: (range: Range) => void;
  readonly onZoom: (span: Span | null) => void;
  readonly onRetry: () => void;
  readonly trans: TranslationBundle;
}

export function DashboardView(props: DashboardProps): React.JSX.Element {
  const { status, problem, trans } = props;
  return (
    <>
      <Controls {...props} />
      {status?.simulated ? (
        <div className="jp-gpuext-Ribbon" role="note">
          {trans.__('simulated, numbers are made up')}
        </div>
      ) : null}
      {problem ? (
        <Notice tone="warning" {...wordsFor(problem, trans)}>
          <Button label={trans.__('Try again')} onClick={props.onRetry} />
        </Notice>
      ) : null}
      {status ? <StateNotice status={status} trans={trans} /> : null}
      <Charts {...props} />
    </>
  );
}

function Controls(props: DashboardProps): React.JSX.Element {
  const { range, zoom, trans } = props;
  return (
    <div className="jp-gpuext-Toolbar">
      <div
        className="jp-gpuext-Choice"
        role="group"
        aria-label={trans.__('How far back')}
      >
        {RANGES.map(one => (
          <button
            key={one}
            type="button"
            aria-pressed={one === range}
            onClick={() => props.onRange(one)}
          >
            {rangeLabel(one, trans)}
          </button>
        ))}
      </div>
      {zoom ? (
        <Button
          label={trans.__('Reset zoom')}
          onClick={() => props.onZoom(null)}
        />
      ) : (
        <span className="jp-gpuext-Quiet">{trans.__('Drag to zoom')}</span>
      )}
    </div>
  );
}

function Charts(props: DashboardProps): React.JSX.Element | null {
  const { status, Plot, palette, zoom, range, trans } = props;
  const timeline = React.useMemo(
    () => timelineFor(props),
    [props.samples, props.history, status, range]
  );
  if (status?.devices.length === 0) {
    return null;
  }
  if (!status || !timeline || !Plot || !palette) {
    return props.problem ? null : (
      <p className="jp-gpuext-Quiet" role="status">
        {range === 'live'
          ? trans.__('Asking the server…')
          : trans.__('Reading the history…')}
      </p>
    );
  }
  if (timeline.times.length === 0) {
    return (
      <p className="jp-gpuext-Quiet" role="status">
        {trans.__(
          'Nothing was recorded yet: the first point comes in a minute.'
        )}
      </p>
    );
  }
  const span = zoom ?? spanOf(timeline.times, range);
  return (
    <div className="jp-gpuext-Charts">
      {chartsOf(timeline, status.devices, trans).map(spec => (
        <Chart
          key={spec.id}
          spec={spec}
          times={timeline.times}
          span={span}
          palette={palette}
          Plot={Plot}
          onZoom={props.onZoom}
        />
      ))}
    </div>
  );
}

function timelineFor(props: DashboardProps): Timeline | null {
  const { status, samples, history, range } = props;
  if (!status) {
    return null;
  }
  const { devices, interval_seconds } = status;
  return range === 'live'
    ? timelineOfSamples(samples, devices, interval_seconds)
    : history && timelineOfHistory(history, devices, secondsOf(range));
}
