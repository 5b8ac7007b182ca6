import { refreshIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { IconButton } from '../../components/iconbutton';
import { MiddleCut } from '../../components/middlecut';
import { Button } from '../../components/notice';
import { formatBytes, printable } from '../../format';
import { nameUrl } from '../../storage/insert';
import { Pairs } from '../pairs';
import type { TensorFile } from './contract';
import type { InsideModel } from './model';
import { fileFacts } from './words';

interface IHeadProps {
  readonly model: InsideModel;
  readonly file: TensorFile;
  readonly onCopy: (text: string) => void;
  readonly trans: TranslationBundle;
}

/** Which file, what it is, how that is known, and what it says of itself. */
export function Head(props: IHeadProps): React.JSX.Element {
  const { model, file, trans } = props;
  const url = nameUrl(model.path.connection, model.path.key);
  return (
    <header className="jp-gpuext-Top">
      <div className="jp-gpuext-Top-line">
        <h2 title={printable(url)}>
          <MiddleCut text={printable(url)} />
        </h2>
        <Button
          label={trans.__('Copy name-URL')}
          onClick={() => props.onCopy(url)}
        />
        <IconButton
          icon={refreshIcon}
          label={trans.__('Read again')}
          onClick={() => void model.load()}
        />
      </div>
      <p className="jp-gpuext-Top-facts" role="status">
        {fileFacts(file, trans)}
        <span className="jp-gpuext-Quiet">
          {' · '}
          {trans.__(
            'known from %1 in %2 requests',
            formatBytes(file.bytes_read),
            file.requests
          )}
          {file.consolidated === true
            ? ` · ${trans.__('consolidated: as old as its last writing')}`
            : ''}
        </span>
      </p>
      <Fold file={file} trans={trans} />
    </header>
  );
}

/** Metadata, notes and links of the file; closed, for the table is the point. */
function Fold(props: {
  readonly file: TensorFile;
  readonly trans: TranslationBundle;
}): React.JSX.Element | null {
  const { file, trans } = props;
  const pairs = Object.entries(file.metadata);
  const links = (file.links ?? []).map(
    ({ name, target }) => [name, `→ ${target}`] as const
  );
  const parts = [
    pairs.length > 0
      ? trans._n('%1 attribute', '%1 attributes', pairs.length)
      : '',
    links.length > 0 ? trans._n('%1 link', '%1 links', links.length) : '',
    file.notes.length > 0
      ? trans._n('%1 note', '%1 notes', file.notes.length)
      : ''
  ].filter(text => text !== '');
  return parts.length === 0 ? null : (
    <details className="jp-gpuext-Fold">
      <summary>{parts.join(' · ')}</summary>
      <div className="jp-gpuext-Fold-body">
        {file.notes.map(note => (
          <p key={note}>{printable(note)}</p>
        ))}
        <Pairs pairs={[...pairs, ...links]} trans={trans} />
      </div>
    </details>
  );
}
