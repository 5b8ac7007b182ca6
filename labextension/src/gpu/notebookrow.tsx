import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Load } from '../api';
import { baseName, formatBytes, printable } from '../format';
import { ReleaseForm } from './release';
import type { ReleaseActions } from './releasing';
import type { Share } from './usage';
import { howWords, notebookName, shareFacts } from './words';

interface INotebookRowProps {
  readonly share: Share;
  /** null: what it holds here is not the device's memory. */
  readonly actions: ReleaseActions | null;
  readonly trans: TranslationBundle;
}

/** What a notebook holds on a device, and the way to release it. */
export function NotebookRow(props: INotebookRowProps): React.JSX.Element {
  const { share, actions, trans } = props;
  const [open, setOpen] = React.useState(false);
  const button = React.useRef<HTMLButtonElement>(null);
  const name = notebookName(share, trans);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <li data-kernel={share.kernelId}>
      <i className="jp-gpuext-Swatch" data-color={share.color} />
      <span className="jp-gpuext-Legend-name" title={tooltip(share, trans)}>
        {name}
      </span>
      <span className="jp-gpuext-Number">
        {share.bytes === null ? '—' : formatBytes(share.bytes)}
      </span>
      {actions === null ? null : (
        <div className="jp-gpuext-Legend-more">
          <span>{shareFacts(share, trans)}</span>
          <button
            ref={button}
            type="button"
            className="jp-gpuext-Link"
            aria-expanded={open}
            aria-label={trans.__('Release memory of %1…', name)}
            onClick={() => setOpen(!open)}
          >
            {trans.__('Release…')}
          </button>
        </div>
      )}
      <Loads loads={share.loads} />
      {open && actions !== null ? (
        <ReleaseForm
          share={share}
          actions={actions}
          onClose={close}
          trans={trans}
        />
      ) : null}
    </li>
  );
}

/** The values that %load_blob left alive. */
function Loads(props: {
  readonly loads: readonly Load[];
}): React.JSX.Element | null {
  return props.loads.length === 0 ? null : (
    <ul className="jp-gpuext-Loads">
      {props.loads.map((load, index) => (
        <li key={`${load.name} ${index}`} title={printable(load.url)}>
          {load.name === '' ? (
            // It is bound to no name of its own: in a list, or another's.
            <span>{printable(baseName(load.url))}</span>
          ) : (
            <code>{load.name}</code>
          )}
          <span className="jp-gpuext-Number">{formatBytes(load.bytes)}</span>
        </li>
      ))}
    </ul>
  );
}

function tooltip(share: Share, trans: TranslationBundle): string {
  const place = [printable(share.path), share.device];
  const known = trans.__('how we know: %1', howWords(share.how, trans));
  return [...place, known].filter(text => text !== '').join(' · ');
}
