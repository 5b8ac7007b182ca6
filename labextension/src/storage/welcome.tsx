import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Found } from '../api';
import { Button } from '../components/notice';
import { printable } from '../format';

interface IWelcomeProps {
  readonly file: string;
  readonly example: string;
  readonly found: readonly Found[];
  readonly trans: TranslationBundle;
  /** Put a link into the box above. */
  readonly onOffer: (link: string) => void;
  readonly onCopy: (text: string) => void;
  /** Back to what is connected; null: nothing is. */
  readonly onBack: (() => void) | null;
}

/** The first thing seen: no connection yet, and how to make one. */
export function Welcome(props: IWelcomeProps): React.JSX.Element {
  const { found, trans } = props;
  return (
    <div className="jp-gpuext-Welcome">
      <h3>{trans.__('Connect your storage')}</h3>
      <p>
        {trans.__(
          'Paste a link, a connection string or a folder into the box above: a SAS link, s3://, gs://, az://, https:// or /mnt/data. You see what it grants before anything is kept.'
        )}
      </p>
      {found.length === 0 ? null : <FoundList {...props} />}
      <p className="jp-gpuext-Quiet">
        {trans.__(
          'Secrets stay on this server in a file only you can read; notebooks hold names only.'
        )}
      </p>
      <ByHand {...props} />
      {props.onBack ? (
        <div className="jp-gpuext-Buttons">
          <Button label={trans.__('Back')} onClick={props.onBack} />
        </div>
      ) : null}
    </div>
  );
}

function FoundList(props: IWelcomeProps): React.JSX.Element {
  const { found, trans } = props;
  return (
    <>
      <h4 id="jp-gpuext-found">{trans.__('Found here, not connected')}</h4>
      <ul className="jp-gpuext-Found" aria-labelledby="jp-gpuext-found">
        {found.map(({ label, detail, link }) => (
          <li key={link}>
            <button type="button" onClick={() => props.onOffer(link)}>
              <b>{printable(label)}</b>
              <span>{printable(detail)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function ByHand(props: IWelcomeProps): React.JSX.Element {
  const { file, example, trans } = props;
  return (
    <details className="jp-gpuext-ByHand">
      <summary>{trans.__('Or write it into a file on the server')}</summary>
      <code>{printable(file)}</code>
      <pre tabIndex={0}>{example.trim()}</pre>
      <div className="jp-gpuext-Buttons">
        <Button
          label={trans.__('Copy example')}
          onClick={() => props.onCopy(example)}
        />
        <Button
          label={trans.__('Copy path')}
          onClick={() => props.onCopy(file)}
        />
      </div>
    </details>
  );
}
