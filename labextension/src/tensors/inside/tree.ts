// A large tree is shown as it arrives: a group at a time, a few at once.

import type { TensorFile } from './contract';

const AT_ONCE = 4;
/** Deeper than this the server says that it is too deep, too. */
const MOST_GROUPS = 10_000;

type Ask = (key: string) => Promise<TensorFile>;

/** What is inside, and again with each group that came. */
export async function* readTree(
  ask: Ask,
  key: string
): AsyncGenerator<TensorFile> {
  let file = await ask(key);
  yield file;
  let asked = 0;
  for (;;) {
    const names = unreadOf(file).slice(0, AT_ONCE);
    if (names.length === 0 || asked > MOST_GROUPS) {
      return;
    }
    asked += names.length;
    const folder = key === '' || key.endsWith('/') ? key : `${key}/`;
    const below = await Promise.all(names.map(name => ask(folder + name)));
    file = names.reduce(
      (whole, name, at) => withGroup(whole, name, below[at]),
      file
    );
    yield file;
  }
}

function unreadOf({ groups = [] }: TensorFile): string[] {
  return groups.filter(({ unread }) => unread).map(({ name }) => name);
}

/** A file with what was found in one of its groups. */
export function withGroup(
  file: TensorFile,
  name: string,
  group: TensorFile | undefined
): TensorFile {
  if (!group) {
    return file;
  }
  const named = <T extends { readonly name: string }>(one: T): T => ({
    ...one,
    name: `${name}/${one.name}`
  });
  return {
    ...file,
    size_bytes: file.size_bytes + group.size_bytes,
    tensor_count: file.tensor_count + group.tensor_count,
    tensor_bytes: file.tensor_bytes + group.tensor_bytes,
    tensors: [...file.tensors, ...group.tensors.map(named)],
    groups: [
      ...(file.groups ?? []).map(one =>
        one.name === name ? { ...one, unread: false } : one
      ),
      ...(group.groups ?? []).map(named)
    ],
    notes: [...new Set([...file.notes, ...group.notes])],
    requests: file.requests + group.requests,
    bytes_read: file.bytes_read + group.bytes_read
  };
}
