import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button, Notice } from '../components/notice';
import { Words, wordsFor } from '../components/words';
import { baseName, printable } from '../format';
import type { ApiError } from '../request';
import type { ExportedJob } from './contract';
import { Choices, Flag, Line, Text } from './fields';
import type { Form } from './form';
import {
  MOST_GPUS,
  accessWords,
  cellOf,
  isFlag,
  peakWords,
  shownDefault,
  withValue
} from './form';
import type { ExportModel } from './model';
import { Actions } from './actions';
import { Outcome } from './outcome';
import { ProofLine } from './proof';

export interface IExportViewProps {
  readonly model: ExportModel;
  readonly trans: TranslationBundle;
  readonly onShow: (cell: number) => void;
  readonly onOpen: (path: string) => void;
}

interface IPartProps {
  readonly form: Form;
  readonly job: ExportedJob;
  readonly model: ExportModel;
  readonly trans: TranslationBundle;
}

export function ExportView(props: IExportViewProps): React.JSX.Element {
  const { model, trans } = props;
  const { job, refusal } = model;
  return (
    <>
      <div className="jp-gpuext-Header">
        <h2>{trans.__('Export training job')}</h2>
      </div>
      <p className="jp-gpuext-Export-of">
        {printable(baseName(model.source.path))}
      </p>
      {refusal ? <Refusal {...props} problem={refusal} /> : null}
      {job ? (
        <form
          aria-label={trans.__('Export training job')}
          aria-busy={model.isAsking}
          onSubmit={event => event.preventDefault()}
        >
          <Fields {...props} job={job} />
          <Actions {...props} job={job} />
        </form>
      ) : null}
      {!job && !refusal ? (
        <p className="jp-gpuext-Quiet" role="status">
          {trans.__('Reading the notebook, its packages and its data…')}
        </p>
      ) : null}
      <Outcome {...props} />
    </>
  );
}

function Refusal(
  props: IExportViewProps & { readonly problem: ApiError }
): React.JSX.Element {
  const { model, problem, trans } = props;
  const cell = cellOf(problem.message);
  return (
    <Notice tone="error" {...wordsFor(problem, trans)}>
      {cell === null ? null : (
        <Button
          primary
          label={trans.__('Show cell %1', cell)}
          onClick={() => props.onShow(cell)}
        />
      )}
      <Button label={trans.__('Try again')} onClick={() => void model.look()} />
    </Notice>
  );
}

function Fields(
  props: IExportViewProps & { readonly job: ExportedJob }
): React.JSX.Element {
  const { model, job, trans } = props;
  const part = { model, job, trans, form: model.form };
  return (
    <>
      <Where {...part} />
      <Parameters {...part} />
      <Storage {...part} />
      <ProofLine {...part} />
      <Remarks job={job} trans={trans} onShow={props.onShow} />
      <Folder {...part} />
    </>
  );
}

function Where({ form, job, model, trans }: IPartProps): React.JSX.Element {
  return (
    <>
      <Choices
        label={trans.__('Run on')}
        value={form.place}
        choices={[
          { value: 'kubernetes', label: trans.__('Kubernetes') },
          { value: 'slurm', label: trans.__('Slurm') },
          { value: 'here', label: trans.__('here') }
        ]}
        onChange={place => model.change({ place })}
      />
      {form.place === 'here' ? null : (
        <Image {...{ form, job, model, trans }} />
      )}
      <Line label={trans.__('GPUs')}>
        <input
          type="number"
          className="jp-gpuext-Export-number"
          aria-label={trans.__('Number of GPUs')}
          min={0}
          max={MOST_GPUS}
          required
          value={form.gpus}
          onChange={event => {
            const gpus = Math.round(Number(event.target.value));
            model.change({ gpus: Math.min(MOST_GPUS, Math.max(0, gpus)) });
          }}
        />
        <span className="jp-gpuext-Quiet">{peakWords(job, trans)}</span>
      </Line>
    </>
  );
}

function Image({ form, job, model, trans }: IPartProps): React.JSX.Element {
  return (
    <>
      <Choices
        label={trans.__('Image')}
        value={form.image}
        choices={[
          {
            value: 'notebook',
            label: job.installs
              ? trans.__("PyTorch's, packages at start")
              : trans.__("this notebook's")
          },
          { value: 'build', label: trans.__('build one') },
          { value: 'named', label: trans.__('another') }
        ]}
        onChange={image => model.change({ image })}
      >
        <p className="jp-gpuext-Quiet jp-gpuext-Export-image">
          {form.image === 'build'
            ? trans.__('Dockerfile and commands are in the folder')
            : printable(job.image)}
        </p>
      </Choices>
      {form.image === 'named' ? (
        <Line label={trans.__('Name')}>
          <Text
            shown={false}
            label={trans.__('Name of the image')}
            value={form.imageName}
            placeholder={trans.__('registry/name:tag')}
            onChange={imageName => model.change({ imageName })}
          />
        </Line>
      ) : null}
    </>
  );
}

