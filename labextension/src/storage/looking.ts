import type { Entry } from '../api';
import type { Inside, LookApi } from './look';
import { look } from './look';
import type { ObjectRow } from './rows';

/** Walking down a folder by keys asks for the file one stops at, not for each. */
const SETTLE_MILLISECONDS = 200;

/** What is inside the selected file: asked for once a person stays with it. */
export class Looking {
  constructor(
    private readonly _api: LookApi,
    private readonly _changed: () => void
  ) {}

  get inside(): Inside | null {
    return this._inside;
  }

  /** Look into a file, soon. */
  at(row: ObjectRow): void {
    this.close();
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

  /** Ask again what is inside. */
  async again(): Promise<void> {
    const row = this._inside?.row;
    if (row) {
      this._show({ state: 'loading', row });
      await this._ask(row);
    }
  }

  close(): void {
    window.clearTimeout(this._settling);
    this._inside = null;
  }

  /** Whether the file that is shown is one of these. */
  isOf(connection: string, keys: readonly Entry['key'][]): boolean {
    const row = this._inside?.row;
    return row?.connection === connection && keys.includes(row.entry.key);
  }

  private async _ask(row: ObjectRow): Promise<void> {
    const found = await look(this._api, row);
    if (this._inside?.row.id === row.id) {
      this._show(found);
    }
  }

  private _show(inside: Inside): void {
    this._inside = inside;
    this._changed();
  }

  private _inside: Inside | null = null;
  private _settling = 0;
}
