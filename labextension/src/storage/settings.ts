import type { Settings } from '../settings';
import type { StorageModel } from './model';
import { DEFAULT_PAGE_SIZE } from './model';

export function applySettings(
  { pageSize }: Settings,
  model: StorageModel
): void {
  model.pageSize = typeof pageSize === 'number' ? pageSize : DEFAULT_PAGE_SIZE;
}
