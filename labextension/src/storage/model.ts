import { VDomModel } from '@jupyterlab/ui-components';

import type { Api, TensorFile } from '../api';
import type { ApiError } from '../request';
import { asApiError } from '../request';
import type { ObjectRow, Place, Row, TreeState } from './state';
import * as tree from './state';

/** Walking down a folder by keys asks for the file one stops at, not for each. */
const SETTLE_MILLISECONDS = 200;

export const DEFAULT_PAGE_SIZE = 200;

/** What is known of the selected file's contents. */
export type Inside =
  | { readonly state: 'loading'; readonly row: ObjectRow }
  | { readonly state: 'unreadable'; readonly row: ObjectRow }
  | {
      readonly state: 'ready';
      readonly row: ObjectRow;
      readonly info: TensorFile;
    }
  | {
      readonly state: 'failed';
      readonly row: ObjectRow;
      readonly problem: ApiError;
    };

export class StorageModel extends VDomModel {
  constructor(
    private readonly _api: Pick<Api, 'connections' | 'list' | 'tensorInfo'>
  ) {
    super();
  }

  pageSize = DEFAULT_PAGE_SIZE;

  /** Whether the connections are known. */
  get isReady(): boolean {
    return this._ready;
  }

  get isBusy(): boolean {
    return this._pending > 0;
  }

  /** Why the connections could not be asked for. */
  get problem(): ApiError | null {
    return this._problem;
  }

  /** Where a person writes connections, and one to start from. */
  get setup(): { readonly file: string; readonly example: string } {
    return this._setup;
  }

  get inside(): Inside | null {
    return this._inside;
  }

  get rows(): readonly Row[] {
    return this._rows;
  }

  get selected(): Row | null {
    return this._rows.find(row => row.id === this._tree.selected) ?? null;
  }

  /** Ask for the connections and for every open folder again. */
  async refresh(): Promise<void> {
    try {
      const reply = await this._counted(this._api.connections());
      this._epoch += 1;
      this._ready = true;
      this._problem = null;
      this._setup = { file: reply.file, example: reply.example };
      this._update(
        tree.withoutClosedFolders(
          tree.withConnections(this._tree, reply.connections)
        )
      );
    } catch (error) {
      this._problem = asApiError(error);
      this.stateChanged.emit();
      return;
    }
    const open = this._rows.flatMap(row =>
      'expanded' in row && row.expanded ? [row.place] : []
    );
    await Promise.all(open.map(place => this.list(place)));
  }

  toggle(row: Row): void {
    if (!('expanded' in row)) {
      return;
    }
    this._update(tree.withExpanded(this._tree, row.place, !row.expanded));
    const folder = this._tree.folders.get(row.id);
    if (!row.expanded && (!folder || folder.problem)) {
      void this.list(row.place);
    }
  }

  /** List a folder from its beginning. */
  list(place: Place): Promise<void> {
    return this._page(place, null);
  }

  /** List what comes after the entries that are shown. */
  async more(place: Place): Promise<void> {
    const folder = tree.folderAt(this._tree, place);
    if (!folder.loading) {
      await this._page(place, folder.nextToken);
    }
  }

  select(row: Row | null): void {
    if (row?.id === this._tree.selected) {
      return;
    }
    window.clearTimeout(this._settling);
    if (row?.kind === 'object') {
      this._look(row);
    } else {
      this._inside = null;
    }
    this._update(tree.withSelected(this._tree, row?.id ?? null));
  }

  /** Ask again what is inside the selected file. */
  async lookAgain(): Promise<void> {
    const row = this._inside?.row;
    if (row) {
      this._show({ state: 'loading', row });
      await this._ask(row);
    }
  }

  override dispose(): void {
    window.clearTimeout(this._settling);
    super.dispose();
  }

  private _look(row: ObjectRow): void {
    if (row.entry.unreadable !== null) {
      this._inside = { state: 'unreadable', row };
      return;
    }
    this._inside = { state: 'loading', row };
    this._settling = window.setTimeout(
      () => void this._ask(row),
      SETTLE_MILLISECONDS
    );
  }

  private async _ask(row: ObjectRow): Promise<void> {
    const { connection, entry } = row;
    let found: Inside;
    try {
      const info = await this._api.tensorInfo(connection, entry.key);
      found = { state: 'ready', row, info };
    } catch (error) {
      found = { state: 'failed', row, problem: asApiError(error) };
    }
    if (this._inside?.row.id === row.id) {
      this._show(found);
    }
  }

  private async _page(place: Place, token: string | null): Promise<void> {
    const epoch = this._epoch;
    this._update(tree.withLoading(this._tree, place));
    const limit = this.pageSize;
    let next: (state: TreeState) => TreeState;
    try {
      const { connection, prefix } = place;
      const page = await this._counted(
        this._api.list(connection, prefix, { limit, token })
      );
      next = state => tree.withPage(state, place, page, token !== null);
    } catch (error) {
      const problem = asApiError(error);
      next = state => tree.withProblem(state, place, problem);
    }
    // A reply from before a refresh would mix two listings.
    if (epoch === this._epoch) {
      this._update(next(this._tree));
    }
  }

  private async _counted<T>(reply: Promise<T>): Promise<T> {
    this._pending += 1;
    this.stateChanged.emit();
    try {
      return await reply;
    } finally {
      this._pending -= 1;
    }
  }

  private _show(inside: Inside): void {
    this._inside = inside;
    this.stateChanged.emit();
  }

  private _update(state: TreeState): void {
    this._tree = state;
    this._rows = tree.rowsOf(state);
    this.stateChanged.emit();
  }

  private _tree = tree.EMPTY_TREE;
  private _rows: readonly Row[] = [];
  private _inside: Inside | null = null;
  private _ready = false;
  private _problem: ApiError | null = null;
  private _setup = { file: '', example: '' };
  private _pending = 0;
  private _epoch = 0;
  private _settling = 0;
}
