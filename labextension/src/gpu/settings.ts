import type { Settings } from '../settings';
import { DEFAULT_INTERVAL_SECONDS } from './model';
import type { GpuModel } from './model';
import type { StatusItem } from './statusitem';

export function applySettings(
  { pollInterval, showStatusItem }: Settings,
  model: GpuModel,
  item: StatusItem | null
): void {
  model.intervalSeconds =
    typeof pollInterval === 'number' ? pollInterval : DEFAULT_INTERVAL_SECONDS;
  item?.setActive(showStatusItem !== false);
}
