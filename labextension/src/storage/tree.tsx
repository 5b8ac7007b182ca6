import type { TranslationBundle } from '@jupyterlab/translation';
import { useVirtualizer } from '@tanstack/react-virtual';
import * as React from 'react';

import type { RowKind } from '../api';
import { printable } from '../format';
import { labelOf, stepFor } from './keys';
import { isZarr } from './kinds';
import { RowContent } from './row';
import type { Row } from './rows';
import { placeOf } from './rows';
import { placeId } from './state';

const ROW_PIXELS = 24;
const OVERSCAN_ROWS = 6;
const NOTHING_SEEN = { startIndex: 0, endIndex: -1 };
const TREE_ID = 'jp-gpuext-tree';

interface ITreeProps {
  readonly rows: readonly Row[];
  readonly selected: Row | null;
  readonly marked: readonly Row[];
  /** What the strip below shows, for it takes space from the tree. */
  readonly stripState: string | null;
  readonly trans: TranslationBundle;
  readonly onSelect: (row: Row) => void;
  readonly onToggle: (row: Row) => void;
  /** Enter or a double click on a file. */
  readonly onOpen: (row: Row) => void;
  /** The click that a note row offers. */
  readonly onNext: (row: Row) => void;
  /** A right click: the row is meant, its file is not asked for. */
  readonly onMeant: (row: Row) => void;
  /** Ctrl and a click, or Space. */
  readonly onMark: (row: Row) => void;
  /** Shift and a click, or Shift and an arrow. */
  readonly onReach: (row: Row) => void;
  /** Escape: let go of what was chosen. */
  readonly onEscape: () => void;
  readonly onRemove: () => void;
  readonly onRename: () => void;
  /** '/': find by the first letters in the folder of the active row. */
  readonly onFind: () => void;
  /** A new link for the row's connection is at hand. */
  readonly onRenew: (row: Row) => void;
  /** The pointer is pressed on a row, perhaps to drag it. */
  readonly onDrag: (row: Row, press: PointerEvent) => void;
  /** What a row is, as far as is known. */
  readonly kindOf: (row: Row) => RowKind | null;
  /** The rows that are on screen. */
  readonly onSeen: (rows: readonly Row[]) => void;
  /** Files were dropped on a row. */
  readonly onDrop: (row: Row, data: DataTransfer) => void;
}

/** The rows that fit the panel, however many there are. */
export function Tree(props: ITreeProps): React.JSX.Element {
  const { rows, selected, trans } = props;
  const scroller = React.useRef<HTMLDivElement>(null);
  // Another function at each drawing would have every row measured anew.
  const getItemKey = React.useCallback(
    (index: number) => rows[index]?.id ?? index,
    [rows]
  );
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    getItemKey,
    estimateSize: () => ROW_PIXELS,
    overscan: OVERSCAN_ROWS
  });
  const at = selected ? rows.indexOf(selected) : -1;
  const marks = React.useMemo(
    () => new Set(props.marked.map(row => row.id)),
    [props.marked]
  );
  const [over, setOver] = React.useState<string | null>(null);
  // The strip opens over the lower rows, the selected one among them.
  React.useLayoutEffect(() => {
    const node = document.getElementById(rowId(at));
    if (node) {
      node.scrollIntoView({ block: 'nearest' });
    } else if (at >= 0) {
      virtual.scrollToIndex(at, { align: 'center' });
    }
    // Not when only the index shifts.
  }, [selected?.id, props.stripState]);
  const { startIndex, endIndex } = virtual.range ?? NOTHING_SEEN;
  React.useEffect(() => {
    props.onSeen(rows.slice(startIndex, endIndex + 1));
  }, [rows, startIndex, endIndex]);
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.target !== event.currentTarget || hasModifier(event)) {
      return;
    }
    const step = stepFor(event.key, rows, at);
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      const row = step.kind === 'move' ? rows[step.to] : undefined;
      if (row && event.shiftKey) {
        props.onReach(row);
      } else {
        act(step, props, at, to => virtual.scrollToIndex(to));
      }
    } else if (isMenuKey(event)) {
      event.preventDefault();
      openMenu(rowId(at));
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
      aria-multiselectable={true}
      aria-activedescendant={at < 0 ? undefined : rowId(at)}
      onKeyDown={onKeyDown}
      {...fileEvents(selected, setOver, props.onDrop)}
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
              isMarked={marks.size > 0 ? marks.has(row.id) : null}
              isOver={over !== null && over === placeId(placeOf(row))}
              setOver={setOver}
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
  /** null: nothing is marked, so the active row is the chosen one. */
  readonly isMarked: boolean | null;
  /** Files are held over the folder that this row is in. */
  readonly isOver: boolean;
  readonly setOver: (place: string | null) => void;
}

