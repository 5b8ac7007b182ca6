// What a text in the box means: a path to go to, or a link to connect. Pure.

/** An object, a folder (ends with a slash) or the beginning of a name. */
export interface Path {
  readonly connection: string;
  readonly key: string;
}

export type Target =
  | ({ readonly kind: 'path' } & Path)
  | { readonly kind: 'link'; readonly link: string };

const URL = /^([a-z][a-z0-9-]+):\/\/(.*)$/s;

/** The path that a name-URL is of; null: it is none. */
export function pathOfUrl(text: string): Path | null {
  // A key may begin or end with spaces; a name does not.
  const found = URL.exec(text.trimStart());
  return found ? { connection: found[1]!, key: found[2]! } : null;
}

/** The meaning of a text, given the names that are connected; null: nothing. */
export function targetOf(
  text: string,
  connections: readonly string[]
): Target | null {
  const path = pathOfUrl(text);
  if (path && connections.includes(path.connection)) {
    return { kind: 'path', ...path };
  }
  // A pasted link never begins or ends with spaces.
  const link = text.trim();
  return link === '' ? null : { kind: 'link', link };
}

/** The folder that a key lies in; a folder's key lies in itself. */
export function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

/** From folder to entry down to a key: 'a/b' is ['', 'a/'], ['a/', 'a/b']. */
export function stepsTo(key: string): readonly (readonly [string, string])[] {
  const ends = [...key.matchAll(/\//g)].map(slash => slash.index + 1);
  const stops = ends.at(-1) === key.length ? ends : [...ends, key.length];
  return stops
    .filter(stop => stop > 0)
    .map((stop, index) => [
      key.slice(0, stops[index - 1] ?? 0),
      key.slice(0, stop)
    ]);
}

/** The last part of a key, without a folder's slash. */
export function nameOf(key: string): string {
  return key.replace(/\/$/, '').split('/').pop() ?? '';
}

/** Whether what has this path, and was looked into, is one array. */
export function isAlone(
  { key }: Path,
  file: {
    readonly tensor_count: number;
    readonly tensors: readonly { readonly name: string }[];
  }
): boolean {
  return file.tensor_count === 1 && file.tensors[0]?.name === nameOf(key);
}
