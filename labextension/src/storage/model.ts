import { VDomModel } from '@jupyterlab/ui-components';

import type { Api, Connection, Entry, Found } from '../api';
import type { ApiError } from '../request';
import { asApiError } from '../request';
import { Badges } from './badges';
import { Looking } from './looking';
import type { MarkableRow, Marks } from './marks';
import { NO_MARKS, between, isMarkable, toggled } from './marks';
import type { Row } from './rows';
import { placeOf, remaining, rowsOf, shardsId } from './rows';
import { foldShards } from './shards';
import type { Place, TreeState } from './state';
import * as tree from './state';
import { nameOf } from './target';

export const DEFAULT_PAGE_SIZE = 200;

interface ISetup {
  readonly file: string;
  readonly example: string;
  readonly found: readonly Found[];
}

export class StorageModel extends VDomModel {
  constructor(
    private readonly _api: Pick<
      Api,
      'connections' | 'list' | 'tensorInfo' | 'preview' | 'kinds'
    >
  ) {
    super();
    this.looking = new Looking(_api, () => this.stateChanged.emit());
    this.badges = new Badges(_api, () => this.stateChanged.emit());
  }

  /** What is inside the selected file. */
  readonly looking: Looking;

  /** What the rows on screen are. */
  readonly badges: Badges;

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

  /** Where a person writes connections, one to start from, what was found. */
  get setup(): ISetup {
    return this._setup;
  }

