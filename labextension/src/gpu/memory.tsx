import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { formatBytes, formatBytesOf } from '../format';
import { NotebookRow } from './notebookrow';
import type { ReleaseActions } from './releasing';
import type { Share } from './usage';
import { othersBytes, shareKey } from './usage';
import { notebookName } from './words';

interface IMemoryProps {
  readonly used: number | null;
  readonly total: number | null;
  /** Why `used` or `total` is null. */
  readonly reason: string;
  /** The device has no memory of its own. */
  readonly isShared: boolean;
  readonly shares: readonly Share[];
  readonly actions: ReleaseActions;
  readonly trans: TranslationBundle;
}

/** Memory of one card: the amount, a bar cut by notebook, and its legend. */
export function Memory(props: IMemoryProps): React.JSX.Element {
  const { used, total, shares, trans } = props;
  const others = othersBytes(used, shares);
  return (
    <div className="jp-gpuext-Memory">
      <div className="jp-gpuext-Metric">
        <span>
          {props.isShared
            ? trans.__('memory, shared with the system')
            : trans.__('memory')}
        </span>
        <Amount used={used} total={total} reason={props.reason} />
      </div>
      {total === null ? null : (
        <MemoryBar {...props} total={total} others={others ?? 0} />
      )}
      <ul className="jp-gpuext-Legend">
        {shares.map(share => (
          <NotebookRow
            key={shareKey(share)}
            share={share}
            actions={props.actions}
            trans={trans}
          />
        ))}
        {shares.length > 0 && others !== null && others > 0 ? (
          <Others
            bytes={others}
            label={
              shares.some(share => share.bytes === null)
                ? trans.__('not told apart')
                : trans.__('others')
            }
            trans={trans}
          />
        ) : null}
      </ul>
    </div>
  );
}

function Others(props: {
  readonly bytes: number;
  readonly label: string;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { bytes, label, trans } = props;
  return (
    <li title={trans.__('what no notebook here accounts for')}>
      <i className="jp-gpuext-Swatch" data-color="others" />
      <span className="jp-gpuext-Legend-name">{label}</span>
      <span className="jp-gpuext-Number">{formatBytes(bytes)}</span>
    </li>
  );
}

function Amount(props: {
  used: number | null;
  total: number | null;
  reason: string;
}): React.JSX.Element {
  const { used, total, reason } = props;
  if (used === null) {
    return (
      <span className="jp-gpuext-Number" title={reason}>
        {total === null ? '—' : `— / ${formatBytes(total)}`}
      </span>
    );
  }
  return (
    <span
      className="jp-gpuext-Number"
      title={total === null ? reason : undefined}
    >
      {total === null ? formatBytes(used) : formatBytesOf(used, total)}
    </span>
  );
}

function MemoryBar(
  props: IMemoryProps & { total: number; others: number }
): React.JSX.Element {
  const { used, total, others, shares, trans } = props;
  const percent = (bytes: number) =>
    `${Math.min(100, (100 * bytes) / total).toFixed(2)}%`;
  return (
    <div
      className="jp-gpuext-Bar"
      role="meter"
      aria-label={trans.__('memory')}
      aria-valuemin={0}
      aria-valuemax={total}
      aria-valuenow={used ?? undefined}
      aria-valuetext={
        used === null ? trans.__('unknown') : formatBytesOf(used, total)
      }
    >
      {shares.map(share => (
        <span
          key={shareKey(share)}
          data-color={share.color}
          style={{ width: percent(share.bytes ?? 0) }}
          title={`${notebookName(share, trans)} ${formatBytes(share.bytes ?? 0)}`}
        />
      ))}
      <span
        data-color={shares.length > 0 ? 'others' : 'all'}
        style={{ width: percent(others) }}
      />
    </div>
  );
}
