import type { ICommandPalette } from '@jupyterlab/apputils';
import { Clipboard } from '@jupyterlab/apputils';

import { CommandIDs, NO_ARGUMENTS } from '../commands';
import type { IStorageContext } from './context';
import { pickFiles } from './drop';
import { copyTo, disconnect, newFolder, removeObject, rename } from './edit';
import {
  insertLoad,
  insertReader,
  insertStream,
  pathOf,
  urlOf
} from './insertrow';
import { isZarr } from './kinds';
import { mayHoldArrays, mayHoldTensors } from './look';
import { STORAGE_PANEL_ID } from './context';
import { isPinned, togglePin, withRecent } from './paths';
import { showProperties } from './properties';
import type { Reader } from './readcode';
import { callFor } from './readcode';
import { removeAll, removeMarked } from './removeall';
import type { Row } from './rows';
import { placeOf } from './rows';
import { download, share } from './share';

/** A command on the selected row, for the kinds of rows that it knows. */
interface IRowCommand<K extends Row['kind']> {
  readonly id: string;
  readonly label: string | (() => string);
  readonly kinds: readonly K[];
  /** Hidden where the connection is read-only. */
  readonly writes?: boolean;
  /** Offered also while several rows are marked. */
  readonly many?: boolean;
  /** Hidden where this is false. */
  readonly isOffered?: (row: Extract<Row, { kind: K }>) => boolean;
  readonly isEnabled?: (row: Extract<Row, { kind: K }>) => boolean;
  readonly run: (row: Extract<Row, { kind: K }>) => void | Promise<void>;
}

const FOLDERS = ['connection', 'folder'] as const;

export function addStorageCommands(
  context: IStorageContext,
  palette: ICommandPalette | null
): void {
  const { app, model, trans } = context;
  app.commands.addCommand(CommandIDs.openStorage, {
    label: trans.__('Show Storage Panel'),
    describedBy: NO_ARGUMENTS,
    execute: () => app.shell.activateById(STORAGE_PANEL_ID)
  });
  app.commands.addCommand(CommandIDs.refreshStorage, {
    label: trans.__('Refresh Storage'),
    describedBy: NO_ARGUMENTS,
    execute: () => model.refresh()
  });
  app.commands.addCommand(CommandIDs.goTo, {
    label: trans.__('Go to a Path in Storage…'),
    describedBy: NO_ARGUMENTS,
    execute: () => {
      app.shell.activateById(STORAGE_PANEL_ID);
      context.panel.offer('');
    }
  });
  addInsertCommands(context);
  addFileCommands(context);
  addFolderCommands(context);
  addPathCommands(context);
  const { openStorage, refreshStorage, goTo } = CommandIDs;
  for (const command of [openStorage, refreshStorage, goTo]) {
    palette?.addItem({ command, category: trans.__('Storage') });
  }
}

function addInsertCommands(context: IStorageContext): void {
  const { model, trans } = context;
  addRowCommand(context, {
    id: CommandIDs.insertLoad,
    label: trans.__('Load'),
    kinds: ['object'],
    isEnabled: row => mayHoldTensors(row.entry.name),
    run: row => insertLoad(context, row)
  });
  const addReader = (id: string, label: string, reader: Reader) => {
    addRowCommand(context, {
      id,
      label,
      kinds: ['object', 'folder'],
      isEnabled: row =>
        callFor(reader, row.entry.key, model.badges.kindOf(row)) !== null,
      run: row => insertReader(context, row, reader)
    });
  };
  addReader(CommandIDs.insertPandas, 'pandas', 'pandas');
  addReader(CommandIDs.insertXarray, 'xarray', 'xarray');
  addRowCommand(context, {
    id: CommandIDs.insertStream,
    label: trans.__('ZarrStream'),
    kinds: ['folder'],
    isEnabled: row => isZarr(row.entry.key, model.badges.kindOf(row)),
    run: row => insertStream(context, row)
  });
}

