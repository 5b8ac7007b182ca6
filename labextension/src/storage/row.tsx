import {
  caretDownEmptyThinIcon,
  caretRightIcon,
  folderIcon
} from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { RowKind } from '../api';
import { MiddleCut } from '../components/middlecut';
import { Button } from '../components/notice';
import { Words, wordsFor } from '../components/words';
import { formatBytes, formatDay, printable } from '../format';
import { lockIcon, objectIcon, storageIcon, tensorIcon } from '../icons';
import { expiryOf } from './expiry';
import { badgeOf } from './kinds';
import type {
  ConnectionRow,
  FolderRow,
  NoteRow,
  ObjectRow,
  Row,
  ShardsRow
} from './rows';
import { isArchived } from './rows';
import { shardsBytes, shardsPattern } from './shards';

interface IRowProps<T> {
  readonly row: T;
  /** What it is, where that is known. */
  readonly kind: RowKind | null;
  readonly trans: TranslationBundle;
  /** The one click that a note row offers: Retry, Load more, Refresh. */
  readonly onNext: () => void;
  /** Go to the box, for a new link. */
  readonly onRenew: () => void;
}

export function RowContent(props: IRowProps<Row>): React.JSX.Element {
  const { row } = props;
  switch (row.kind) {
    case 'connection':
      return <ConnectionCells {...props} row={row} />;
    case 'folder':
      return <FolderCells {...props} row={row} />;
    case 'object':
      return <ObjectCells {...props} row={row} />;
    case 'shards':
      return <ShardsCells {...props} row={row} />;
    default:
      return <NoteCells {...props} row={row} />;
  }
}

function Twisty({ expanded }: { expanded: boolean }): React.JSX.Element {
  const Icon = expanded ? caretDownEmptyThinIcon : caretRightIcon;
  return <Icon.react tag="span" className="jp-gpuext-Twisty" />;
}

function ConnectionCells(props: IRowProps<ConnectionRow>): React.JSX.Element {
  const { connection, expanded } = props.row;
  const { trans } = props;
  return (
    <>
      <Twisty expanded={expanded} />
      <storageIcon.react tag="span" className="jp-gpuext-Icon" />
      <span className="jp-gpuext-Name" title={printable(connection.root)}>
        {printable(connection.name)}
      </span>
      {connection.read_only ? (
        <span
          className="jp-gpuext-Lock"
          role="img"
          aria-label={trans.__('read-only')}
          title={trans.__('read-only')}
        >
          <lockIcon.react tag="span" />
        </span>
      ) : null}
      <ConnectionState {...props} />
      <RenewButton {...props} />
    </>
  );
}

/** What is wrong with it; else when it expires; else as whom it asks. */
function ConnectionState(props: IRowProps<ConnectionRow>): React.JSX.Element {
  const { connection } = props.row;
  const { problem } = connection;
  const expiry = expiryOf(connection.expires_at, Date.now(), props.trans);
  const identity = printable(connection.identity);
  if (problem) {
    return (
      <span
        className="jp-gpuext-Identity"
        data-tone="error"
        title={`${problem.message} ${problem.hint}`}
      >
        {printable(problem.message)}
      </span>
    );
  }
  return (
    <span
      className="jp-gpuext-Identity"
      data-tone={expiry?.tone}
      title={expiry ? `${identity} · ${expiry.text}` : identity}
    >
      {expiry && expiry.tone !== 'quiet' ? '⚠ ' : null}
      {expiry ? (
        <>
          <span className="jp-gpuext-OnlyWide">{expiry.text}</span>
          <span className="jp-gpuext-OnlyNarrow">{expiry.short}</span>
        </>
      ) : (
        identity
      )}
    </span>
  );
}

/** The next click of a connection whose link has ended. */
function RenewButton(
  props: IRowProps<ConnectionRow>
): React.JSX.Element | null {
  const { row, trans } = props;
  const { connection, isTold } = row;
  const expiry = expiryOf(connection.expires_at, Date.now(), trans);
  if (expiry?.tone !== 'error' || connection.problem || isTold) {
    return null;
  }
  const label = trans.__('Paste new link');
  return (
    <button
      type="button"
      className="jp-gpuext-Button jp-gpuext-Renew"
      aria-label={trans.__('Paste new link for %1', connection.name)}
      title={label}
      onClick={event => {
        // The row would open as well.
        event.stopPropagation();
        props.onRenew();
      }}
    >
      <span className="jp-gpuext-OnlyWide">{label}</span>
      <span className="jp-gpuext-OnlyNarrow">{trans.__('New link')}</span>
    </button>
  );
}

function FolderCells(props: IRowProps<FolderRow>): React.JSX.Element {
  const { row } = props;
  const name = printable(row.entry.name);
  return (
    <>
      <Twisty expanded={row.expanded} />
      <folderIcon.react tag="span" className="jp-gpuext-Icon" />
      <span className="jp-gpuext-Name" title={name}>
        {name}
      </span>
      <KindBadge {...props} />
    </>
  );
}

