import { VDomModel } from '@jupyterlab/ui-components';

import type { Api } from '../../api';
import type { ApiError } from '../../request';
import { asApiError } from '../../request';
import type { Path } from '../../storage/target';
import { isAlone } from '../../storage/target';
import { Asking } from '../asking';
import { exactGlob } from '../glob';
import type {
  ArrayPart,
  ChunkMap,
  Part,
  Plan,
  Tensor,
  TensorFile
} from './contract';
import type { Column, Sort } from './rows';
import { nextSort, rowsOf } from './rows';
import { keysFor } from './selectkeys';
import { readTree } from './tree';

export type InsideApi = Pick<Api, 'tensorInfo' | 'tensorPlan' | 'tensorChunks'>;

/** More names than the server takes are no question any more. */
const MOST_KEYS = 500;
/** Nor is an address that is longer than servers read. */
const MOST_KEY_CHARACTERS = 6000;

/** One file or store, what is seen of it, and what of it is chosen. */
export class InsideModel extends VDomModel {
  constructor(
    private readonly _api: InsideApi,
    readonly path: Path
  ) {
    super();
    const changed = () => this.stateChanged.emit();
    this.plan = new Asking(
      (part: Part, signal) => _api.tensorPlan(part, signal),
      changed
    );
    this.arrayPlan = new Asking(
      (part: Part, signal) => _api.tensorPlan(part, signal),
      changed
    );
    this.chunks = new Asking(
      (select: string, signal) =>
        _api.tensorChunks(this._array(select), signal),
      changed
    );
  }

  /** What a load of the selected tensors would cost. */
  readonly plan: Asking<Part, Plan>;
  /** What the typed part of the active array would cost. */
  readonly arrayPlan: Asking<Part, Plan>;
  readonly chunks: Asking<string, ChunkMap>;

  get file(): TensorFile | null {
    return this._file;
  }

  get problem(): ApiError | null {
    return this._problem;
  }

  get isLoading(): boolean {
    return this._control !== null;
  }

  /** Whether the server told all names. */
  get isComplete(): boolean {
    const file = this._file;
    return file !== null && file.tensors.length === file.tensor_count;
  }

  /** Indices of the tensors that are shown, in their order. */
  get rows(): readonly number[] {
    return this._rows;
  }

  get filter(): string {
    return this._filter;
  }

  get sort(): Sort | null {
    return this._sort;
  }

  get selected(): ReadonlySet<number> {
    return this._selected;
  }

  /** The selected tensors; all where none is. */
  get chosen(): readonly Tensor[] {
    const tensors = this._file?.tensors ?? [];
    return this._selected.size === 0
      ? tensors
      : tensors.filter((_, index) => this._selected.has(index));
  }

  /** The tensor that the keyboard is at. */
  get active(): number | null {
    return this._active;
  }

  get activeTensor(): Tensor | null {
    return this._file?.tensors[this._active ?? -1] ?? null;
  }

  /** The typed part of the active array. */
  get select(): string {
    return this._select;
  }

  get raw(): boolean {
    return this._raw;
  }

  /** Names, or few globs, for the selection; empty: all of the file. */
  get keys(): readonly string[] {
    this._keys ??=
      this._selected.size === 0
        ? []
        : keysFor(
            (this._file?.tensors ?? []).map(({ name }) => name),
            this._selected,
            this.isComplete
          );
    return this._keys;
  }

  /** Whether so many single names are chosen that nobody can be asked. */
  get isTooMany(): boolean {
    return (
      this.keys.length > MOST_KEYS ||
      this.keys.join('').length > MOST_KEY_CHARACTERS
    );
  }

  get selectedBytes(): number {
    let bytes = 0;
    for (const index of this._selected) {
      bytes += this._file?.tensors[index]?.size_bytes ?? 0;
    }
    return bytes;
  }

