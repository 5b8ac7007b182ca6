import type { TranslationBundle } from '@jupyterlab/translation';
import { useVirtualizer } from '@tanstack/react-virtual';
import * as React from 'react';

import { printable } from '../format';
import { labelOf, stepFor } from './keys';
import { RowContent } from './row';
import type { Row } from './state';

const ROW_PIXELS = 24;
const OVERSCAN_ROWS = 12;
const TREE_ID = 'jp-gpuext-tree';

interface ITreeProps {
  readonly rows: readonly Row[];
  readonly selected: Row | null;
  /** What the strip below shows, for it takes space from the tree. */
  readonly stripState: string | null;
  readonly trans: TranslationBundle;
  readonly onSelect: (row: Row) => void;
  readonly onToggle: (row: Row) => void;
  /** Enter or a double click on a file. */
  readonly onOpen: (row: Row) => void;
  /** The click that a note row offers. */
  readonly onNext: (row: Row) => void;
}

/** The rows that fit the panel, however many there are. */
export function Tree(props: ITreeProps): React.JSX.Element {
  const { rows, selected, trans } = props;
  const scroller = React.useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    getItemKey: index => rows[index]?.id ?? index,
    estimateSize: () => ROW_PIXELS,
    overscan: OVERSCAN_ROWS
  });
  const at = selected ? rows.indexOf(selected) : -1;
  // The strip opens over the lower rows, the selected one among them.
  React.useLayoutEffect(() => {
    document.getElementById(rowId(at))?.scrollIntoView({ block: 'nearest' });
    // Not when only the index shifts.
  }, [selected?.id, props.stripState]);
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.target !== event.currentTarget || hasModifier(event)) {
      return;
    }
    const step = stepFor(event.key, rows, at);
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      act(step, props, at, to => virtual.scrollToIndex(to));
    }
  };
  return (
    <div
      ref={scroller}
      id={TREE_ID}
      className="jp-gpuext-Tree"
      role="tree"
      tabIndex={0}
      aria-label={trans.__('Storage')}
      aria-activedescendant={at < 0 ? undefined : rowId(at)}
      onKeyDown={onKeyDown}
    >
      <div
        role="presentation"
        className="jp-gpuext-Tree-canvas"
        style={{ height: virtual.getTotalSize() }}
      >
        {virtual.getVirtualItems().map(item => {
          const row = rows[item.index];
          return row ? (
            <TreeRow
              {...props}
              key={item.key}
              row={row}
              index={item.index}
              offset={item.start}
              measure={virtual.measureElement}
            />
          ) : null;
        })}
      </div>
    </div>
  );
}

interface ITreeRowProps extends ITreeProps {
  readonly row: Row;
  readonly index: number;
  readonly offset: number;
  readonly measure: (node: Element | null) => void;
}

function TreeRow(props: ITreeRowProps): React.JSX.Element {
  const { row, index, selected, onSelect, onToggle } = props;
  const isSelected = row.id === selected?.id;
  return (
    <div
      ref={props.measure}
      id={rowId(index)}
      className="jp-gpuext-Row"
      role="treeitem"
      aria-level={row.level}
      aria-expanded={'expanded' in row ? row.expanded : undefined}
      aria-selected={isSelected}
      aria-posinset={'position' in row ? row.position : undefined}
      aria-setsize={'siblings' in row ? row.siblings : undefined}
      data-index={index}
      data-kind={row.kind}
      data-name={printable(labelOf(row))}
      style={{
        transform: `translateY(${props.offset}px)`,
        paddingLeft: `calc(4px + ${row.level - 1} * var(--jp-gpuext-indent))`
      }}
      onClick={() => {
        onSelect(row);
        onToggle(row);
      }}
      onContextMenu={() => onSelect(row)}
      onDoubleClick={() => row.kind === 'object' && props.onOpen(row)}
    >
      <RowContent
        row={row}
        trans={props.trans}
        onNext={() => props.onNext(row)}
      />
    </div>
  );
}

function act(
  step: NonNullable<ReturnType<typeof stepFor>>,
  props: ITreeProps,
  at: number,
  scrollTo: (index: number) => void
): void {
  const row = props.rows[step.kind === 'move' ? step.to : at];
  if (!row) {
    return;
  }
  if (step.kind === 'move') {
    props.onSelect(row);
    scrollTo(step.to);
  } else if ('expanded' in row) {
    props.onToggle(row);
  } else if (row.kind === 'object') {
    props.onOpen(row);
  } else {
    props.onNext(row);
  }
}

function hasModifier(event: React.KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || event.altKey;
}

function rowId(index: number): string {
  return `${TREE_ID}-${index}`;
}
