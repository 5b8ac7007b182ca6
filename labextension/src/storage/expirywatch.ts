import type { Connection } from '../api';
import { warnIn } from './expiry';

/** Longer than this a timer of the browser fires at once. */
const LONGEST_MILLISECONDS = 2 ** 31 - 1;

/** Says once of each connection that its credential ends within the hour. */
export class ExpiryWatch {
  constructor(private readonly _warn: (connection: Connection) => void) {}

  /** Take the connections as they are now. */
  watch(connections: readonly Connection[]): void {
    this._timers.forEach(timer => window.clearTimeout(timer));
    this._timers = connections.flatMap(connection => this._timer(connection));
  }

  private _timer(connection: Connection): number[] {
    const seconds = warnIn(connection.expires_at, Date.now());
    const mark = `${connection.name} ${connection.expires_at}`;
    if (seconds === null || this._said.has(mark)) {
      return [];
    }
    const fire = () => {
      this._said.add(mark);
      this._warn(connection);
    };
    const wait = 1000 * seconds;
    return wait > LONGEST_MILLISECONDS ? [] : [window.setTimeout(fire, wait)];
  }

  private _timers: number[] = [];
  private readonly _said = new Set<string>();
}
