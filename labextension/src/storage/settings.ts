import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { StorageModel } from './model';
import { DEFAULT_PAGE_SIZE } from './model';

/** Apply the settings now and whenever they change. */
export async function followSettings(
  registry: ISettingRegistry,
  plugin: string,
  model: StorageModel
): Promise<void> {
  const apply = (settings: ISettingRegistry.ISettings) => {
    const { pageSize } = settings.composite;
    model.pageSize =
      typeof pageSize === 'number' ? pageSize : DEFAULT_PAGE_SIZE;
  };
  try {
    const settings = await registry.load(plugin);
    apply(settings);
    settings.changed.connect(apply);
  } catch (error) {
    console.warn(`Default settings are used for ${plugin}.`, error);
  }
}
