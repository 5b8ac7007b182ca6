import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button } from '../../components/notice';
import { Problem } from '../../components/problem';
import { formatBytes, printable } from '../../format';
import { storeStream } from '../../storage/streamcode';
import type { TensorFile } from './contract';
import type { IActions } from './details';
import type { InsideModel } from './model';
import type { Room } from './room';
import { axisWords } from './streampart';
import { costWords, fits } from './words';

/** More of them are counted, not named. */
const SHOWN_KEYS = 3;

interface IFooterProps {
  readonly model: InsideModel;
  readonly file: TensorFile;
  readonly room: Room | null;
  readonly actions: IActions;
  readonly trans: TranslationBundle;
}

/** What is selected, what a load of it costs, and the load. */
export function Footer(props: IFooterProps): React.JSX.Element {
  const { model, file, actions, trans } = props;
  const isLoadable = file.kind !== 'hdf5';
  return (
    <footer className="jp-gpuext-Foot" aria-label={trans.__('Selection')}>
      <div className="jp-gpuext-Foot-words">
        <p>
          <b>{selectionWords(model, file, trans)}</b>
          {isLoadable ? <Cost {...props} /> : null}
        </p>
        <Keys model={model} trans={trans} />
      </div>
      <div className="jp-gpuext-Buttons">
        {model.selected.size > 0 ? (
          <Button
            label={trans.__('Clear')}
            onClick={() => model.clearSelection()}
          />
        ) : null}
        {file.kind === 'zarr' ? <StreamButton {...props} /> : null}
        {isLoadable ? (
          <Button
            primary
            label={trans.__('Insert load')}
            title={trans.__('Put %load_blob for these into the notebook')}
            disabled={model.isTooMany || file.tensor_count === 0}
            onClick={() =>
              actions.insertLoad({ ...model.path, keys: model.keys })
            }
          />
        ) : (
          <Button
            primary
            label={trans.__('Insert h5py')}
            title={trans.__('Put the code that opens it into the notebook')}
            onClick={() => actions.insertH5py(model.activeTensor)}
          />
        )}
      </div>
    </footer>
  );
}

/** The selected arrays of a store, those of them that belong together. */
function StreamButton(props: IFooterProps): React.JSX.Element {
  const { model, file, actions, trans } = props;
  const streamed = storeStream(model.path, file, model.chosen);
  return (
    <Button
      label={trans.__('Insert ZarrStream')}
      disabled={streamed === null || model.isTooMany}
      title={
        streamed === null
          ? trans.__('None of these can be streamed')
          : trans.__(
              'Put a stream of these into the notebook, a sample an entry of %1; those without it are left out',
              axisWords(streamed, trans)
            )
      }
      onClick={() => streamed && actions.insertStream(streamed)}
    />
  );
}

function selectionWords(
  model: InsideModel,
  file: TensorFile,
  trans: TranslationBundle
): string {
  const total = file.tensor_count.toLocaleString();
  const chosen = model.selected.size.toLocaleString();
  return model.selected.size === 0
    ? trans.__('All %1: ', total)
    : trans.__('%1 of %2: ', chosen, total);
}

function Cost(props: IFooterProps): React.JSX.Element {
  const { model, file, room, trans } = props;
  const { answer: plan, problem, isAsking } = model.plan;
  if (model.isTooMany) {
    return (
      <span data-tone="warning">
        {trans.__(
          'needs %1; too many single names for one line. Select whole groups, or filter by a glob.',
          formatBytes(model.selectedBytes)
        )}
      </span>
    );
  }
  if (problem) {
    return <Problem problem={problem} trans={trans} />;
  }
  if (!plan || isAsking) {
    const bytes =
      model.selected.size > 0 ? model.selectedBytes : file.tensor_bytes;
    return (
      <span className="jp-gpuext-Quiet">
        {trans.__('needs %1, planning…', formatBytes(bytes))}
      </span>
    );
  }
  return (
    <span
      className="jp-gpuext-Foot-cost"
      role="status"
      data-tone={fits(plan, room) ? undefined : 'warning'}
    >
      {costWords(plan, room, trans)}
      {fits(plan, room)
        ? ''
        : trans.__(': does not fit (`--device fit` puts the rest on the cpu)')}
    </span>
  );
}

/** The globs that the load will have. */
function Keys(props: {
  readonly model: InsideModel;
  readonly trans: TranslationBundle;
}): React.JSX.Element | null {
  const { keys } = props.model;
  if (keys.length === 0) {
    return null;
  }
  const rest = keys.length - SHOWN_KEYS;
  const shown = keys.slice(0, SHOWN_KEYS).map(key => printable(key));
  return (
    <p className="jp-gpuext-Foot-keys jp-gpuext-Quiet">
      {shown.map(key => (
        <code key={key}>{key}</code>
      ))}
      {rest > 0 ? props.trans.__('and %1 more', rest.toLocaleString()) : null}
    </p>
  );
}
