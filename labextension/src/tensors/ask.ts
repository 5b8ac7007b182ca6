import { InputDialog } from '@jupyterlab/apputils';

import type { Path } from '../storage/target';
import { pathOfUrl } from '../storage/target';

/** Ask for a name-URL; null where none was typed. */
export async function askForPath(
  options: InputDialog.ITextOptions
): Promise<Path | null> {
  const { value } = await InputDialog.getText(options);
  return pathOfUrl(value ?? '');
}
