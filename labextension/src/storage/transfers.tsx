import { closeIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Transfer } from '../api';
import { IconButton } from '../components/iconbutton';
import { Button } from '../components/notice';
import { Words, wordsFor } from '../components/words';
import { formatBytes, printable } from '../format';
import { nameUrl } from './insert';
import type { Jobs } from './jobs';
import type { Line } from './transferlines';
import { jobLine, uploadLine } from './transferlines';
import type { Upload } from './upload';
import type { Uploads } from './uploads';
import { nameOf } from './target';

/** Enough to see what is wrong; a thousand lines help nobody. */
const SHOWN_FAILURES = 50;
const SHOWN_UPLOADS = 20;

interface ITransfersProps {
  readonly uploads: Uploads;
  readonly jobs: Jobs;
  readonly trans: TranslationBundle;
  /** A new link for a connection is at hand. */
  readonly onRenew: (connection: string) => void;
}

/** What is on its way, below the tree. */
export function TransferList(props: ITransfersProps): React.JSX.Element | null {
  const { uploads, jobs, trans } = props;
  if (uploads.all.length + jobs.all.length === 0) {
    return null;
  }
  return (
    <section
      className="jp-gpuext-Transfers"
      aria-label={trans.__('Transfers')}
      tabIndex={0}
    >
      <ul>
        {jobs.all.map(job => (
          <JobItem key={job.id} {...props} job={job} />
        ))}
        {uploads.all
          .filter(upload => !isSummed(upload.state))
          .slice(0, SHOWN_UPLOADS)
          .map((upload, index) => (
            <UploadItem key={index} {...props} upload={upload} />
          ))}
        <SumItem {...props} state="waiting" />
        <SumItem {...props} state="done" />
      </ul>
    </section>
  );
}

function UploadItem(
  props: ITransfersProps & { readonly upload: Upload }
): React.JSX.Element {
  const { uploads, upload, trans } = props;
  const { state, problem, path } = upload;
  const url = printable(nameUrl(path.connection, path.key));
  const isBusy = state === 'running' || state === 'asking';
  const sizeBytes = upload.file.size;
  const { doneBytes, bytesPerSecond } = upload;
  const line = uploadLine(
    { state, doneBytes, sizeBytes, bytesPerSecond },
    trans
  );
  return (
    <li className="jp-gpuext-Transfer" data-state={state}>
      <Title text={printable(nameOf(path.key))} title={url} line={line}>
        {state === 'interrupted' || state === 'failed' ? (
          <Button
            label={
              state === 'failed' ? trans.__('Try again') : trans.__('Resume')
            }
            onClick={() => uploads.resume(upload)}
          />
        ) : null}
        {isBusy ? (
          <Button
            label={trans.__('Cancel')}
            onClick={() => void uploads.dismiss(upload)}
          />
        ) : (
          <Close trans={trans} onClick={() => void uploads.dismiss(upload)} />
        )}
      </Title>
      {problem && !isBusy ? <Problem problem={problem} trans={trans} /> : null}
      {problem?.code === 'expired' && !isBusy ? (
        <Button
          label={trans.__('Paste new link')}
          onClick={() => props.onRenew(path.connection)}
        />
      ) : null}
    </li>
  );
}

/** A thousand files wait, or have arrived, on one line. */
function SumItem(
  props: ITransfersProps & { readonly state: 'waiting' | 'done' }
): React.JSX.Element | null {
  const { uploads, state, trans } = props;
  const those = uploads.all.filter(upload => upload.state === state);
  if (those.length === 0) {
    return null;
  }
  const bytes = those.reduce((sum, upload) => sum + upload.file.size, 0);
  const isDone = state === 'done';
  const [only] = those.length === 1 ? those : [];
  const text = only
    ? printable(nameOf(only.path.key))
    : trans.__('%1 files', those.length.toLocaleString());
  const dismiss = () => void uploads.dismissAll(those);
  return (
    <li className="jp-gpuext-Transfer" data-state={state}>
      <div className="jp-gpuext-Transfer-title">
        <span className="jp-gpuext-Name">{text}</span>
        <span className="jp-gpuext-Transfer-detail" role="status">
          {isDone
            ? trans.__('✓ uploaded · %1', formatBytes(bytes))
            : trans.__('waiting · %1', formatBytes(bytes))}
        </span>
        {isDone ? (
          <Close trans={trans} onClick={dismiss} />
        ) : (
          <Button label={trans.__('Cancel')} onClick={dismiss} />
        )}
      </div>
    </li>
  );
}

function isSummed(state: Upload['state']): boolean {
  return state === 'waiting' || state === 'done';
}

function JobItem(
  props: ITransfersProps & { readonly job: Transfer }
): React.JSX.Element {
  const { jobs, job, trans } = props;
  const title = printable(job.title);
  return (
    <li className="jp-gpuext-Transfer" data-state={job.state}>
      <Title text={title} title={title} line={jobLine(job, trans)}>
        {job.state === 'running' ? (
          <Button
            label={trans.__('Cancel')}
            onClick={() => void jobs.cancel(job.id)}
          />
        ) : (
          <Close trans={trans} onClick={() => jobs.dismiss(job.id)} />
        )}
      </Title>
      {job.failed.length === 0 ? null : <Failures job={job} trans={trans} />}
    </li>
  );
}

function Title(props: {
  readonly text: string;
  readonly title: string;
  readonly line: Line;
  readonly children: React.ReactNode;
}): React.JSX.Element {
  const { text, title, line } = props;
  const percent =
    line.ratio === null ? undefined : Math.round(100 * line.ratio);
  return (
    <>
      <div className="jp-gpuext-Transfer-title">
        <span className="jp-gpuext-Name" title={title}>
          {text}
        </span>
        {props.children}
      </div>
      <div
        className="jp-gpuext-Progress-bar"
        role="progressbar"
        aria-label={title}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={line.detail}
      >
        <div
          className="jp-gpuext-Progress-fill"
          style={{ width: `${percent ?? 0}%` }}
        />
      </div>
      <div className="jp-gpuext-Transfer-detail">{line.detail}</div>
    </>
  );
}

function Problem(props: {
  readonly problem: Parameters<typeof wordsFor>[0];
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const said = wordsFor(props.problem, props.trans);
  return (
    <p className="jp-gpuext-Transfer-problem" role="alert">
      <Words text={printable(said.message)} />{' '}
      <Words text={printable(said.hint)} />
    </p>
  );
}

function Failures(props: {
  readonly job: Transfer;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { job, trans } = props;
  const rest = job.failed.length - SHOWN_FAILURES;
  return (
    <details className="jp-gpuext-Transfer-failed">
      <summary>
        {trans._n(
          '%1 object is still there: why',
          '%1 objects are still there: why',
          job.failed.length
        )}
      </summary>
      <ul>
        {job.failed.slice(0, SHOWN_FAILURES).map(({ key, message }) => (
          <li key={key}>
            <code>{printable(key)}</code> {printable(message)}
          </li>
        ))}
        {rest > 0 ? <li>{trans.__('and %1 more', rest)}</li> : null}
      </ul>
    </details>
  );
}

function Close(props: {
  readonly trans: TranslationBundle;
  readonly onClick: () => void;
}): React.JSX.Element {
  return (
    <IconButton
      icon={closeIcon}
      pixels={12}
      label={props.trans.__('Dismiss')}
      onClick={props.onClick}
    />
  );
}
