import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button } from '../../components/notice';
import { Problem } from '../../components/problem';
import { isServerMissing } from '../../components/words';
import { formatBytes, printable } from '../../format';
import type { Streamed } from '../../storage/streamcode';
import type { Asking } from '../asking';
import { ChunkView } from '../chunks/chunkview';
import { asideWords, ratioWords } from '../planwords';
import { AdviceList } from './advice';
import type { Part, Plan, Tensor, TensorFile } from './contract';
import { Facts } from './facts';
import { arrayPart, xarrayObstacle } from './insertcode';
import type { InsideModel } from './model';
import type { Room } from './room';
import { axisWords, partStream } from './streampart';
import { costWords, fits } from './words';

export interface IActions {
  readonly insertLoad: (part: Part) => void;
  readonly insertXarray: (file: TensorFile, tensor: Tensor) => void;
  readonly insertStream: (streamed: Streamed) => void;
  readonly insertH5py: (tensor: Tensor | null) => void;
  readonly copy: (text: string) => void;
  /** null: there is no viewer here. */
  readonly view: ((tensor: Tensor, select: string) => void) | null;
}

interface IDetailsProps {
  readonly model: InsideModel;
  readonly file: TensorFile;
  readonly tensor: Tensor;
  readonly room: Room | null;
  readonly theme: string;
  readonly actions: IActions;
  readonly sliceId: string;
  readonly trans: TranslationBundle;
}

/** One array: its pieces, the part that is wanted, what that costs. */
export function Details(props: IDetailsProps): React.JSX.Element {
  const { file, tensor, actions, trans } = props;
  const { view } = actions;
  const name = printable(tensor.name);
  const { select } = props.model;
  return (
    <section className="jp-gpuext-Side" aria-label={name}>
      <h3 title={name}>{name}</h3>
      {tensor.unreadable ? (
        <p className="jp-gpuext-Quiet" data-tone="warning">
          {trans.__('Not read: %1', printable(tensor.unreadable))}
        </p>
      ) : null}
      <Facts tensor={tensor} trans={trans} />
      {file.kind === 'zarr' && !tensor.unreadable ? (
        <Wanted {...props} />
      ) : (
        <div className="jp-gpuext-Buttons">
          {view ? (
            <Button
              label={trans.__('Open in viewer')}
              onClick={() => view(tensor, select)}
            />
          ) : null}
        </div>
      )}
    </section>
  );
}

/** The part, its plan and its chunks. */
function Wanted(props: IDetailsProps): React.JSX.Element {
  const { model, tensor, theme, trans } = props;
  const { arrayPlan, chunks } = model;
  return (
    <>
      <PartBox {...props} />
      <Cost {...props} asking={arrayPlan} />
      {chunks.answer ? (
        <ChunkView
          map={chunks.answer}
          isStale={chunks.isAsking}
          theme={theme}
          trans={trans}
        />
      ) : null}
      {chunks.problem &&
      !isServerMissing(chunks.problem) &&
      !arrayPlan.problem ? (
        <Problem problem={chunks.problem} trans={trans} />
      ) : null}
      <InsertButtons {...props} />
      {arrayPlan.answer?.advice ? (
        <AdviceList
          advice={arrayPlan.answer.advice}
          name={tensor.name}
          onCopy={props.actions.copy}
          trans={trans}
        />
      ) : null}
    </>
  );
}

function PartBox(props: IDetailsProps): React.JSX.Element {
  const { model, tensor, sliceId, trans } = props;
  const rank = tensor.shape.length;
  const placeholder = rank === 0 ? '' : tensor.shape.map(() => ':').join(', ');
  return (
    <div className="jp-gpuext-Part">
      <label htmlFor={sliceId}>{trans.__('Part')}</label>
      <input
        id={sliceId}
        className="jp-gpuext-Input"
        type="text"
        spellCheck={false}
        autoComplete="off"
        placeholder={placeholder}
        title={exampleOf(tensor, trans)}
        value={model.select}
        aria-invalid={model.arrayPlan.problem?.code === 'bad_request'}
        onChange={event => model.setSelect(event.target.value)}
      />
      <label
        className="jp-gpuext-Raw"
        title={trans.__('Values as they are stored, not decoded')}
      >
        <input
          type="checkbox"
          checked={model.raw}
          onChange={event => model.setRaw(event.target.checked)}
        />
        {trans.__('raw')}
      </label>
    </div>
  );
}

