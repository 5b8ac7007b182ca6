import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { baseName, formatBytes, formatBytesOf, printable } from '../format';
import type { Share } from './usage';
import { othersBytes } from './usage';

interface IMemoryProps {
  readonly used: number | null;
  readonly total: number | null;
  /** Why `used` or `total` is null. */
  readonly reason: string;
  readonly shares: readonly Share[];
  readonly trans: TranslationBundle;
}

/** Memory of one card: the amount, a bar cut by notebook, and its legend. */
export function Memory(props: IMemoryProps): React.JSX.Element {
  const { used, total, shares, trans } = props;
  const others = othersBytes(used, shares);
  return (
    <div className="jp-gpuext-Memory">
      <div className="jp-gpuext-Metric">
        <span>{trans.__('memory')}</span>
        <Amount used={used} total={total} reason={props.reason} />
      </div>
      {total === null ? null : (
        <MemoryBar {...props} total={total} others={others ?? 0} />
      )}
      <ul className="jp-gpuext-Legend">
        {shares.map(share => (
          <LegendRow
            key={`${share.kernelId} ${share.device}`}
            share={share}
            trans={trans}
          />
        ))}
        {shares.length > 0 && others !== null && others > 0 ? (
          <li>
            <i className="jp-gpuext-Swatch" data-color="others" />
            <span className="jp-gpuext-Legend-name">{trans.__('others')}</span>
            <span className="jp-gpuext-Number">{formatBytes(others)}</span>
          </li>
        ) : null}
      </ul>
    </div>
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
    <span className="jp-gpuext-Number" title={total === null ? reason : ''}>
      {total === null ? formatBytes(used) : formatBytesOf(used, total)}
    </span>
  );
}

function MemoryBar(
  props: IMemoryProps & { total: number; others: number }
): React.JSX.Element {
  const { used, total, others, shares, trans } = props;
  const percent = (bytes: number) => `${Math.min(100, (100 * bytes) / total)}%`;
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
          key={`${share.kernelId} ${share.device}`}
          data-color={share.color}
          style={{ width: percent(share.bytes) }}
          title={`${notebookName(share, trans)} ${formatBytes(share.bytes)}`}
        />
      ))}
      <span
        data-color={shares.length > 0 ? 'others' : 'all'}
        style={{ width: percent(others) }}
      />
    </div>
  );
}

/** A notebook's row, and below it the values that %load_blob left alive. */
export function LegendRow(props: {
  readonly share: Share;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { share, trans } = props;
  return (
    <li>
      <i className="jp-gpuext-Swatch" data-color={share.color} />
      <span
        className="jp-gpuext-Legend-name"
        title={`${printable(share.path)} · ${share.device}`}
      >
        {notebookName(share, trans)}
      </span>
      <span className="jp-gpuext-Number">{formatBytes(share.bytes)}</span>
      {share.loads.length === 0 ? null : (
        <ul className="jp-gpuext-Loads">
          {share.loads.map(load => (
            <li key={load.name} title={printable(load.url)}>
              <code>{load.name}</code>
              <span className="jp-gpuext-Number">
                {formatBytes(load.bytes)}
              </span>
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

export function notebookName(share: Share, trans: TranslationBundle): string {
  return share.path === ''
    ? trans.__('a kernel without notebook')
    : printable(baseName(share.path));
}
