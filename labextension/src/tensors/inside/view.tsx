import { closeIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IconButton } from '../../components/iconbutton';
import { Button, Notice } from '../../components/notice';
import { wordsFor } from '../../components/words';
import { printable } from '../../format';
import type { ApiError } from '../../request';
import { nameUrl } from '../../storage/insert';
import type { TensorFile } from './contract';
import type { IActions } from './details';
import { Details } from './details';
import { Footer } from './footer';
import { Grid } from './grid';
import { Head } from './head';
import type { InsideModel } from './model';
import type { Room } from './room';
import { columnsOf } from './rows';

interface IInsideViewProps {
  /** Unique in the page. */
  readonly id: string;
  readonly model: InsideModel;
  readonly room: Room | null;
  readonly theme: string;
  readonly actions: IActions;
  readonly trans: TranslationBundle;
}

/** What's inside a file or a store: a table, and one array's pieces. */
export function InsideView(props: IInsideViewProps): React.JSX.Element {
  const { model, trans } = props;
  const { file, problem } = model;
  return (
    <>
      {file ? (
        <Head
          model={model}
          file={file}
          onCopy={props.actions.copy}
          trans={trans}
        />
      ) : null}
      {model.isLoading ? <Reading model={model} trans={trans} /> : null}
      {problem ? (
        <Failed problem={problem} model={model} trans={trans} />
      ) : null}
      {!file && !problem && !model.isLoading ? (
        <Notice tone="info" message={trans.__('Nothing was read.')}>
          <Button
            label={trans.__('Read it')}
            onClick={() => void model.load()}
          />
        </Notice>
      ) : null}
      {file ? <Contents {...props} file={file} /> : null}
    </>
  );
}

function Reading(props: {
  readonly model: InsideModel;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { model, trans } = props;
  const { connection, key } = model.path;
  return (
    <div className="jp-gpuext-Reading" role="status">
      <span className="jp-gpuext-Quiet">
        {model.file
          ? trans.__('Reading more groups…')
          : trans.__(
              'Reading the header of %1…',
              printable(nameUrl(connection, key))
            )}
      </span>
      <Button label={trans.__('Cancel')} onClick={() => model.cancel()} />
    </div>
  );
}

function Failed(props: {
  readonly problem: ApiError;
  readonly model: InsideModel;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { problem, model, trans } = props;
  const said = wordsFor(problem, trans);
  return (
    <Notice
      tone="error"
      message={printable(said.message)}
      hint={printable(said.hint)}
    >
      <Button label={trans.__('Retry')} onClick={() => void model.load()} />
    </Notice>
  );
}

function Contents(
  props: IInsideViewProps & { readonly file: TensorFile }
): React.JSX.Element {
  const { id, model, file, trans } = props;
  const [isOpen, setOpen] = React.useState(true);
  const tensor = model.activeTensor;
  const hasSide = file.kind === 'zarr' || file.kind === 'hdf5';
  const columns = React.useMemo(() => columnsOf(file.tensors), [file]);
  const focus = (what: string) =>
    document.getElementById(`${id}-${what}`)?.focus();
  if (file.tensors.length === 0 && !model.isLoading) {
    return (
      <p className="jp-gpuext-Quiet">
        {trans.__('No arrays and no tensors are in it.')}
      </p>
    );
  }
  return (
    <>
      <FilterBar {...props} onDown={() => focus('grid')} />
      <div className="jp-gpuext-Body">
        <Grid
          id={`${id}-grid`}
          tensors={file.tensors}
          columns={columns}
          rows={model.rows}
          selected={model.selected}
          active={model.active}
          sort={model.sort}
          trans={trans}
          onActivate={index => {
            setOpen(true);
            model.activate(index);
          }}
          onToggle={index => model.toggle(index)}
          onReach={(from, to) => model.reach(from, to)}
          onToggleShown={() => model.toggleShown()}
          onClear={() => model.clearSelection()}
          onSort={column => model.sortBy(column)}
          onFind={() => focus('filter')}
          onEnter={() => focus('part')}
        />
        {hasSide && tensor && isOpen ? (
          <div className="jp-gpuext-Side-box">
            <IconButton
              icon={closeIcon}
              pixels={14}
              label={trans.__('Close details')}
              onClick={() => setOpen(false)}
            />
            <Details
              {...props}
              file={file}
              tensor={tensor}
              sliceId={`${id}-part`}
            />
          </div>
        ) : null}
      </div>
      <Footer {...props} file={file} />
    </>
  );
}

function FilterBar(
  props: IInsideViewProps & {
    readonly file: TensorFile;
    readonly onDown: () => void;
  }
): React.JSX.Element {
  const { id, model, file, trans } = props;
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      const first = model.rows[0];
      if (model.active === null && first !== undefined) {
        model.activate(first);
      }
      props.onDown();
    } else if (event.key === 'Escape' && model.filter !== '') {
      event.stopPropagation();
      model.setFilter('');
    }
  };
  return (
    <div className="jp-gpuext-Filter">
      <input
        id={`${id}-filter`}
        className="jp-gpuext-Input"
        type="search"
        spellCheck={false}
        autoComplete="off"
        aria-label={trans.__('Filter')}
        placeholder={trans.__('Filter by words, or a glob: *.weight')}
        value={model.filter}
        onChange={event => model.setFilter(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <span className="jp-gpuext-Quiet" role="status">
        {shownWords(model, file, trans)}
      </span>
    </div>
  );
}

function shownWords(
  model: InsideModel,
  file: TensorFile,
  trans: TranslationBundle
): string {
  const [shown, known, total] = [
    model.rows.length,
    file.tensors.length,
    file.tensor_count
  ].map(count => count.toLocaleString());
  if (file.tensors.length < file.tensor_count) {
    return trans.__('%1 of the first %2 (%3 in all)', shown, known, total);
  }
  return model.rows.length === file.tensors.length
    ? ''
    : trans.__('%1 of %2', shown, total);
}
