import { closeIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Preview, Tensor, TensorFile } from '../api';
import { IconButton } from '../components/iconbutton';
import { Button } from '../components/notice';
import { Words, wordsFor } from '../components/words';
import { formatBytes, formatShape, printable } from '../format';
import type { ApiError } from '../request';
import type { Inside } from './look';
import { PreviewBody } from './preview';
import { isArchived } from './rows';

/** The strip is a glance; a table of thousands is another view's work. */
const SHOWN_TENSORS = 50;

interface IStripProps {
  readonly inside: Inside;
  readonly trans: TranslationBundle;
  readonly pinned: boolean;
  /** Whether pandas reads such a file. */
  readonly isTable: boolean;
  readonly onPin: () => void;
  readonly onInsert: () => void;
  /** Open the table of all tensors. */
  readonly onOpen: () => void;
  readonly onInsertTable: () => void;
  readonly onDownload: () => void;
  readonly onCopy: () => void;
  readonly onRetry: () => void;
  /** A new link for the file's connection is at hand. */
  readonly onRenew: () => void;
  readonly onClose: () => void;
}

/** "What's inside" the selected file, below the tree. */
export function InsideStrip(props: IStripProps): React.JSX.Element {
  const { inside, trans } = props;
  const title = trans.__("What's inside");
  const name = printable(inside.row.entry.name);
  return (
    <section
      className="jp-gpuext-Inside"
      aria-label={title}
      data-state={inside.state}
    >
      <div className="jp-gpuext-Inside-title">
        <h3>{title}</h3>
        <PinButton {...props} />
        <IconButton
          icon={closeIcon}
          pixels={14}
          label={trans.__('Close')}
          onClick={props.onClose}
        />
      </div>
      <div className="jp-gpuext-Inside-file" title={name}>
        {name}
      </div>
      <Body {...props} />
    </section>
  );
}

function PinButton(props: IStripProps): React.JSX.Element {
  const { pinned, trans } = props;
  const label = pinned ? trans.__('Unpin') : trans.__('Pin');
  return (
    <button
      type="button"
      className="jp-gpuext-IconButton jp-gpuext-Pin"
      aria-label={label}
      aria-pressed={pinned}
      title={label}
      onClick={props.onPin}
    >
      <span aria-hidden={true}>{pinned ? '★' : '☆'}</span>
    </button>
  );
}

function Body(props: IStripProps): React.JSX.Element {
  const { inside, trans } = props;
  switch (inside.state) {
    case 'loading':
      return (
        <p className="jp-gpuext-Quiet">{trans.__('Reading the header…')}</p>
      );
    case 'unreadable':
      return (
        <p className="jp-gpuext-Quiet" data-tone="warning">
          {isArchived(inside.row)
            ? trans.__('archived: cannot be read')
            : printable(inside.row.entry.unreadable ?? '')}
        </p>
      );
    case 'failed':
      return <Failed {...props} problem={inside.problem} />;
    case 'ready':
      return <Ready {...props} info={inside.info} />;
    case 'preview':
      return <Seen {...props} preview={inside.preview} />;
  }
}

function Failed(props: IStripProps & { problem: ApiError }): React.JSX.Element {
  const { problem, trans } = props;
  const said = wordsFor(problem, trans);
  // Asking again cannot change what a file is; it may change all other answers.
  const isFinal = problem.code === 'unsupported_format';
  return (
    <>
      <div className="jp-gpuext-Inside-scroll">
        <p>
          <Words text={said.message} />
        </p>
        <p className="jp-gpuext-Quiet">
          <Words text={said.hint} />
        </p>
      </div>
      <div className="jp-gpuext-Buttons">
        {problem.code === 'expired' ? (
          <Button
            primary
            label={trans.__('Paste new link')}
            onClick={props.onRenew}
          />
        ) : null}
        {isFinal ? null : (
          <Button label={trans.__('Retry')} onClick={props.onRetry} />
        )}
        <Button label={trans.__('Download')} onClick={props.onDownload} />
        <Button label={trans.__('Copy name-URL')} onClick={props.onCopy} />
      </div>
    </>
  );
}

function Ready(props: IStripProps & { info: TensorFile }): React.JSX.Element {
  const { info, trans } = props;
  const rest = info.tensor_count - Math.min(SHOWN_TENSORS, info.tensors.length);
  return (
    <>
      <p className="jp-gpuext-Facts">
        {[
          info.kind,
          trans._n('%1 tensor', '%1 tensors', info.tensor_count),
          formatBytes(info.tensor_bytes)
        ].join(' · ')}
      </p>
      <div className="jp-gpuext-Inside-scroll" tabIndex={0} role="group">
        <ul className="jp-gpuext-Tensors" aria-label={trans.__('Tensors')}>
          {info.tensors.slice(0, SHOWN_TENSORS).map(tensor => (
            <TensorLine key={tensor.name} tensor={tensor} />
          ))}
        </ul>
        {rest > 0 ? (
          <p className="jp-gpuext-Quiet">{trans.__('and %1 more', rest)}</p>
        ) : null}
        <p className="jp-gpuext-Quiet">
          {trans.__(
            'Known from %1 in %2 requests; nothing was downloaded.',
            formatBytes(info.bytes_read),
            info.requests
          )}
        </p>
      </div>
      <div className="jp-gpuext-Buttons">
        <Button
          primary
          label={trans.__('Insert load')}
          title={trans.__('Put %load_blob for this file into the notebook')}
          onClick={props.onInsert}
        />
        <Button
          label={trans.__('Open table')}
          title={trans.__('All tensors: sort, filter, select, plan')}
          onClick={props.onOpen}
        />
        <Button label={trans.__('Copy name-URL')} onClick={props.onCopy} />
      </div>
    </>
  );
}

function Seen(props: IStripProps & { preview: Preview }): React.JSX.Element {
  const { inside, preview, trans } = props;
  return (
    <>
      <PreviewBody
        preview={preview}
        name={inside.row.entry.name}
        trans={trans}
      />
      <div className="jp-gpuext-Buttons">
        {props.isTable ? (
          <Button
            primary
            label={trans.__('Insert pandas')}
            title={trans.__('Put the code that reads it into the notebook')}
            onClick={props.onInsertTable}
          />
        ) : null}
        <Button label={trans.__('Download')} onClick={props.onDownload} />
        <Button label={trans.__('Copy name-URL')} onClick={props.onCopy} />
      </div>
    </>
  );
}

function TensorLine({ tensor }: { tensor: Tensor }): React.JSX.Element {
  const name = printable(tensor.name);
  return (
    <li>
      <span className="jp-gpuext-Tensor-name" title={name}>
        {name}
      </span>
      <span className="jp-gpuext-Tensor-kind">
        {tensor.dtype} {formatShape(tensor.shape)}
      </span>
      <span className="jp-gpuext-Number">{formatBytes(tensor.size_bytes)}</span>
    </li>
  );
}