function exampleOf(tensor: Tensor, trans: TranslationBundle): string {
  const named = tensor.dimensions?.find(name => name !== null);
  const byIndex = ['0:100', ...tensor.shape.slice(1).map(() => ':')].join(', ');
  return named
    ? trans.__('By index: %1. By label: %2=FIRST:LAST.', byIndex, named)
    : trans.__('By index: %1.', byIndex);
}

/** What a load of the part costs, or why nobody can say. */
function Cost(
  props: IDetailsProps & { readonly asking: Asking<Part, Plan> }
): React.JSX.Element {
  const { asking, room, trans } = props;
  const { answer: plan, problem } = asking;
  if (problem) {
    return <Problem problem={problem} trans={trans} />;
  }
  if (!plan) {
    return <p className="jp-gpuext-Quiet">{trans.__('Planning…')}</p>;
  }
  const shape = plan.tensors?.[0]?.shape;
  const ratio = ratioWords(plan, trans);
  const aside = asideWords(plan, trans);
  return (
    <div
      className="jp-gpuext-Cost"
      role="status"
      data-stale={asking.isAsking}
      data-tone={fits(plan, room) ? undefined : 'warning'}
    >
      <p>
        {shape ? `${shape.join(' × ') || trans.__('one value')} · ` : ''}
        {costWords(plan, room, trans)}
        {fits(plan, room) ? '' : trans.__(': does not fit')}
      </p>
      <p className="jp-gpuext-Quiet">
        {trans.__('%1 used', formatBytes(plan.bytes_used))}
        {ratio ? (
          <>
            {' · '}
            <b>{ratio}</b>
          </>
        ) : null}
        {aside ? ` · ${aside}` : ''}
      </p>
    </div>
  );
}

function InsertButtons(props: IDetailsProps): React.JSX.Element {
  const { model, file, tensor, actions, trans } = props;
  const { path, select, raw, arrayPlan } = model;
  const { view } = actions;
  const obstacle = xarrayObstacle(path, file, tensor);
  const isWrong = arrayPlan.problem?.code === 'bad_request';
  const plan = arrayPlan.isAsking ? null : arrayPlan.answer;
  const streamed = partStream(path, file, tensor, { select, raw, plan });
  return (
    <div className="jp-gpuext-Buttons">
      <Button
        primary
        label={trans.__('Insert as load')}
        title={trans.__('Put %load_blob for this part into the notebook')}
        disabled={isWrong}
        onClick={() =>
          actions.insertLoad(arrayPart(path, file, tensor, select, raw))
        }
      />
      <Button
        label={trans.__('Insert as ZarrStream')}
        disabled={isWrong || streamed === null}
        title={
          streamed === null
            ? trans.__(
                'Samples need an axis of which more than one entry is left'
              )
            : trans.__(
                'Put a stream of this part, a sample an entry of %1, into the notebook',
                axisWords(streamed, trans)
              )
        }
        onClick={() => streamed && actions.insertStream(streamed)}
      />
      <Button
        label={trans.__('Insert as xarray')}
        disabled={isWrong || obstacle !== ''}
        title={
          obstacle === 'alone'
            ? trans.__('xarray opens groups, not an array that stands alone')
            : obstacle === 'unnamed'
              ? trans.__(
                  'xarray needs names of the axes of all arrays of the group'
                )
              : trans.__('Put the part as a lazy array into the notebook')
        }
        onClick={() => actions.insertXarray(file, tensor)}
      />
      {view ? (
        <Button
          label={trans.__('Open in viewer')}
          disabled={isWrong}
          onClick={() => view(tensor, select)}
        />
      ) : null}
    </div>
  );
}