  /** Read what is inside, from the beginning. */
  async load(): Promise<void> {
    this.cancel();
    const control = new AbortController();
    this._control = control;
    this._problem = null;
    this.stateChanged.emit();
    try {
      const { connection, key } = this.path;
      const ask = (at: string) =>
        this._api.tensorInfo(connection, at, control.signal, { deep: false });
      for await (const file of readTree(ask, key)) {
        if (control.signal.aborted) {
          return;
        }
        this._show(file);
      }
    } catch (error) {
      if (control.signal.aborted) {
        return;
      }
      this._problem = asApiError(error);
    }
    this._control = null;
    this._askPlan();
    this.stateChanged.emit();
  }

  /** Stop reading; what arrived is kept. */
  cancel(): void {
    this._control?.abort();
    this._control = null;
    this.stateChanged.emit();
  }

  setFilter(filter: string): void {
    this._filter = filter;
    this._arrange();
  }

  sortBy(column: Column): void {
    this._sort = nextSort(this._sort, column);
    this._arrange();
  }

  /** Move to a tensor; an array's part and plan follow. */
  activate(index: number | null): void {
    if (index === this._active) {
      return;
    }
    this._active = index;
    this._select = '';
    this.arrayPlan.clear();
    this.chunks.clear();
    this._askArray();
    this.stateChanged.emit();
  }

  /** Select one more tensor, or one less. */
  toggle(index: number): void {
    const selected = new Set(this._selected);
    if (!selected.delete(index)) {
      selected.add(index);
    }
    this._choose(selected);
  }

  /** Select, or let go of, all rows between two. */
  reach(from: number, to: number): void {
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    this._choose(
      new Set([...this._selected, ...this._rows.slice(first, last + 1)])
    );
  }

  /** Select all that is shown; once more lets go of it. */
  toggleShown(): void {
    const isAll = this._rows.every(index => this._selected.has(index));
    const selected = new Set(this._selected);
    this._rows.forEach(index =>
      isAll ? selected.delete(index) : selected.add(index)
    );
    this._choose(selected);
  }

  clearSelection(): void {
    this._choose(new Set());
  }

  setSelect(select: string): void {
    this._select = select;
    this._askArray();
    this.stateChanged.emit();
  }

  setRaw(raw: boolean): void {
    this._raw = raw;
    this._askArray();
    this.stateChanged.emit();
  }

  override dispose(): void {
    this._control?.abort();
    this.plan.dispose();
    this.arrayPlan.dispose();
    this.chunks.dispose();
    super.dispose();
  }

  private _show(file: TensorFile): void {
    this._file = file;
    this._keys = null;
    if (this._active === null && file.tensors.length === 1) {
      this.activate(0);
    }
    this._arrange();
  }

  private _arrange(): void {
    const tensors = this._file?.tensors ?? [];
    this._rows = rowsOf(tensors, this._filter, this._sort);
    this.stateChanged.emit();
  }

  private _choose(selected: ReadonlySet<number>): void {
    this._selected = selected;
    this._keys = null;
    this._askPlan();
    this.stateChanged.emit();
  }

  private _askPlan(): void {
    if (!this._file || this._file.kind === 'hdf5' || this.isTooMany) {
      this.plan.clear();
    } else {
      this.plan.ask({ ...this.path, keys: this.keys });
    }
  }

  private _askArray(): void {
    const tensor = this.activeTensor;
    if (this._file?.kind !== 'zarr' || !tensor || tensor.unreadable) {
      return;
    }
    const part: Part = {
      ...this.path,
      keys: [exactGlob(tensor.name)],
      select: this._select,
      raw: this._raw
    };
    this.arrayPlan.ask(part);
    this.chunks.ask(this._select);
  }

  private _array(select: string): ArrayPart {
    const { file, path, activeTensor: tensor } = this;
    const name = file && tensor && !isAlone(path, file) ? tensor.name : '';
    return { ...path, path: name, select };
  }

  private _file: TensorFile | null = null;
  private _problem: ApiError | null = null;
  private _control: AbortController | null = null;
  private _filter = '';
  private _sort: Sort | null = null;
  private _rows: readonly number[] = [];
  private _selected: ReadonlySet<number> = new Set();
  private _keys: readonly string[] | null = null;
  private _active: number | null = null;
  private _select = '';
  private _raw = false;
}