function Parameters(props: IPartProps): React.JSX.Element {
  const { form, job, model, trans } = props;
  return (
    <Line label={trans.__('Parameters')}>
      {job.parameters.length === 0 ? (
        <p className="jp-gpuext-Quiet">
          <Words
            text={trans.__(
              'None. Tag a cell `parameters`, and its assignments stand here.'
            )}
          />
        </p>
      ) : (
        <div className="jp-gpuext-Export-pairs">
          {job.parameters.map(one => {
            const value = form.values[one.name];
            const change = (text: string) =>
              model.change(withValue(form, one, text));
            return isFlag(one) ? (
              <Flag
                key={one.name}
                label={one.name}
                help={one.help}
                value={(value ?? one.default).toLowerCase() === 'true'}
                trans={trans}
                onChange={on => change(on ? 'True' : 'False')}
              />
            ) : (
              <Text
                key={one.name}
                label={one.name}
                help={one.help}
                value={value ?? ''}
                placeholder={printable(shownDefault(one))}
                onChange={change}
              />
            );
          })}
        </div>
      )}
    </Line>
  );
}

function Storage({ form, job, model, trans }: IPartProps): React.JSX.Element {
  const needsAccount =
    form.place === 'kubernetes' &&
    job.connections.some(one => one.secret === '');
  return (
    <Line label={trans.__('Storage used')}>
      {job.connections.length === 0 ? (
        <p className="jp-gpuext-Quiet">{trans.__('None.')}</p>
      ) : (
        <ul className="jp-gpuext-Export-storage">
          {job.connections.map(one => (
            <li key={one.name}>
              <b>{printable(one.name)}</b>
              <span className="jp-gpuext-Tag">{accessWords(one, trans)}</span>
              <span className="jp-gpuext-Quiet">{printable(one.root)}</span>
              {one.secret !== '' && form.place === 'kubernetes' ? (
                <Text
                  shown={false}
                  label={trans.__('Kubernetes Secret of %1', one.name)}
                  value={form.secrets[one.name] ?? ''}
                  placeholder={one.kubernetes_secret}
                  help={trans.__('Secret that holds %1', one.secret)}
                  onChange={text =>
                    model.change({
                      secrets: { ...form.secrets, [one.name]: text }
                    })
                  }
                />
              ) : null}
              {one.note === '' || form.place === 'here' ? null : (
                <p className="jp-gpuext-Quiet" data-tone="warning">
                  {printable(one.note)}
                </p>
              )}
            </li>
          ))}
        </ul>
      )}
      {needsAccount ? (
        <div className="jp-gpuext-Export-pairs">
          <Text
            label={trans.__('Service account')}
            value={form.serviceAccount}
            placeholder={trans.__('default')}
            help={trans.__('Its workload identity opens the storage.')}
            onChange={serviceAccount => model.change({ serviceAccount })}
          />
        </div>
      ) : null}
    </Line>
  );
}

function Remarks(props: {
  readonly job: ExportedJob;
  readonly trans: TranslationBundle;
  readonly onShow: (cell: number) => void;
}): React.JSX.Element | null {
  const { remarks, connections } = props.job;
  // What is said of a connection stands where it is listed.
  const notes = props.job.notes.filter(
    text => !connections.some(({ name }) => text.startsWith(`${name}://:`))
  );
  const { trans, onShow } = props;
  if (remarks.length + notes.length === 0) {
    return null;
  }
  return (
    <Line label={trans.__('To know before')}>
      <ul className="jp-gpuext-Export-remarks">
        {remarks.map(({ cell, line, text }) => (
          <li key={`${cell} ${line} ${text}`}>
            <span>
              {line === 0
                ? trans.__('Cell %1: %2', cell, printable(text))
                : trans.__('Cell %1, line %2: %3', cell, line, printable(text))}
            </span>
            <Button
              label={trans.__('Show')}
              title={trans.__('Show cell %1', cell)}
              onClick={() => onShow(cell)}
            />
          </li>
        ))}
        {notes.map(text => (
          <li key={text}>
            <span>{printable(text)}</span>
          </li>
        ))}
      </ul>
    </Line>
  );
}

function Folder({ form, job, model, trans }: IPartProps): React.JSX.Element {
  return (
    <>
      <Line label={trans.__('Folder')}>
        <Text
          shown={false}
          label={trans.__('Folder')}
          value={form.folder}
          placeholder={printable(job.folder)}
          onChange={folder => model.change({ folder })}
        />
        {job.exists ? (
          <label className="jp-gpuext-Export-check">
            <input
              type="checkbox"
              checked={form.overwrite}
              onChange={event =>
                model.change({ overwrite: event.target.checked })
              }
            />
            {trans.__(
              'replace the earlier export; what was changed by hand is kept'
            )}
          </label>
        ) : null}
      </Line>
      {form.place === 'here' ? (
        <Line label={trans.__('Log')}>
          <Text
            shown={false}
            label={trans.__('Log')}
            value={form.log}
            placeholder={trans.__('train.log in the folder; or run7://…')}
            onChange={log => model.change({ log })}
          />
        </Line>
      ) : null}
    </>
  );
}
