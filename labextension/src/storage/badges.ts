import type { Api, Entry, KindsAnswer, RowKind } from '../api';
import type { FolderRow, ObjectRow, Row } from './rows';
import { isArchived } from './rows';
import type { Place } from './state';
import { entryId, placeId } from './state';

/** Scrolling through asks for the rows where one stops, not for each. */
const REST_MILLISECONDS = 150;
/** What a question may hold: the server takes 100 rows and 64 kB. */
const MOST_ROWS = 50;
const MOST_LETTERS = 20_000;
/** When to ask again for what was not known; a run may still be writing it. */
const AGAIN_MILLISECONDS = 60_000;
const MOST_KNOWN = 5000;

export type BadgesApi = Pick<Api, 'kinds'>;

type BadgedRow = FolderRow | ObjectRow;

interface IKnown {
  readonly kind: RowKind | null;
  /** Until when it counts. */
  readonly until: number;
}

interface IQuestion {
  readonly ids: ReadonlySet<string>;
  readonly abort: AbortController;
}

/** What the rows on screen are: asked for once scrolling rests, and kept. */
export class Badges {
  constructor(
    private readonly _api: BadgesApi,
    private readonly _changed: () => void,
    private readonly _now = () => performance.now()
  ) {}

  /** What a row is, as far as is known. */
  kindOf(row: Row): RowKind | null {
    return row.kind === 'object' || row.kind === 'folder'
      ? (this._known.get(idOf(row))?.kind ?? null)
      : null;
  }

  /** These rows are on screen now. */
  seen(rows: readonly Row[]): void {
    this._rows = rows.filter(isBadged);
    const { _asking } = this;
    if (_asking && !this._rows.some(row => _asking.ids.has(idOf(row)))) {
      // The folder was left.
      _asking.abort.abort();
    }
    this._settle();
  }

  /** Whether somebody looks at the rows. */
  watch(isWatched: boolean): void {
    if (isWatched !== this._isWatched) {
      this._isWatched = isWatched;
      if (!isWatched) {
        this._asking?.abort.abort();
      }
      this._settle();
    }
  }

  /** What a folder holds is listed anew: its folders may be others by now. */
  doubt(place: Place): void {
    const within = placeId(place);
    for (const [id, known] of this._known) {
      if (id.startsWith(within)) {
        this._known.set(id, { ...known, until: 0 });
      }
    }
  }

  close(): void {
    this.watch(false);
  }

  private _settle(): void {
    clearTimeout(this._settling);
    if (this._isWatched && this._rows.length > 0) {
      this._settling = setTimeout(() => void this._ask(), REST_MILLISECONDS);
    }
  }

  /** One question at a time, until nothing on screen is unknown. */
  private async _ask(): Promise<void> {
    const rows = this._isWatched && !this._asking ? this._next() : [];
    const connection = rows[0] && connectionOf(rows[0]);
    if (connection === undefined) {
      return;
    }
    const abort = new AbortController();
    this._asking = { ids: new Set(rows.map(idOf)), abort };
    try {
      const asked = rows.map(rowOf);
      const body = { connection, rows: asked };
      this._take(rows, await this._api.kinds(body, abort.signal));
    } catch {
      // A badge is worth no message; the row says it when it is opened.
      if (!abort.signal.aborted) {
        this._take(rows, null);
      }
    } finally {
      this._asking = null;
    }
    this._changed();
    if (!abort.signal.aborted) {
      void this._ask();
    }
  }

  /** What to ask next: the rows of one connection that are not known. */
  private _next(): readonly BadgedRow[] {
    const now = this._now();
    const due = this._rows.filter(
      row => (this._known.get(idOf(row))?.until ?? 0) <= now
    );
    const first = due[0];
    let letters = 0;
    return due
      .filter(row => first && connectionOf(row) === connectionOf(first))
      .slice(0, MOST_ROWS)
      .filter((row, index) => {
        letters += JSON.stringify(rowOf(row)).length;
        return index === 0 || letters < MOST_LETTERS;
      });
  }

  private _take(rows: readonly BadgedRow[], answer: KindsAnswer | null): void {
    const again = this._now() + AGAIN_MILLISECONDS;
    const later = new Set(answer?.later);
    for (const row of rows) {
      const { key, etag } = row.entry;
      const id = idOf(row);
      const isOpen = answer === null || later.has(key);
      const before = this._known.get(id)?.kind ?? null;
      const kind = isOpen ? before : (answer.kinds[key] ?? null);
      const isFinal = !isOpen && (kind !== null || etag !== null);
      this._known.delete(id);
      this._known.set(id, { kind, until: isFinal ? Infinity : again });
    }
    const surplus = this._known.size - MOST_KNOWN;
    for (const id of [...this._known.keys()].slice(0, Math.max(0, surplus))) {
      this._known.delete(id);
    }
  }

  private _rows: readonly BadgedRow[] = [];
  private readonly _known = new Map<string, IKnown>();
  private _asking: IQuestion | null = null;
  private _isWatched = false;
  private _settling: ReturnType<typeof setTimeout> | undefined;
}

/** Whether a row can have a badge: it is readable, and no shard of many. */
function isBadged(row: Row): row is BadgedRow {
  return (
    row.kind === 'folder' ||
    (row.kind === 'object' &&
      row.shard === null &&
      row.entry.unreadable === null &&
      !isArchived(row))
  );
}

function connectionOf(row: BadgedRow): string {
  return row.kind === 'folder' ? row.place.connection : row.connection;
}

function rowOf({ entry }: BadgedRow): Pick<Entry, 'key' | 'etag'> {
  return { key: entry.key, etag: entry.etag };
}

/** Another version of a file is another row. */
function idOf(row: BadgedRow): string {
  return `${entryId(connectionOf(row), row.entry)} ${row.entry.etag ?? ''}`;
}
