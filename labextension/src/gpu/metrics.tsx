import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Device, Sample } from '../api';
import { formatBytes, formatRatio, printable } from '../format';
import { reasonOf } from './facts';
import { busySeries, scaled, storageSeries } from './samples';
import { SPARK_SAMPLES, Sparkline } from './sparkline';

interface IMetricProps {
  readonly device: Device;
  readonly samples: readonly Sample[];
  readonly trans: TranslationBundle;
}

/** How busy a device is, over the last two minutes. */
export function Busy(props: IMetricProps): React.JSX.Element {
  const { device, samples, trans } = props;
  const ratio = device.now?.utilization_ratio ?? null;
  return (
    <Row
      label={trans.__('busy')}
      values={busySeries(samples, device.uuid, SPARK_SAMPLES)}
      text={ratio === null ? null : formatRatio(ratio)}
      reason={reasonOf(device.now, trans)('utilization_ratio')}
    />
  );
}

/** What the notebooks receive from storage, on the time axis of `Busy`. */
export function Storage(
  props: Omit<IMetricProps, 'device'>
): React.JSX.Element | null {
  const { samples, trans } = props;
  const values = storageSeries(samples, SPARK_SAMPLES);
  const rate = values.at(-1) ?? null;
  if (values.every(value => value === null)) {
    return null;
  }
  return (
    <Row
      label={trans.__('storage')}
      values={scaled(values)}
      text={rate === null ? null : `${formatBytes(rate)}/s`}
      reason={trans.__('no notebook told of it')}
    />
  );
}

function Row(props: {
  readonly label: string;
  readonly values: readonly (number | null)[];
  readonly text: string | null;
  readonly reason: string;
}): React.JSX.Element {
  const { label, values, text, reason } = props;
  return (
    <div className="jp-gpuext-Metric jp-gpuext-Series">
      <span>{label}</span>
      <Sparkline values={values} />
      <span
        className="jp-gpuext-Number"
        title={text === null ? reason : undefined}
      >
        {text ?? '—'}
      </span>
    </div>
  );
}

/** Temperature, power and what slows the clocks, on one line. */
export function Climate(
  props: Omit<IMetricProps, 'samples'>
): React.JSX.Element {
  const { device, trans } = props;
  const { now } = device;
  const reason = reasonOf(now, trans);
  const celsius = now?.temperature_celsius ?? null;
  const watts = now?.power_watts ?? null;
  return (
    <div className="jp-gpuext-Climate">
      <Figure
        text={celsius === null ? null : `${Math.round(celsius)} °C`}
        unit="°C"
        reason={reason('temperature_celsius')}
      />
      <Figure
        text={watts === null ? null : `${Math.round(watts)} W`}
        unit="W"
        reason={reason('power_watts')}
      />
      <Throttle
        by={now?.throttled_by ?? null}
        reason={reason('throttled_by')}
        trans={trans}
      />
    </div>
  );
}

function Figure(props: {
  readonly text: string | null;
  readonly unit: string;
  readonly reason: string;
}): React.JSX.Element {
  const { text, unit, reason } = props;
  return text === null ? (
    <span title={reason}>— {unit}</span>
  ) : (
    <span>{text}</span>
  );
}

function Throttle(props: {
  readonly by: readonly string[] | null;
  readonly reason: string;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { by, reason, trans } = props;
  if (by === null) {
    return <span title={reason}>{trans.__('throttling —')}</span>;
  }
  if (by.length === 0) {
    return <span>{trans.__('not throttled')}</span>;
  }
  // A card at work meets its power limit: that is how it is built.
  const isUsual = by.every(reason => reason === 'power limit');
  return (
    <span data-tone={isUsual ? undefined : 'warning'}>
      {trans.__('throttled: %1', printable(by.join(', ')))}
    </span>
  );
}
