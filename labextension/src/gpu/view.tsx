import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { GpuStatus, Sample } from '../api';
import { Button, Notice } from '../components/notice';
import { isServerMissing, wordsFor } from '../components/words';
import { baseName, formatDuration, printable } from '../format';
import type { CurrentNotebook } from '../notebook';
import type { ApiError } from '../request';
import { DeviceCard } from './card';
import { groupsOf } from './grouping';
import { NotebookRow } from './notebookrow';
import type { ReleaseActions } from './releasing';
import { StateNotice } from './state';
import type { IStreamsProps } from './streams';
import type { Share } from './usage';
import { shareKey, sharesOffCard } from './usage';

/** Few sessions stream: the card's code comes with the first stream, and a panel goes on without it. */
const Streams = React.lazy<React.FC<IStreamsProps>>(() =>
  import('./streams').then(
    found => ({ default: found.Streams }),
    () => ({ default: () => null })
  )
);

export interface GpuViewProps {
  readonly status: GpuStatus | null;
  readonly samples: readonly Sample[];
  readonly problem: ApiError | null;
  readonly silentSeconds: number;
  readonly notebook: CurrentNotebook | null;
  readonly actions: ReleaseActions;
  readonly onRetry: () => void;
  readonly onInsertLoadExt: () => void;
  readonly trans: TranslationBundle;
}

export function GpuView(props: GpuViewProps): React.JSX.Element {
  const { status, problem, trans } = props;
  // What was true before the server part went away is not shown as true now.
  const known = isServerMissing(problem) ? null : status;
  return (
    <>
      {known?.simulated ? (
        <div className="jp-gpuext-Ribbon" role="note">
          {trans.__('simulated, numbers are made up')}
        </div>
      ) : null}
      <div className="jp-gpuext-Gpu-body">
        {problem ? <Failure {...props} problem={problem} /> : null}
        {known ? <Known {...props} status={known} /> : null}
        {!known && !problem ? <Asking trans={trans} /> : null}
      </div>
    </>
  );
}

function Asking({ trans }: { trans: TranslationBundle }): React.JSX.Element {
  return <p className="jp-gpuext-Quiet">{trans.__('Asking the server…')}</p>;
}

function Failure(
  props: GpuViewProps & { problem: ApiError }
): React.JSX.Element {
  const said = wordsFor(props.problem, props.trans);
  return (
    <Notice tone="warning" message={said.message} hint={said.hint}>
      <Button label={props.trans.__('Try again')} onClick={props.onRetry} />
    </Notice>
  );
}

function Known(props: GpuViewProps & { status: GpuStatus }): React.JSX.Element {
  const { status, trans } = props;
  return (
    <>
      <StateNotice status={status} trans={trans} />
      {status.stale ? <Stale {...props} /> : null}
      {groupsOf(status.devices).map(({ device, slices }) => (
        <DeviceCard
          key={device.uuid}
          device={device}
          slices={slices}
          status={status}
          samples={props.samples}
          currentKernelId={props.notebook?.kernelId ?? null}
          actions={props.actions}
          trans={trans}
        />
      ))}
      <OffCard {...props} />
      {status.kernels.some(kernel => kernel.streams.length > 0) ? (
        <React.Suspense fallback={null}>
          <Streams kernels={status.kernels} trans={trans} />
        </React.Suspense>
      ) : null}
      <Unlinked {...props} />
    </>
  );
}

function Stale(props: GpuViewProps & { status: GpuStatus }): React.JSX.Element {
  // The server says so after five seconds; we may have come later than that.
  const seconds = Math.max(5, props.silentSeconds);
  return (
    <p className="jp-gpuext-Quiet" data-tone="warning" role="status">
      {props.trans.__('no new sample for %1', formatDuration(seconds))}
    </p>
  );
}

/** What lies on the CPU, or on a card that no sensor reports. */
function OffCard(
  props: GpuViewProps & { status: GpuStatus }
): React.JSX.Element {
  const { status, trans } = props;
  const shares = sharesOffCard(status);
  const devices = [...new Set(shares.map(share => share.device))];
  return (
    <>
      {devices.map(device => (
        <Holdings
          key={device}
          title={titleOffCard(device, trans)}
          shares={shares.filter(share => share.device === device)}
          actions={device === 'cpu' ? null : props.actions}
          trans={trans}
        />
      ))}
    </>
  );
}

function titleOffCard(device: string, trans: TranslationBundle): string {
  switch (device) {
    case 'cpu':
      return trans.__('Loaded on CPU');
    case '':
      return trans.__('On a GPU that is not seen here');
    default:
      return trans.__('Loaded on %1', device);
  }
}

function Holdings(props: {
  readonly title: string;
  readonly shares: readonly Share[];
  readonly actions: ReleaseActions | null;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  return (
    <section className="jp-gpuext-Card" aria-label={props.title}>
      <div className="jp-gpuext-Card-title">
        <h3>{props.title}</h3>
      </div>
      <ul className="jp-gpuext-Legend">
        {props.shares.map(share => (
          <NotebookRow
            key={shareKey(share)}
            share={share}
            actions={props.actions}
            trans={props.trans}
          />
        ))}
      </ul>
    </section>
  );
}

/** A kernel that has run something but never loaded us: quiet, with the click. */
function Unlinked(props: GpuViewProps): React.JSX.Element | null {
  const { notebook, status, trans } = props;
  const kernel = status?.kernels.find(use => use.id === notebook?.kernelId);
  if (!notebook?.hasRun || !notebook.isPython || kernel?.linked !== false) {
    return null;
  }
  return (
    <div className="jp-gpuext-Unlinked">
      <span>
        {trans.__(
          '%1: not loaded in this kernel',
          printable(baseName(notebook.path))
        )}
      </span>
      <Button
        label={trans.__('Insert %load_ext')}
        onClick={props.onInsertLoadExt}
      />
    </div>
  );
}
