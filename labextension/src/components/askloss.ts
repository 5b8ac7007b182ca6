import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

/** Ask before something is lost; Cancel has the focus. */
export async function askLoss(
  title: string,
  body: string,
  act: string,
  trans: TranslationBundle
): Promise<boolean> {
  const buttons = [
    Dialog.cancelButton({ label: trans.__('Cancel') }),
    Dialog.warnButton({ label: act })
  ];
  const asked = await showDialog({ title, body, buttons, defaultButton: 0 });
  return asked.button.accept;
}
