import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button } from '../components/notice';
import type { ExportedJob } from './contract';
import type { AndThen, ExportModel } from './model';
import { proofValues } from './proving';

interface IActionsProps {
  readonly job: ExportedJob;
  readonly model: ExportModel;
  readonly trans: TranslationBundle;
}

/** The last line of the form: what is done with what is filled in. */
export function Actions(props: IActionsProps): React.JSX.Element {
  const { model, trans } = props;
  const { isBusy, isAsking } = model;
  return (
    <div className="jp-gpuext-Buttons">
      {model.form.prove ? <Prove {...props} /> : <Write {...props} />}
      {model.form.place === 'here' ? <Run {...props} /> : null}
      {isBusy || isAsking ? (
        <span className="jp-gpuext-Quiet" role="status">
          {isBusy ? trans.__('Working…') : trans.__('Checking…')}
        </span>
      ) : null}
    </div>
  );
}

function Write({ job, model, trans }: IActionsProps): React.JSX.Element {
  return (
    <Button
      primary={model.form.place !== 'here'}
      label={trans.__('Export')}
      {...state(job, model, trans)}
      onClick={() => void model.write({ kind: 'nothing' })}
    />
  );
}

function Prove({ job, model, trans }: IActionsProps): React.JSX.Element {
  const { values, problem } = proofValues(job, model.form, trans);
  const { disabled, title } = state(job, model, trans);
  const isRunning = model.run?.state === 'running';
  const then: AndThen = { kind: 'prove', values };
  return (
    <Button
      primary
      label={trans.__('Export + prove')}
      disabled={disabled || isRunning || problem !== ''}
      title={
        isRunning ? trans.__('It runs: wait for its end, or stop it') : title
      }
      onClick={() => void model.write(then)}
    />
  );
}

function Run({ job, model, trans }: IActionsProps): React.JSX.Element {
  const { disabled } = state(job, model, trans);
  const { form, run } = model;
  return (
    <Button
      primary={!form.prove}
      label={trans.__('Export + run')}
      disabled={disabled || form.prove || run?.state === 'running'}
      title={
        form.prove
          ? trans.__('The proof comes first: untick it to run')
          : trans.__('In the background, on the machine of the server')
      }
      onClick={() => void model.write({ kind: 'run' })}
    />
  );
}

/** What holds for each button that writes the folder. */
function state(
  job: ExportedJob,
  model: ExportModel,
  trans: TranslationBundle
): { readonly disabled: boolean; readonly title?: string } {
  if (model.proof?.state === 'running') {
    const title = trans.__('The folder is being proven: wait, or stop it');
    return { disabled: true, title };
  }
  const isTaken = job.exists && !model.form.overwrite;
  return { disabled: model.isBusy || model.refusal !== null || isTaken };
}