  get connections(): readonly Connection[] {
    return this._tree.connections;
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
      this._setup = reply;
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
      'place' in row && 'expanded' in row && row.expanded ? [row.place] : []
    );
    await Promise.all(open.map(place => this.list(place)));
  }

  toggle(row: Row): void {
    if (!('expanded' in row)) {
      return;
    }
    if (row.expanded || row.kind === 'shards') {
      this._update(tree.withOpen(this._tree, row.id, !row.expanded));
    } else {
      void this.open(row.place);
    }
  }

  /** Open a folder and, where it is not known, list it. */
  async open(place: Place): Promise<void> {
    this._update(tree.withExpanded(this._tree, place, true));
    const folder = this._tree.folders.get(tree.placeId(place));
    if (!folder || folder.problem) {
      await this.list(place);
    }
  }

  /** List a folder from its beginning. */
  list(place: Place): Promise<void> {
    this.badges.doubt(place);
    return this._page(place, null);
  }

  /** List what comes after the entries that are shown. */
  async more(place: Place): Promise<void> {
    const folder = tree.folderAt(this._tree, place);
    if (!folder.loading) {
      await this._page(place, folder.nextToken);
    }
  }

  /** Show only what begins so, as the storage itself finds it; '' for all. */
  async search(place: Place, search: string): Promise<void> {
    if (tree.folderAt(this._tree, place).search !== search) {
      this._update(tree.withSearch(this._tree, place, search));
      await this.list(place);
    }
  }

  /** Whether a folder is open, so that it can be narrowed while one types. */
  isOpen(place: Place): boolean {
    return this._tree.expanded.has(tree.placeId(place));
  }

  /** The rows that were marked to be treated as one. */
  get marked(): readonly MarkableRow[] {
    const marks = this._marks;
    return marks.size === 0
      ? []
      : this._rows.filter(isMarkable).filter(row => marks.has(row.id));
  }

  /** Mark one more row, or one less. */
  mark(row: Row): void {
    this._marks = toggled(this._marks, this.selected, row);
    this.looking.close();
    this.selectId(row.id);
  }

  /** Mark all from where one began up to this row. */
  reach(row: Row): void {
    this._anchor ??= this._tree.selected ?? row.id;
    this._marks = between(this._rows, this._anchor, row.id);
    this.looking.close();
    this.selectId(row.id);
  }

  /** Let go of the marks; without any, close what is shown of a file. */
  leave(): void {
    if (this._marks.size > 0) {
      this.unmark();
    } else {
      this.closeInside();
    }
  }

  unmark(): void {
    this._marks = NO_MARKS;
    this._anchor = null;
    this.stateChanged.emit();
  }

  /** Select a row; with `look`, ask what is inside a file. */
  select(row: Row | null, options: { look: boolean } = { look: true }): void {
    if (options.look || !row || !this._marks.has(row.id)) {
      this._marks = NO_MARKS;
      this._anchor = null;
    }
    const isSame = row?.id === this._tree.selected;
    if (isSame && (this.looking.inside !== null || !options.look)) {
      return;
    }
    if (row?.kind === 'object' && options.look) {
      this.looking.at(row);
    } else {
      this.looking.close();
    }
    this.selectId(row?.id ?? null);
  }

  /** Ask what is inside the selected file. */
  look(): void {
    const row = this.selected;
    if (row?.kind === 'object') {
      this.looking.at(row);
      this.stateChanged.emit();
    }
  }

  /** Only the selection: the rows, of which there may be many, stay. */
  selectId(id: string | null): void {
    this._tree = tree.withSelected(this._tree, id);
    this.stateChanged.emit();
  }

  /** Close what is shown of the selected file, which stays selected. */
  closeInside(): void {
    this.looking.close();
    this.stateChanged.emit();
  }

  /** An entry came to be, by our own doing: the listing need not be asked. */
  add(place: Place, entry: Entry): void {
    this._update(tree.withEntry(this._tree, place, entry));
  }

  /** Entries are gone, by our own doing. */
  drop(place: Place, keys: readonly string[]): void {
    this._update(tree.withoutEntries(this._tree, place, new Set(keys)));
    if (this.looking.isOf(place.connection, keys)) {
      this.looking.close();
      this.selectId(null);
    }
  }

  /** Say below a row what went wrong with it; null: nothing any more. */
  trouble(id: string, problem: ApiError | null): void {
    this._update(tree.withTrouble(this._tree, id, problem));
  }

  /** Whether a person may change what a row stands for. */
  isWritable(row: Row | null): boolean {
    const name = row ? placeOf(row).connection : '';
    const connection = this.connections.find(known => known.name === name);
    return connection !== undefined && !connection.read_only;
  }

  /** Do something to a row; what goes wrong is said below it. */
  async tryOn(id: string, act: () => Promise<void>): Promise<void> {
    this.trouble(id, null);
    try {
      await act();
    } catch (error) {
      this.trouble(id, asApiError(error));
    }
  }

  override dispose(): void {
    this.looking.close();
    this.badges.close();
    super.dispose();
  }

  /** List the folder of a key so far that it shows; null: there is none. */
  async reveal(place: Place, key: string): Promise<Entry | null> {
    const find = () => tree.entryAt(this._tree, place, key);
    if (!find() && !tree.folderAt(this._tree, place).problem) {
      await this.search(place, nameOf(key));
    }
    const entry = find();
    const folder = tree.folderAt(this._tree, place);
    const group = foldShards(folder.entries).find(
      item => item.kind === 'shards' && entry && item.entries.includes(entry)
    );
    if (group?.kind === 'shards') {
      this._update(tree.withOpen(this._tree, shardsId(place, group), true));
    }
    return entry ?? null;
  }

  private async _page(place: Place, token: string | null): Promise<void> {
    const epoch = this._epoch;
    this._update(tree.withLoading(this._tree, place));
    const limit = this.pageSize;
    const { search } = tree.folderAt(this._tree, place);
    let next: (state: TreeState) => TreeState;
    try {
      const { connection, prefix } = place;
      const page = await this._counted(
        this._api.list(connection, prefix, { limit, token, search })
      );
      next = state => tree.withPage(state, place, page, token !== null);
    } catch (error) {
      const problem = asApiError(error);
      next = state => tree.withProblem(state, place, problem);
    }
    // A reply from before a refresh or a key stroke would mix two listings.
    const isStale = tree.folderAt(this._tree, place).search !== search;
    if (epoch === this._epoch && !isStale) {
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

  private _update(state: TreeState): void {
    const before = this._rows;
    this._rows = rowsOf(state);
    const selected = remaining(state.selected, before, this._rows);
    this._tree = tree.withSelected(state, selected);
    this.stateChanged.emit();
  }

  private _tree = tree.EMPTY_TREE;
  private _rows: readonly Row[] = [];
  private _marks: Marks = NO_MARKS;
  /** Where a reach began; null: at the selected row. */
  private _anchor: string | null = null;
  private _ready = false;
  private _problem: ApiError | null = null;
  private _setup: ISetup = { file: '', example: '', found: [] };
  private _pending = 0;
  private _epoch = 0;
}
