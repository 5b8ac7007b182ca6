import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Device } from '../api';
import { factsOf } from './facts';
import type { Share } from './usage';
import { shareKey } from './usage';
import { howWords, notebookName } from './words';

interface IDetailsProps {
  readonly device: Device;
  readonly shares: readonly Share[];
  readonly trans: TranslationBundle;
}

/** What the card does not show at once; drawn only while it is open. */
export function Details(props: IDetailsProps): React.JSX.Element {
  const [open, setOpen] = React.useState(false);
  return (
    <details
      className="jp-gpuext-Details"
      open={open}
      onToggle={event => setOpen(event.currentTarget.open)}
    >
      <summary>{props.trans.__('Details')}</summary>
      {open ? <FactList {...props} /> : null}
    </details>
  );
}

function FactList(props: IDetailsProps): React.JSX.Element {
  const { device, shares, trans } = props;
  return (
    <dl className="jp-gpuext-Details-list">
      {factsOf(device, trans).map(({ label, value, reason }) => (
        <React.Fragment key={label}>
          <dt>{label}</dt>
          {value === null ? (
            <dd className="jp-gpuext-Unknown">
              — <span>{reason}</span>
            </dd>
          ) : (
            <dd>{value}</dd>
          )}
        </React.Fragment>
      ))}
      <dt>{trans.__('UUID')}</dt>
      <dd className="jp-gpuext-Wide">
        <code>{device.uuid}</code>
      </dd>
      {shares.length > 0 ? <dt>{trans.__('how we know')}</dt> : null}
      {shares.map(share => (
        <dd key={shareKey(share)} className="jp-gpuext-Wide">
          {notebookName(share, trans)}: {howWords(share.how, trans)}
        </dd>
      ))}
    </dl>
  );
}
