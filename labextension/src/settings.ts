import type { ISettingRegistry } from '@jupyterlab/settingregistry';

export type Settings = ISettingRegistry.ISettings['composite'];

/** Apply a plugin's settings now and whenever they change. */
export async function followSettings(
  registry: ISettingRegistry | null,
  plugin: string,
  apply: (settings: Settings) => void
): Promise<void> {
  try {
    const settings = await registry?.load(plugin);
    if (settings) {
      apply(settings.composite);
      settings.changed.connect(({ composite }) => apply(composite));
    }
  } catch (error) {
    console.warn(`Default settings are used for ${plugin}.`, error);
  }
}
