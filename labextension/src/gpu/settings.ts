import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import { DEFAULT_INTERVAL_SECONDS } from './model';
import type { GpuModel } from './model';
import type { StatusItem } from './statusitem';

interface IFollowers {
  readonly model: GpuModel;
  readonly item: StatusItem | null;
}

/** Apply the settings now and whenever they change. */
export async function followSettings(
  registry: ISettingRegistry,
  plugin: string,
  followers: IFollowers
): Promise<void> {
  const apply = (settings: ISettingRegistry.ISettings) => {
    const { pollInterval, showStatusItem } = settings.composite;
    followers.model.intervalSeconds =
      typeof pollInterval === 'number'
        ? pollInterval
        : DEFAULT_INTERVAL_SECONDS;
    followers.item?.setActive(showStatusItem !== false);
  };
  try {
    const settings = await registry.load(plugin);
    apply(settings);
    settings.changed.connect(apply);
  } catch (error) {
    console.warn(`Default settings are used for ${plugin}.`, error);
  }
}
