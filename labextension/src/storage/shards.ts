// Files such as model-00001-of-00006.safetensors are one model. Pure.

import type { Entry } from '../api';

export interface Shards {
  readonly kind: 'shards';
  /** What the names have in common: 'model'. */
  readonly stem: string;
  readonly suffix: string;
  /** How many the names speak of; fewer may be here. */
  readonly total: number;
  readonly entries: readonly Entry[];
}

const SHARD = /^(.+)-(\d{5})-of-(\d{5})(\.[\w.]+)$/s;

const folded = new WeakMap<readonly Entry[], readonly (Entry | Shards)[]>();

/** The entries, with two or more shards of one model as one. */
export function foldShards(
  entries: readonly Entry[]
): readonly (Entry | Shards)[] {
  const known = folded.get(entries) ?? fold(entries);
  folded.set(entries, known);
  return known;
}

export function shardsBytes(shards: Shards): number {
  return shards.entries.reduce((sum, e) => sum + (e.size_bytes ?? 0), 0);
}

/** Which one of its model's shards a file is, from 1. */
export function shardNumber(entry: Entry): number {
  return Number(SHARD.exec(entry.name)?.[2]);
}

/** 'model-*-of-00006.safetensors' */
export function shardsPattern({ stem, suffix, total }: Shards): string {
  return `${stem}-*-of-${String(total).padStart(5, '0')}${suffix}`;
}

function fold(entries: readonly Entry[]): readonly (Entry | Shards)[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const id = groupOf(entry);
    const group = groups.get(id) ?? [];
    group.push(entry);
    groups.set(id, group);
  }
  const isFolded = (id: string) =>
    id !== '' && (groups.get(id)?.length ?? 0) > 1;
  return entries.flatMap((entry): (Entry | Shards)[] => {
    const id = groupOf(entry);
    if (!isFolded(id)) {
      return [entry];
    }
    const group = groups.get(id) ?? [];
    return group[0] === entry ? [shardsFrom(group)] : [];
  });
}

function groupOf(entry: Entry): string {
  const found = entry.kind === 'object' ? SHARD.exec(entry.name) : null;
  return found ? [found[1], found[3], found[4]].join('\0') : '';
}

function shardsFrom(entries: readonly Entry[]): Shards {
  const [, stem = '', , total = '', suffix = ''] =
    SHARD.exec(entries[0]?.name ?? '') ?? [];
  return { kind: 'shards', stem, suffix, total: Number(total), entries };
}
