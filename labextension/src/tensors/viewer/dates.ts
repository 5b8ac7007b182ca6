// Moments as axes and as words; they arrive as milliseconds since 1970, in UTC. Pure.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365.25 * DAY;

export interface DateAxis {
  readonly values: Float64Array;
  /** 'days since 2020-01-01', or 'year'. */
  readonly unit: string;
}

/** Moments in a unit of which a plot's ticks are short numbers. */
export function dateAxis(moments: Float64Array): DateAxis {
  const first = moments[0] ?? 0;
  const length = Math.abs((moments.at(-1) ?? first) - first);
  if (length >= 3 * YEAR) {
    return { values: moments.map(yearOf), unit: 'year' };
  }
  const [size, name] = unitFor(length);
  const origin = Math.floor(first / size) * size;
  return {
    values: moments.map(moment => (moment - origin) / size),
    unit: `${name} since ${momentText(origin)}`
  };
}

/** A moment without what is zero at its end: '2020-01-01', '2020-01-01 06:00'. */
export function momentText(moment: number): string {
  if (!Number.isFinite(moment) || Math.abs(moment) > 8.64e15) {
    return 'no date';
  }
  const iso = new Date(moment).toISOString();
  const [day = '', time = ''] = iso.split('T');
  if (moment % DAY === 0) {
    return day;
  }
  if (moment % MINUTE === 0) {
    return `${day} ${time.slice(0, 5)}`;
  }
  const isWhole = moment % SECOND === 0;
  return `${day} ${isWhole ? time.slice(0, 8) : time.slice(0, -1)}`;
}

function unitFor(length: number): readonly [number, string] {
  if (length >= 3 * DAY) {
    return [DAY, 'days'];
  }
  if (length >= 3 * HOUR) {
    return [HOUR, 'hours'];
  }
  return length >= 3 * MINUTE ? [MINUTE, 'minutes'] : [SECOND, 'seconds'];
}

/** A moment as a year with its fraction, by the calendar. */
function yearOf(moment: number): number {
  const year = new Date(moment).getUTCFullYear();
  const begin = startOf(year);
  return year + (moment - begin) / (startOf(year + 1) - begin);
}

function startOf(year: number): number {
  // Date.UTC takes the years below 100 for those of the last century.
  return new Date(0).setUTCFullYear(year, 0, 1);
}
