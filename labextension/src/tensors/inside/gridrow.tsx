import type * as React from 'react';

import { MiddleCut } from '../../components/middlecut';
import { formatBytes, formatShape, printable } from '../../format';
import type { Tensor } from './contract';
import type { Column } from './rows';
import { aboutOf, chunksText } from './rows';

interface IGridRowProps {
  readonly id: string;
  readonly tensor: Tensor;
  readonly name: string;
  readonly columns: readonly Column[];
  readonly place: number;
  readonly offset: number;
  readonly isSelected: boolean;
  readonly isActive: boolean;
  readonly onClick: (event: React.MouseEvent) => void;
}

export function GridRow(props: IGridRowProps): React.JSX.Element {
  const { tensor, place, isSelected, isActive } = props;
  return (
    <div
      id={props.id}
      className="jp-gpuext-GridRow"
      role="row"
      aria-rowindex={place + 2}
      aria-selected={isSelected}
      data-active={isActive}
      data-name={props.name}
      style={{ transform: `translateY(${props.offset}px)` }}
      onClick={props.onClick}
    >
      <span role="gridcell">
        <span className="jp-gpuext-Check" data-state={String(isSelected)} />
      </span>
      {props.columns.map(column => (
        <span
          key={column}
          role="gridcell"
          data-column={column}
          title={titleOf(tensor, column)}
        >
          {column === 'name' ? (
            <MiddleCut text={props.name} />
          ) : (
            textOf(tensor, column)
          )}
        </span>
      ))}
    </div>
  );
}

function textOf(tensor: Tensor, column: Column): string {
  switch (column) {
    case 'name':
      return printable(tensor.name);
    case 'dtype':
      return printable(tensor.dtype);
    case 'shape':
      return formatShape(tensor.shape);
    case 'size':
      return formatBytes(tensor.size_bytes);
    case 'chunks':
      return chunksText(tensor);
    case 'codecs':
      return printable((tensor.codecs ?? []).join(', '));
    case 'about':
      return printable(aboutOf(tensor));
  }
}

/** All of what may be cut, and where the cell says less than is known. */
function titleOf(tensor: Tensor, column: Column): string {
  return column === 'name' && tensor.unreadable
    ? `${printable(tensor.name)}\n${printable(tensor.unreadable)}`
    : column === 'size'
      ? `${tensor.size_bytes.toLocaleString()} B`
      : textOf(tensor, column);
}
