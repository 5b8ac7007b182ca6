import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button, Notice } from '../components/notice';
import { printable } from '../format';
import type { ExportedJob, JobProof } from './contract';
import { Line, Text } from './fields';
import { cellOf } from './form';
import type { ExportModel } from './model';
import { proofTime, proofValues, proofWords, shownWith } from './proving';

/** Whether the folder is to be proven, and with which parameters. */
export function ProofLine(props: {
  readonly job: ExportedJob;
  readonly model: ExportModel;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { job, model, trans } = props;
  const { form } = model;
  const text = shownWith(job, form);
  const help = trans.__(
    'A short run is enough. The notebook runs in a kernel of its own, then the script; both must give the same. Storage is not written.'
  );
  return (
    <Line label={trans.__('Proof')}>
      <label className="jp-gpuext-Export-check">
        <input
          type="checkbox"
          checked={form.prove}
          onChange={event => model.change({ prove: event.target.checked })}
        />
        {trans.__('prove it here')}
      </label>
      {!form.prove ? null : job.parameters.length === 0 && text === '' ? (
        <p className="jp-gpuext-Quiet">{help}</p>
      ) : (
        <div className="jp-gpuext-Export-pairs">
          <Text
            label={trans.__('with')}
            value={text}
            placeholder={trans.__('every parameter as above')}
            help={help}
            problem={proofValues(job, form, trans).problem}
            onChange={proveWith => model.change({ proveWith })}
          />
        </div>
      )}
    </Line>
  );
}

interface IProofProps {
  readonly model: ExportModel;
  readonly proof: JobProof;
  readonly trans: TranslationBundle;
  readonly onShow: (cell: number) => void;
  readonly onOpen: (path: string) => void;
}

/** How the last proof of the folder goes, or came out. */
export function ProofOutcome(props: IProofProps): React.JSX.Element {
  const { proof, trans } = props;
  return (
    <section
      className="jp-gpuext-Export-run jp-gpuext-Export-proof"
      aria-label={trans.__('Proof')}
      data-state={proof.state}
    >
      {proof.state === 'failed' ? <Failed {...props} /> : <Told {...props} />}
    </section>
  );
}

function Failed({ proof, trans, onShow }: IProofProps): React.JSX.Element {
  const cell = cellOf(proof.message);
  return (
    <Notice
      tone="error"
      message={trans.__('No proof: %1', printable(proof.message))}
      hint={printable(proof.hint)}
    >
      {cell === null ? null : (
        <Button
          primary
          label={trans.__('Show cell %1', cell)}
          onClick={() => onShow(cell)}
        />
      )}
    </Notice>
  );
}

function Told({ model, proof, trans, onOpen }: IProofProps): React.JSX.Element {
  const { state, differs } = proof;
  const tone =
    state === 'holds' ? 'ok' : state === 'differs' ? 'error' : 'info';
  const isRunning = state === 'running';
  const time = proofTime(proof, Date.now() / 1000);
  return (
    <>
      <h3 role="status" data-tone={tone}>
        {proofWords(proof, trans)}
      </h3>
      <p className="jp-gpuext-Quiet">
        {isRunning
          ? `${time} · ${trans.__('it goes on when this tab is closed')}`
          : trans.__('It took %1', time)}
      </p>
      {differs.length === 0 ? null : (
        <ul aria-label={trans.__('What differs')}>
          {differs.map(({ kind, name, detail }) => (
            <li key={`${kind} ${name}`}>
              <b>{printable(name)}</b>: {printable(detail)}
            </li>
          ))}
        </ul>
      )}
      <div className="jp-gpuext-Buttons">
        {isRunning ? (
          <Button
            label={trans.__('Stop')}
            title={trans.__('Its kernel ends too; an earlier proof stays')}
            disabled={model.isBusy}
            onClick={() => void model.stopProof()}
          />
        ) : null}
        {state === 'holds' || state === 'differs' ? (
          <Button
            label={trans.__('Open report')}
            onClick={() => onOpen(proof.report)}
          />
        ) : null}
      </div>
    </>
  );
}
