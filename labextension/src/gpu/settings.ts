import type { Settings } from '../settings';
import type { Alerting } from './alerting';
import { DEFAULT_THRESHOLDS } from './alerts';
import type { Thresholds } from './alerts';
import { DEFAULT_INTERVAL_SECONDS } from './model';
import type { GpuModel } from './model';
import type { StatusItem } from './statusitem';

/** What the settings act on. */
export interface Parts {
  readonly model: GpuModel;
  readonly item: StatusItem | null;
  readonly alerting: Alerting;
}

/** A class on the page that hides the badges of all notebooks. */
const NO_BADGE = 'jp-gpuext-no-badge';

export function applySettings(settings: Settings, parts: Parts): void {
  const { model, item, alerting } = parts;
  model.intervalSeconds = numberIn(
    settings.pollInterval,
    DEFAULT_INTERVAL_SECONDS
  );
  item?.setActive(settings.showStatusItem !== false);
  document.body.classList.toggle(NO_BADGE, settings.showBadge === false);
  alerting.thresholds = settings.alerts === false ? null : thresholds(settings);
}

function thresholds(settings: Settings): Thresholds {
  const { hotCelsius, fullRatio, idleSeconds, idleBytes } = DEFAULT_THRESHOLDS;
  const of = numberIn;
  return {
    hotCelsius: of(settings.alertCelsius, hotCelsius),
    fullRatio: of(settings.alertMemoryPercent, 100 * fullRatio) / 100,
    idleSeconds: 3600 * of(settings.alertIdleHours, idleSeconds / 3600),
    idleBytes: 1e9 * of(settings.alertIdleGigabytes, idleBytes / 1e9)
  };
}

function numberIn(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}