function TreeRow(props: ITreeRowProps): React.JSX.Element {
  const { row, index, selected, onSelect, onToggle } = props;
  const isSelected = row.id === selected?.id;
  const kind = props.kindOf(row);
  return (
    <div
      ref={props.measure}
      id={rowId(index)}
      className="jp-gpuext-Row"
      role="treeitem"
      aria-level={row.level}
      aria-expanded={'expanded' in row ? row.expanded : undefined}
      aria-selected={props.isMarked ?? isSelected}
      data-active={isSelected}
      data-many={props.isMarked === true && props.marked.length > 1}
      aria-posinset={'position' in row ? row.position : undefined}
      aria-setsize={'siblings' in row ? row.siblings : undefined}
      data-index={index}
      data-drop={props.isOver}
      data-kind={row.kind}
      data-zarr={row.kind === 'folder' && isZarr(row.entry.key, kind)}
      data-name={printable(labelOf(row))}
      style={{
        transform: `translateY(${props.offset}px)`,
        paddingLeft: `calc(4px + ${row.level - 1} * var(--jp-gpuext-indent))`
      }}
      onClick={event => {
        if (event.shiftKey) {
          props.onReach(row);
        } else if (event.ctrlKey || event.metaKey) {
          props.onMark(row);
        } else {
          onSelect(row);
          onToggle(row);
        }
      }}
      onContextMenu={() => props.onMeant(row)}
      onPointerDown={event =>
        event.button === 0 && props.onDrag(row, event.nativeEvent)
      }
      // The browser's own drag would fight with ours.
      onDragStart={event => event.preventDefault()}
      {...fileEvents(row, props.setOver, props.onDrop)}
    >
      <RowContent
        row={row}
        kind={kind}
        trans={props.trans}
        onNext={() => props.onNext(row)}
        onRenew={() => props.onRenew(row)}
      />
    </div>
  );
}

/** What a drag of files does over a row, or over the blank below all rows. */
function fileEvents(
  row: Row | null,
  setOver: (place: string | null) => void,
  onDrop: ITreeProps['onDrop']
) {
  const over = (event: React.DragEvent) => {
    if (event.dataTransfer.types.includes('Files')) {
      // Otherwise the browser would leave the page for the file.
      event.preventDefault();
      event.stopPropagation();
      event.dataTransfer.dropEffect = row ? 'copy' : 'none';
      setOver(row && placeId(placeOf(row)));
    }
  };
  return {
    onDragOver: over,
    onDragLeave: () => setOver(null),
    onDrop: (event: React.DragEvent) => {
      over(event);
      setOver(null);
      if (row) {
        onDrop(row, event.dataTransfer);
      }
    }
  };
}

function act(
  step: NonNullable<ReturnType<typeof stepFor>>,
  props: ITreeProps,
  at: number,
  scrollTo: (index: number) => void
): void {
  const row = props.rows[step.kind === 'move' ? step.to : at];
  switch (step.kind) {
    case 'find':
      return props.onFind();
    case 'escape':
      return props.onEscape();
    case 'remove':
      return props.onRemove();
    case 'rename':
      return props.onRename();
    case 'mark':
      return row && props.onMark(row);
    case 'move':
      if (row) {
        props.onSelect(row);
        scrollTo(step.to);
      }
      return;
    default:
      return row && open(row, props);
  }
}

/** Enter, and the arrows that open and close. */
function open(row: Row, props: ITreeProps): void {
  if ('expanded' in row) {
    props.onToggle(row);
  } else if (row.kind === 'object') {
    props.onOpen(row);
  } else {
    props.onNext(row);
  }
}

function isMenuKey(event: React.KeyboardEvent): boolean {
  return event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey);
}

/** The row's menu where the row is, as a right click would open it. */
function openMenu(id: string): void {
  const row = document.getElementById(id);
  if (row) {
    const { left, bottom } = row.getBoundingClientRect();
    const at = { clientX: left + 24, clientY: bottom - 4 };
    const init = { bubbles: true, cancelable: true, ...at };
    row.dispatchEvent(new MouseEvent('contextmenu', init));
  }
}

function hasModifier(event: React.KeyboardEvent): boolean {
  return event.ctrlKey || event.metaKey || event.altKey;
}

function rowId(index: number): string {
  return `${TREE_ID}-${index}`;
}
