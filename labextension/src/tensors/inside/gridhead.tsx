import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { Column, Sort } from './rows';

interface IGridHeadProps {
  readonly columns: readonly Column[];
  readonly rows: readonly number[];
  readonly selected: ReadonlySet<number>;
  readonly sort: Sort | null;
  readonly trans: TranslationBundle;
  readonly onSort: (column: Column) => void;
  readonly onToggleShown: () => void;
}

/** The columns' titles, each of which sorts, and the mark for all rows. */
export function GridHead(props: IGridHeadProps): React.JSX.Element {
  const { columns, rows, selected, sort, trans } = props;
  const count = rows.filter(index => selected.has(index)).length;
  const state =
    count === 0 ? 'false' : count === rows.length ? 'true' : 'mixed';
  return (
    <div className="jp-gpuext-Grid-head" role="row" aria-rowindex={1}>
      <span role="columnheader">
        <button
          type="button"
          role="checkbox"
          className="jp-gpuext-Check"
          aria-checked={state}
          data-state={state}
          aria-label={trans.__('Select all that are shown')}
          title={trans.__('Select all that are shown')}
          disabled={rows.length === 0}
          onClick={props.onToggleShown}
        />
      </span>
      {columns.map(column => (
        <span
          key={column}
          role="columnheader"
          data-column={column}
          aria-sort={ariaSort(column, sort)}
        >
          <button type="button" onClick={() => props.onSort(column)}>
            {titleOf(column, trans)}
            <i aria-hidden={true}>
              {sort?.column === column ? (sort.descending ? '▾' : '▴') : ''}
            </i>
          </button>
        </span>
      ))}
    </div>
  );
}

function ariaSort(
  column: Column,
  sort: Sort | null
): 'ascending' | 'descending' | 'none' {
  return sort?.column !== column
    ? 'none'
    : sort.descending
      ? 'descending'
      : 'ascending';
}

function titleOf(column: Column, trans: TranslationBundle): string {
  switch (column) {
    case 'name':
      return trans.__('Name');
    case 'dtype':
      return trans.__('Type');
    case 'shape':
      return trans.__('Shape');
    case 'size':
      return trans.__('Size');
    case 'chunks':
      return trans.__('Chunks / shards');
    case 'codecs':
      return trans.__('Codecs');
    case 'about':
      return trans.__('What it is');
  }
}
