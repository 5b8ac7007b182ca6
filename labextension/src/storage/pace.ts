const WINDOW_SECONDS = 8;

interface IMark {
  readonly seconds: number;
  readonly bytes: number;
}

/** How fast something goes on, over the last seconds. */
export class Pace {
  constructor(private readonly _now = () => performance.now() / 1000) {}

  /** Begin at an amount that took no time, such as what was there before. */
  start(bytes: number): void {
    this._marks = [{ seconds: this._now(), bytes }];
  }

  reached(bytes: number): void {
    const seconds = this._now();
    const marks = [...this._marks, { seconds, bytes }];
    const old = marks.findLastIndex(m => m.seconds < seconds - WINDOW_SECONDS);
    // The last one outside the window is where the window begins.
    this._marks = marks.slice(Math.max(0, old));
  }

  /** null before anything has moved. */
  get perSecond(): number | null {
    const [first, last] = [this._marks[0], this._marks.at(-1)];
    const span = first && last ? last.seconds - first.seconds : 0;
    return first && last && span > 0 ? (last.bytes - first.bytes) / span : null;
  }

  private _marks: readonly IMark[] = [];
}