function KindBadge(props: IRowProps<Row>): React.JSX.Element | null {
  const { row, kind, trans } = props;
  if (kind === null || !('entry' in row)) {
    return null;
  }
  const { text, title } = badgeOf(kind, trans);
  const isSaid = row.entry.name.toLowerCase().endsWith(`.${text}`);
  return (
    <span className="jp-gpuext-Kind" data-said={isSaid} title={title}>
      {text}
    </span>
  );
}

function ShardsCells(props: IRowProps<ShardsRow>): React.JSX.Element {
  const { shards, expanded } = props.row;
  const { trans } = props;
  const here = shards.entries.length;
  const count =
    here === shards.total
      ? trans.__('%1 shards', here)
      : trans.__('%1 of %2 shards', here, shards.total);
  return (
    <>
      <Twisty expanded={expanded} />
      <tensorIcon.react tag="span" className="jp-gpuext-Icon" />
      <span className="jp-gpuext-Name" title={printable(shardsPattern(shards))}>
        {printable(shards.stem)} ({count})
      </span>
      <span className="jp-gpuext-Size">{formatBytes(shardsBytes(shards))}</span>
    </>
  );
}

function ObjectCells(props: IRowProps<ObjectRow>): React.JSX.Element {
  const { entry, shard } = props.row;
  const name = printable(entry.name);
  const Icon = LOOKS_LIKE_TENSORS.test(entry.name) ? tensorIcon : objectIcon;
  return (
    <>
      <span className="jp-gpuext-Twisty" />
      <Icon.react tag="span" className="jp-gpuext-Icon" />
      <span
        className="jp-gpuext-Name"
        data-unreadable={entry.unreadable !== null}
        title={entry.unreadable ? `${name}\n${entry.unreadable}` : name}
      >
        {shard ? (
          props.trans.__('%1 of %2', ...shard)
        ) : (
          <MiddleCut text={name} />
        )}
      </span>
      <KindBadge {...props} />
      {isArchived(props.row) ? (
        <span className="jp-gpuext-Tag">{props.trans.__('archived')}</span>
      ) : null}
      <span className="jp-gpuext-Tier">
        {isArchived(props.row) ? '' : printable(entry.tier ?? '')}
      </span>
      <span className="jp-gpuext-Modified" title={entry.modified ?? undefined}>
        {entry.modified === null ? '' : formatDay(entry.modified)}
      </span>
      <span
        className="jp-gpuext-Size"
        title={entry.size_bytes === null ? undefined : `${entry.size_bytes} B`}
      >
        {entry.size_bytes === null ? '' : formatBytes(entry.size_bytes)}
      </span>
    </>
  );
}

function NoteCells(props: IRowProps<NoteRow>): React.JSX.Element {
  const { row, trans, onNext } = props;
  switch (row.kind) {
    case 'loading':
      return <span className="jp-gpuext-Note">{trans.__('Listing…')}</span>;
    case 'empty':
      return (
        <span className="jp-gpuext-Note">
          {trans.__('Nothing here yet.')}{' '}
          <Button label={trans.__('Refresh')} onClick={onNext} />
        </span>
      );
    case 'more':
      return (
        <span className="jp-gpuext-Note">
          {trans.__('%1 shown, more exist', row.shown.toLocaleString())}{' '}
          <Button label={trans.__('Load more')} onClick={onNext} />
        </span>
      );
    case 'narrowed':
      return (
        <span className="jp-gpuext-Note">
          {row.shown === 0
            ? trans.__('Nothing begins with “%1”.', printable(row.search))
            : trans.__(
                'Names that begin with “%1”',
                printable(row.search)
              )}{' '}
          <Button label={trans.__('Show all')} onClick={onNext} />
        </span>
      );
    case 'failed':
      return (
        <ProblemCells {...props} row={row}>
          <Button label={trans.__('Retry')} onClick={onNext} />
        </ProblemCells>
      );
    case 'trouble':
      return (
        <ProblemCells {...props} row={row}>
          <Button label={trans.__('Dismiss')} onClick={onNext} />
        </ProblemCells>
      );
  }
}

type ProblemRow = Extract<NoteRow, { kind: 'failed' | 'trouble' }>;

function ProblemCells(
  props: IRowProps<ProblemRow> & { readonly children: React.ReactNode }
): React.JSX.Element {
  const { problem } = props.row;
  const said = wordsFor(problem, props.trans);
  const hint =
    problem.code === 'expired'
      ? props.trans.__('Ask for a new one: name and pins stay.')
      : said.hint;
  return (
    <span className="jp-gpuext-Note" data-tone="error">
      <b>
        <Words text={printable(said.message)} />
      </b>{' '}
      <Words text={printable(hint)} />{' '}
      {problem.code === 'expired' ? (
        <Button
          label={props.trans.__('Paste new link')}
          onClick={props.onRenew}
        />
      ) : null}{' '}
      {props.children}
    </span>
  );
}

/** A hint by name alone; what is inside is asked when the file is selected. */
const LOOKS_LIKE_TENSORS = /\.(safetensors|pth?|ckpt|bin)$/i;
