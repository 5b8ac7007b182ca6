import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Device, GpuStatus, Sample } from '../api';
import { formatRatio, printable } from '../format';
import { Memory, notebookName } from './memory';
import { busySeries } from './samples';
import { SPARK_SAMPLES, Sparkline } from './sparkline';
import { aliasOf, sharesOf } from './usage';

interface ICardProps {
  readonly device: Device;
  readonly status: GpuStatus;
  readonly samples: readonly Sample[];
  readonly currentKernelId: string | null;
  readonly trans: TranslationBundle;
}

/** One device: its name everywhere, memory by notebook, how busy it is. */
export function DeviceCard(props: ICardProps): React.JSX.Element {
  const { device, status, samples, trans } = props;
  const now = device.now;
  const shares = sharesOf(status.kernels, device.uuid);
  const alias = aliasOf(shares, props.currentKernelId);
  const title = trans.__('GPU %1 · %2', device.index, printable(device.name));
  const noSample = trans.__('no sample yet');
  return (
    <section
      className="jp-gpuext-Card"
      aria-label={title}
      data-uuid={device.uuid}
    >
      <div className="jp-gpuext-Card-title">
        <h3 title={device.uuid}>{title}</h3>
        {status.simulated ? (
          <span className="jp-gpuext-Tag" data-tone="warning">
            {trans.__('simulated')}
          </span>
        ) : null}
      </div>
      {alias ? (
        <div className="jp-gpuext-Alias">
          {trans.__('= %1 in %2', alias.device, notebookName(alias, trans))}
        </div>
      ) : null}
      <Memory
        used={now?.memory_used_bytes ?? null}
        total={device.memory_total_bytes}
        reason={now?.unavailable.memory_used_bytes ?? noSample}
        shares={shares}
        trans={trans}
      />
      <Busy
        ratio={now?.utilization_ratio ?? null}
        reason={now?.unavailable.utilization_ratio ?? noSample}
        values={busySeries(samples, device.uuid, SPARK_SAMPLES)}
        trans={trans}
      />
    </section>
  );
}

function Busy(props: {
  readonly ratio: number | null;
  readonly reason: string;
  readonly values: readonly (number | null)[];
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { ratio, reason, trans } = props;
  return (
    <div className="jp-gpuext-Metric jp-gpuext-Busy">
      <span>{trans.__('busy')}</span>
      <Sparkline values={props.values} />
      <span
        className="jp-gpuext-Number"
        title={ratio === null ? reason : undefined}
      >
        {ratio === null ? '—' : formatRatio(ratio)}
      </span>
    </div>
  );
}
