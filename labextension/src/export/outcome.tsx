import { Clipboard } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button, Notice } from '../components/notice';
import { wordsFor } from '../components/words';
import { printable } from '../format';
import type { ExportedJob, JobRun } from './contract';
import { runWords } from './form';
import type { ExportModel } from './model';
import { ProofOutcome } from './proof';

interface IOutcomeProps {
  readonly model: ExportModel;
  readonly trans: TranslationBundle;
  readonly onShow: (cell: number) => void;
  readonly onOpen: (path: string) => void;
}

/** What the last click did: what went wrong, what was written, its proof, how it runs. */
export function Outcome(props: IOutcomeProps): React.JSX.Element {
  const { model, trans } = props;
  const { problem, written, proof, run } = model;
  return (
    <>
      {problem ? <Notice tone="error" {...wordsFor(problem, trans)} /> : null}
      {written ? <Written {...props} job={written} /> : null}
      {proof ? <ProofOutcome {...props} proof={proof} /> : null}
      {run ? <Run {...props} run={run} /> : null}
    </>
  );
}

function Written(
  props: IOutcomeProps & { readonly job: ExportedJob }
): React.JSX.Element {
  const { job, model, trans } = props;
  const command = job.commands[model.form.place];
  const kept = job.kept.map(printable).join(', ');
  return (
    <Notice
      tone="info"
      message={trans._n(
        'Written: %2, %1 file.',
        'Written: %2, %1 files.',
        job.files.length,
        printable(job.folder)
      )}
      hint={
        kept === '' ? '' : trans.__('Changed by hand, and not lost: %1', kept)
      }
    >
      <Command text={command} trans={trans} />
      <Button
        label={trans.__('Open README')}
        onClick={() => props.onOpen(`${job.folder}/README.md`)}
      />
    </Notice>
  );
}

function Command(props: {
  readonly text: string;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { text, trans } = props;
  const [copied, setCopied] = React.useState('');
  return (
    <div className="jp-gpuext-Export-command">
      <code>{text}</code>
      <Button
        label={copied === text ? trans.__('Copied') : trans.__('Copy')}
        onClick={() => {
          Clipboard.copyToSystem(text);
          setCopied(text);
        }}
      />
    </div>
  );
}

function Run(
  props: IOutcomeProps & { readonly run: JobRun }
): React.JSX.Element {
  const { model, run, trans } = props;
  const isRunning = run.state === 'running';
  const isWell = isRunning || run.exit_code === 0 || run.exit_code === 143;
  return (
    <section
      className="jp-gpuext-Export-run"
      aria-label={trans.__('Run on this machine')}
      data-state={run.state}
    >
      <h3 role="status" data-tone={isWell ? 'info' : 'error'}>
        {runWords(run, Date.now() / 1000, trans)}
      </h3>
      <p className="jp-gpuext-Quiet">
        {trans.__('Log: %1', printable(run.log))}
        {isRunning
          ? ` · ${trans.__('it goes on when this tab is closed')}`
          : ''}
      </p>
      {run.tail === '' ? null : (
        <pre tabIndex={0} aria-label={trans.__('The end of its output')}>
          {run.tail}
        </pre>
      )}
      <div className="jp-gpuext-Buttons">
        {isRunning ? (
          <Button
            label={trans.__('Stop')}
            title={trans.__('SIGTERM: a Checkpointer saves, then it ends')}
            disabled={model.isBusy}
            onClick={() => void model.stop()}
          />
        ) : null}
        <Button
          label={trans.__('Open log')}
          onClick={() => props.onOpen(`${run.folder}/train.log`)}
        />
      </div>
    </section>
  );
}
