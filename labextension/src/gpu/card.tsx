import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Device, GpuStatus, Sample } from '../api';
import { printable } from '../format';
import { Details } from './details';
import { reasonOf } from './facts';
import { Memory } from './memory';
import { Busy, Climate, Storage } from './metrics';
import type { ReleaseActions } from './releasing';
import type { Share } from './usage';
import { aliasOf, sharesOf } from './usage';
import { notebookName } from './words';

export interface CardProps {
  readonly device: Device;
  /** The MIG slices of this card. */
  readonly slices: readonly Device[];
  readonly status: GpuStatus;
  readonly samples: readonly Sample[];
  readonly currentKernelId: string | null;
  readonly actions: ReleaseActions;
  readonly trans: TranslationBundle;
}

/** One device: its name everywhere, memory by notebook, how busy and how hot it is. */
export function DeviceCard(props: CardProps): React.JSX.Element {
  const { device, status, slices, trans } = props;
  const shares = sharesOf(status.kernels, device.uuid);
  const title = trans.__('GPU %1 · %2', device.index, printable(device.name));
  const isAlone = status.devices.length === 1;
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
      <Alias {...props} shares={shares} />
      <DeviceMemory {...props} shares={shares} />
      <Busy {...props} />
      {isAlone || shares.length > 0 ? <Storage {...props} /> : null}
      <Climate {...props} />
      {slices.map(slice => (
        <Slice key={slice.uuid} {...props} device={slice} />
      ))}
      <Details device={device} shares={shares} trans={trans} />
    </section>
  );
}

/** A part of a card that the driver hands out as a device of its own. */
function Slice(props: CardProps): React.JSX.Element {
  const { device, status, trans } = props;
  const shares = sharesOf(status.kernels, device.uuid);
  const title = printable(device.name);
  return (
    <section
      className="jp-gpuext-Slice"
      aria-label={title}
      data-uuid={device.uuid}
    >
      <h4 title={device.uuid}>{title}</h4>
      <Alias {...props} shares={shares} />
      <DeviceMemory {...props} shares={shares} />
      <Busy {...props} />
      <Details device={device} shares={shares} trans={trans} />
    </section>
  );
}

function DeviceMemory(
  props: CardProps & { readonly shares: readonly Share[] }
): React.JSX.Element {
  const { device, shares, actions, trans } = props;
  return (
    <Memory
      used={device.now?.memory_used_bytes ?? null}
      total={device.memory_total_bytes}
      reason={reasonOf(device.now, trans)('memory_used_bytes')}
      isShared={device.shares_memory}
      shares={shares}
      actions={actions}
      trans={trans}
    />
  );
}

function Alias(props: {
  readonly shares: readonly Share[];
  readonly currentKernelId: string | null;
  readonly trans: TranslationBundle;
}): React.JSX.Element | null {
  const { shares, currentKernelId, trans } = props;
  const alias = aliasOf(shares, currentKernelId);
  if (!alias) {
    return null;
  }
  const text = trans.__('= %1 in %2', alias.device, notebookName(alias, trans));
  return (
    <div className="jp-gpuext-Alias" title={text}>
      {text}
    </div>
  );
}
