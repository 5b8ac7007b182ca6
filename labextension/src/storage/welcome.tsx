import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button } from '../components/notice';
import { printable } from '../format';

interface IWelcomeProps {
  readonly file: string;
  readonly example: string;
  readonly trans: TranslationBundle;
  readonly onCopy: (text: string) => void;
  readonly onRefresh: () => void;
}

/** The first thing seen: no connection yet, and how to make one. */
export function Welcome(props: IWelcomeProps): React.JSX.Element {
  const { file, example, trans } = props;
  return (
    <div className="jp-gpuext-Welcome">
      <h3>{trans.__('Connect your storage')}</h3>
      <p>{trans.__('Put a connection into this file on the server:')}</p>
      <div className="jp-gpuext-Code">
        <code>{printable(file)}</code>
        <Button
          label={trans.__('Copy path')}
          onClick={() => props.onCopy(file)}
        />
      </div>
      <div className="jp-gpuext-Code">
        <pre tabIndex={0}>{example.trim()}</pre>
        <Button
          label={trans.__('Copy example')}
          onClick={() => props.onCopy(example)}
        />
      </div>
      <div className="jp-gpuext-Buttons">
        <Button primary label={trans.__('Refresh')} onClick={props.onRefresh} />
      </div>
      <p className="jp-gpuext-Quiet">
        {trans.__('Secrets stay on this server; notebooks hold names only.')}
      </p>
    </div>
  );
}