function addFileCommands(context: IStorageContext): void {
  const { app, model, memory, trans } = context;
  const kinds = ['object'] as const;
  addRowCommand(context, {
    id: CommandIDs.lookInside,
    label: trans.__("What's inside"),
    kinds: ['object', 'shards', 'folder'],
    isEnabled: row => mayHoldTensors(pathOf(row)?.key ?? ''),
    run: row => {
      const path = pathOf(row);
      if (path) {
        memory.update(paths => withRecent(paths, path));
        void context.app.commands.execute(CommandIDs.openInside, { ...path });
      }
    }
  });
  addRowCommand(context, {
    id: CommandIDs.view,
    label: trans.__('View'),
    kinds: ['object', 'folder'],
    isOffered: row =>
      mayHoldArrays(row.entry.key) ||
      isZarr(row.entry.key, model.badges.kindOf(row)),
    run: row => {
      const path = pathOf(row);
      if (path) {
        memory.update(paths => withRecent(paths, path));
        void app.commands.execute(CommandIDs.viewTensors, { ...path });
      }
    }
  });
  addRowCommand(context, {
    id: CommandIDs.download,
    label: trans.__('Download'),
    kinds,
    run: row => {
      const path = { connection: row.connection, key: row.entry.key };
      memory.update(paths => withRecent(paths, path));
      return download(context, row);
    }
  });
  addRowCommand(context, {
    id: CommandIDs.rename,
    label: trans.__('Rename…'),
    kinds,
    writes: true,
    run: row => rename(context, row)
  });
  addRowCommand(context, {
    id: CommandIDs.copyTo,
    label: trans.__('Copy to…'),
    kinds,
    writes: true,
    run: row => copyTo(context, row)
  });
  addRowCommand(context, {
    id: CommandIDs.share,
    label: trans.__('Copy share link…'),
    kinds,
    run: row => share(context, row)
  });
  addRowCommand(context, {
    id: CommandIDs.properties,
    label: trans.__('Properties'),
    kinds,
    run: row => showProperties(context, row)
  });
  addRowCommand(context, {
    id: CommandIDs.remove,
    label: trans.__('Delete…'),
    kinds: ['object', 'shards', 'folder'],
    writes: true,
    many: true,
    run: row => {
      if (model.marked.length > 1) {
        return removeMarked(context);
      }
      return row.kind === 'object'
        ? removeObject(context, row)
        : removeAll(context, row);
    }
  });
}

function addFolderCommands(context: IStorageContext): void {
  const { model, panel, trans } = context;
  addRowCommand(context, {
    id: CommandIDs.upload,
    label: trans.__('Upload here…'),
    kinds: FOLDERS,
    writes: true,
    run: row => pickFiles(context, row)
  });
  addRowCommand(context, {
    id: CommandIDs.newFolder,
    label: trans.__('New folder…'),
    kinds: FOLDERS,
    writes: true,
    run: row => newFolder(context, row)
  });
  addRowCommand(context, {
    id: CommandIDs.find,
    label: trans.__('Find by first letters'),
    kinds: ['connection', 'folder', 'object', 'shards'],
    run: async row => {
      const place = placeOf(row);
      panel.find(place);
      await model.open(place);
    }
  });
  addRowCommand(context, {
    id: CommandIDs.refreshHere,
    label: trans.__('Refresh'),
    kinds: ['connection', 'folder', 'object', 'shards'],
    run: row =>
      row.kind === 'connection' ? model.refresh() : model.list(placeOf(row))
  });
  addRowCommand(context, {
    id: CommandIDs.renew,
    label: trans.__('Paste new link…'),
    kinds: ['connection'],
    isOffered: row => row.connection.expires_at !== null,
    run: row => panel.renew(row.connection.name)
  });
  addRowCommand(context, {
    id: CommandIDs.disconnect,
    label: trans.__('Disconnect…'),
    kinds: ['connection'],
    run: row => disconnect(context, row)
  });
}

function addPathCommands(context: IStorageContext): void {
  const { model, memory, trans } = context;
  addRowCommand(context, {
    id: CommandIDs.copyUrl,
    label: trans.__('Copy name-URL'),
    kinds: ['connection', 'folder', 'object', 'shards'],
    many: true,
    run: row => {
      const rows = model.marked.length > 1 ? model.marked : [row];
      const urls = rows.map(one => urlOf(one) ?? '');
      Clipboard.copyToSystem(urls.join('\n'));
    }
  });
  const isPin = () => {
    const path = pathOf(model.selected);
    return path !== null && isPinned(memory.paths, path);
  };
  addRowCommand(context, {
    id: CommandIDs.pin,
    label: () => (isPin() ? trans.__('Unpin') : trans.__('Pin')),
    kinds: ['connection', 'folder', 'object'],
    run: row => {
      const path = pathOf(row);
      if (path) {
        memory.update(paths => togglePin(paths, path));
      }
    }
  });
}

function addRowCommand<K extends Row['kind']>(
  { app, model }: IStorageContext,
  command: IRowCommand<K>
): void {
  type Known = Extract<Row, { kind: K }>;
  const isKnown = (row: Row): row is Known =>
    (command.kinds as readonly string[]).includes(row.kind);
  const selected = (): Known | null => {
    const row = model.selected;
    return row && isKnown(row) ? row : null;
  };
  const isOffered = (row: Known) =>
    (command.isOffered?.(row) ?? true) &&
    (!command.writes || model.isWritable(model.selected)) &&
    (command.many === true || model.marked.length < 2);
  app.commands.addCommand(command.id, {
    label: command.label,
    describedBy: NO_ARGUMENTS,
    isVisible: () => {
      const row = selected();
      return row !== null && isOffered(row);
    },
    isEnabled: () => {
      const row = selected();
      return (
        row !== null && isOffered(row) && (command.isEnabled?.(row) ?? true)
      );
    },
    execute: async () => {
      const row = selected();
      if (row) {
        await command.run(row);
      }
    }
  });
}
