// What is inside a file: its tensors, or what else can be seen of it.

import type { Api, Preview, TensorFile } from '../api';
import type { ApiError } from '../request';
import { asApiError } from '../request';
import type { ObjectRow } from './rows';

/** What is known of the selected file's contents. */
export type Inside = { readonly row: ObjectRow } & (
  | { readonly state: 'loading' }
  | { readonly state: 'unreadable' }
  | { readonly state: 'ready'; readonly info: TensorFile }
  | { readonly state: 'preview'; readonly preview: Preview }
  | { readonly state: 'failed'; readonly problem: ApiError }
);

export type LookApi = Pick<Api, 'tensorInfo' | 'preview'>;

/** Names that no tensor file has: one question less. */
const NO_TENSORS =
  /\.(csv|tsv|json|jsonl|txt|md|log|ya?ml|toml|py|png|jpe?g|gif|webp|parquet)$/i;

/** Whether a file may hold tensors, by its name alone. */
export function mayHoldTensors(name: string): boolean {
  return !NO_TENSORS.test(name);
}

const ARRAYS = /\.(npy|npz|safetensors|pt|pth|bin|ckpt)$/i;

/** Whether a file may hold arrays to view, by its name alone. */
export function mayHoldArrays(key: string): boolean {
  return ARRAYS.test(key);
}

/** Ask what a file holds; whatever fails is said in `problem`. */
export async function look(api: LookApi, row: ObjectRow): Promise<Inside> {
  if (!mayHoldTensors(row.entry.name)) {
    return preview(api, row, null);
  }
  try {
    const info = await api.tensorInfo(row.connection, row.entry.key);
    return { state: 'ready', row, info };
  } catch (error) {
    const problem = asApiError(error);
    return problem.code === 'unsupported_format'
      ? preview(api, row, problem)
      : { state: 'failed', row, problem };
  }
}

/** What is seen without tensors; where that fails, the first problem says more. */
async function preview(
  api: LookApi,
  row: ObjectRow,
  first: ApiError | null
): Promise<Inside> {
  try {
    const seen = await api.preview(row.connection, row.entry.key);
    return { state: 'preview', row, preview: seen };
  } catch (error) {
    const problem = asApiError(error);
    const isKnown = problem.code === 'unsupported_format';
    return {
      state: 'failed',
      row,
      problem: isKnown && first ? first : problem
    };
  }
}
