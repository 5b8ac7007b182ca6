import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { CommandIDs } from '../commands';
import { dragText } from './drag';
import { InsideStrip } from './inside';
import { dragTextOf } from './insertrow';
import type { Jobs } from './jobs';
import { MarksBar } from './marksbar';
import type { Memory } from './memory';
import type { StorageModel } from './model';
import { isPinned } from './paths';
import { callFor } from './readcode';
import type { Row } from './rows';
import { placeOf } from './rows';
import { TransferList } from './transfers';
import { Tree } from './tree';
import type { Uploads } from './uploads';

export interface IBrowserProps {
  readonly model: StorageModel;
  readonly memory: Memory;
  readonly uploads: Uploads;
  readonly jobs: Jobs;
  readonly trans: TranslationBundle;
  /** Run a command on the selected row. */
  readonly run: (command: string) => void;
  /** Files from outside the browser. */
  readonly onDrop: (row: Row, data: DataTransfer) => void;
  /** A new link for a connection is at hand. */
  readonly onRenew: (connection: string) => void;
  /** A narrowed folder shows all again. */
  readonly onWidened: () => void;
}

/** The tree, and below it what concerns the rows that are chosen. */
export function Browser(props: IBrowserProps): React.JSX.Element {
  const { model, trans, run, uploads, jobs, onRenew } = props;
  return (
    <>
      <Tree
        rows={model.rows}
        selected={model.selected}
        marked={model.marked}
        stripState={model.looking.inside?.state ?? null}
        trans={trans}
        onSelect={row => model.select(row)}
        onToggle={row => model.toggle(row)}
        onOpen={() => run(CommandIDs.insertLoad)}
        onNext={row => next(props, row)}
        onMeant={row => model.select(row, { look: false })}
        onMark={row => model.mark(row)}
        onReach={row => model.reach(row)}
        onEscape={() => model.leave()}
        onRemove={() => run(CommandIDs.remove)}
        onRename={() => run(CommandIDs.rename)}
        onFind={() => run(CommandIDs.find)}
        onRenew={row => onRenew(placeOf(row).connection)}
        kindOf={row => model.badges.kindOf(row)}
        onSeen={rows => model.badges.seen(rows)}
        onDrag={dragRow}
        onDrop={props.onDrop}
      />
      <MarksBar model={model} run={run} trans={trans} />
      <TransferList
        uploads={uploads}
        jobs={jobs}
        trans={trans}
        onRenew={onRenew}
      />
      <Strip {...props} />
    </>
  );
}

function Strip(props: IBrowserProps): React.JSX.Element | null {
  const { model, memory, trans, run } = props;
  const { inside } = model.looking;
  if (!inside) {
    return null;
  }
  const { connection, entry } = inside.row;
  return (
    <InsideStrip
      inside={inside}
      trans={trans}
      pinned={isPinned(memory.paths, { connection, key: entry.key })}
      isTable={callFor('pandas', entry.key) !== null}
      onPin={() => run(CommandIDs.pin)}
      onInsert={() => run(CommandIDs.insertLoad)}
      onOpen={() => run(CommandIDs.lookInside)}
      onInsertTable={() => run(CommandIDs.insertPandas)}
      onDownload={() => run(CommandIDs.download)}
      onCopy={() => run(CommandIDs.copyUrl)}
      onRetry={() => void model.looking.again()}
      onRenew={() => props.onRenew(connection)}
      onClose={() => model.closeInside()}
    />
  );
}

/** The click that a note row offers. */
function next(props: IBrowserProps, row: Row): void {
  const { model } = props;
  switch (row.kind) {
    case 'failed':
      return row.problem.code === 'expired'
        ? props.onRenew(row.place.connection)
        : void model.more(row.place);
    case 'more':
      return void model.more(row.place);
    case 'empty':
      return void model.list(row.place);
    case 'narrowed':
      props.onWidened();
      return void model.search(row.place, '');
    case 'trouble':
      return model.trouble(row.of, null);
  }
}

function dragRow(row: Row, press: PointerEvent): void {
  const text = dragTextOf(row);
  if (text !== null) {
    dragText(press, text);
  }
}
