import type { TranslationBundle } from '@jupyterlab/translation';
import { useVirtualizer } from '@tanstack/react-virtual';
import * as React from 'react';

import { printable } from '../../format';
import type { Tensor } from './contract';
import { GridHead } from './gridhead';
import { GridRow } from './gridrow';
import type { GridKey } from './gridkeys';
import { gridKey } from './gridkeys';
import type { Column, Sort } from './rows';

const ROW_PIXELS = 24;
const OVERSCAN_ROWS = 8;

export interface IGridProps {
  readonly id: string;
  readonly tensors: readonly Tensor[];
  readonly columns: readonly Column[];
  /** Indices into `tensors`, in the order in which they are shown. */
  readonly rows: readonly number[];
  readonly selected: ReadonlySet<number>;
  readonly active: number | null;
  readonly sort: Sort | null;
  readonly trans: TranslationBundle;
  readonly onActivate: (index: number) => void;
  readonly onToggle: (index: number) => void;
  /** Select the rows between two places. */
  readonly onReach: (from: number, to: number) => void;
  readonly onToggleShown: () => void;
  readonly onClear: () => void;
  readonly onSort: (column: Column) => void;
  /** '/': to the filter. */
  readonly onFind: () => void;
  /** Enter: to the part of the array. */
  readonly onEnter: () => void;
}

/** The tensors that fit the view, however many there are. */
export function Grid(props: IGridProps): React.JSX.Element {
  const { id, rows, tensors, columns, active, trans } = props;
  const scroller = React.useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PIXELS,
    overscan: OVERSCAN_ROWS
  });
  const at = active === null ? -1 : rows.indexOf(active);
  React.useLayoutEffect(() => {
    if (at >= 0) {
      virtual.scrollToIndex(at, { align: 'auto' });
    }
  }, [active]);
  const onKeyDown = (event: React.KeyboardEvent) => {
    const key =
      event.target === event.currentTarget
        ? gridKey(event, rows.length, at, pageOf(scroller.current))
        : null;
    if (key) {
      event.preventDefault();
      event.stopPropagation();
      act(key, props, at);
    }
  };
  return (
    <div
      ref={scroller}
      id={id}
      className="jp-gpuext-Grid"
      role="grid"
      tabIndex={0}
      aria-label={trans.__('Tensors')}
      aria-multiselectable={true}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length + 1}
      aria-activedescendant={at < 0 ? undefined : `${id}-${at}`}
      data-columns={columns.join(' ')}
      onKeyDown={onKeyDown}
    >
      <GridHead {...props} />
      <div
        role="rowgroup"
        className="jp-gpuext-Grid-canvas"
        style={{ height: virtual.getTotalSize() }}
      >
        {virtual.getVirtualItems().map(({ index: place, start }) => {
          const index = rows[place];
          const tensor = index === undefined ? undefined : tensors[index];
          return tensor && index !== undefined ? (
            <GridRow
              key={index}
              id={`${id}-${place}`}
              tensor={tensor}
              columns={columns}
              place={place}
              offset={start}
              isSelected={props.selected.has(index)}
              isActive={index === active}
              name={printable(tensor.name)}
              onClick={event => click(event, props, place, at)}
            />
          ) : null;
        })}
      </div>
    </div>
  );
}

function click(
  event: React.MouseEvent,
  props: IGridProps,
  place: number,
  at: number
): void {
  const index = props.rows[place];
  const target = event.target as Element;
  if (index === undefined) {
    return;
  }
  const isMark =
    event.ctrlKey ||
    event.metaKey ||
    target.closest('.jp-gpuext-Check') !== null;
  if (event.shiftKey && at >= 0) {
    props.onReach(at, place);
  } else if (isMark) {
    props.onToggle(index);
  }
  props.onActivate(index);
}

function act(key: GridKey, props: IGridProps, at: number): void {
  const to = key.kind === 'move' ? props.rows[key.to] : undefined;
  const index = props.rows[at];
  switch (key.kind) {
    case 'move':
      if (key.reach && at >= 0) {
        props.onReach(at, key.to);
      }
      return to === undefined ? undefined : props.onActivate(to);
    case 'toggle':
      return index === undefined ? undefined : props.onToggle(index);
    case 'all':
      return props.onToggleShown();
    case 'clear':
      return props.onClear();
    case 'find':
      return props.onFind();
    case 'enter':
      return props.onEnter();
  }
}

function pageOf(node: HTMLElement | null): number {
  return Math.max(1, Math.floor((node?.clientHeight ?? 0) / ROW_PIXELS) - 2);
}
