import type { Connection } from '../api';
import { secondsUntil, warnIn } from './expiry';

/** Longer than this a timer of the browser fires at once. */
const LONGEST_MILLISECONDS = 2 ** 31 - 1;

/** Says once of each connection that its credential ends within the hour. */
export class ExpiryWatch {
  constructor(
    private readonly _warn: (connection: Connection) => void,
    /** Called the moment that one ends. */
    private readonly _end: () => void
  ) {}

  /** Take the connections as they are now. */
  watch(connections: readonly Connection[]): void {
    this._timers.forEach(timer => window.clearTimeout(timer));
    this._timers = connections.flatMap(connection => [
      ...this._warning(connection),
      ...after(secondsUntil(connection.expires_at, Date.now()), this._end)
    ]);
  }

  private _warning(connection: Connection): number[] {
    const seconds = warnIn(connection.expires_at, Date.now());
    const mark = `${connection.name} ${connection.expires_at}`;
    if (seconds === null || this._said.has(mark)) {
      return [];
    }
    const fire = () => {
      this._said.add(mark);
      this._warn(connection);
    };
    return after(seconds, fire);
  }

  private _timers: number[] = [];
  private readonly _said = new Set<string>();
}

/** A timer for a moment that lies ahead, and not too far. */
function after(seconds: number | null, act: () => void): number[] {
  const wait = seconds === null ? -1 : 1000 * seconds;
  return wait < 0 || wait > LONGEST_MILLISECONDS
    ? []
    : [window.setTimeout(act, wait)];
}
