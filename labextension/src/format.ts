const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** A size in decimal units with three significant digits at most: '14.9 GB'. */
export function formatBytes(size: number): string {
  const power = unitPower(size);
  return `${digits(size / 1000 ** power, power)} ${UNITS[power]}`;
}

/** Two sizes in the unit of the second: '0.4 / 24.0 GB'. */
export function formatBytesOf(part: number, total: number): string {
  const power = unitPower(total);
  const scale = 1000 ** power;
  return `${digits(part / scale, power)} / ${digits(total / scale, power)} ${UNITS[power]}`;
}

/** A time span that fits on a line: '0.4 s', '1 min 20 s', '2 h 5 min'. */
export function formatDuration(seconds: number): string {
  if (seconds < 10) {
    return `${fixed(seconds, 1)} s`;
  }
  const whole = Number(fixed(seconds, 0));
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A ratio as '52 %'. */
export function formatRatio(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}

/** A frequency as '1.98 GHz' or '810 MHz'. */
export function formatHertz(hertz: number): string {
  return hertz >= 1e9
    ? `${(hertz / 1e9).toFixed(2)} GHz`
    : `${Math.round(hertz / 1e6)} MHz`;
}

/** An energy as a bill has it: '2.31 kWh', '310 Wh'. */
export function formatEnergy(joules: number): string {
  const wattHours = joules / 3600;
  return wattHours >= 1000
    ? `${(wattHours / 1000).toFixed(2)} kWh`
    : `${Math.round(wattHours)} Wh`;
}

/** A time span in its largest unit: '40 s', '12 min', '2 h', '3 d'. */
export function formatCoarse(seconds: number): string {
  if (seconds < 60) {
    return `${Math.floor(seconds)} s`;
  }
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min`;
  }
  return seconds < 48 * 3600
    ? `${Math.floor(seconds / 3600)} h`
    : `${Math.floor(seconds / 86400)} d`;
}

/** A shape as '64 × 3 × 7 × 7'; a scalar is a dot. */
export function formatShape(shape: readonly number[]): string {
  return shape.length === 0 ? '·' : shape.join(' × ');
}

/** The day of a timestamp in the reader's time zone: '2026-08-01'. */
export function formatDay(iso: string): string {
  const date = new Date(iso);
  const two = (value: number) => String(value).padStart(2, '0');
  return Number.isNaN(date.getTime())
    ? ''
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** A moment in the reader's language and time zone: '3 Dec 2026, 14:02'. */
export function formatMoment(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime())
    ? ''
    : date.toLocaleString(undefined, {
        dateStyle: 'medium',
        timeStyle: 'short'
      });
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

const UNPRINTABLE = /[\p{C}\u2028\u2029]/gu;
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r'
};

/**
 * The text on one line, with control, format and bidirectional characters as
 * escapes: a name from storage may hold marks that make 'exe.txt' read as
 * 'txt.exe'.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escape);
}

function escape(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return (
    SHORT_ESCAPES[char] ??
    (code < 0x100
      ? `\\x${hex.padStart(2, '0')}`
      : code < 0x10000
        ? `\\u${hex.padStart(4, '0')}`
        : `\\U${hex.padStart(8, '0')}`)
  );
}

function unitPower(size: number): number {
  let [value, power] = [Math.abs(size), 0];
  while (value >= 999.5 && power < UNITS.length - 1) {
    [value, power] = [value / 1000, power + 1];
  }
  return power;
}

function digits(value: number, power: number): string {
  return fixed(value, power === 0 || Math.abs(value) >= 100 ? 0 : 1);
}

/** `toFixed`, but ties go to even as in Python, so that both sides print the same. */
function fixed(value: number, places: 0 | 1): string {
  const scale = places === 0 ? 1 : 10;
  // Only x.5, x.25 and x.75 are ties that binary fractions can hold.
  const tie = places === 0 ? value % 1 === 0.5 : value % 0.5 === 0.25;
  return tie
    ? ((2 * Math.round((value * scale) / 2)) / scale).toFixed(places)
    : value.toFixed(places);
}
