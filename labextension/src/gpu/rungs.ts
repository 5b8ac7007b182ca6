import type { TranslationBundle } from '@jupyterlab/translation';

import type { Released, Rung, RungName } from '../api';
import { formatBytes, printable } from '../format';

export function rungLabel(rung: RungName, trans: TranslationBundle): string {
  switch (rung) {
    case 'cache':
      return trans.__('cache');
    case 'traceback':
      return trans.__('traceback');
    case 'outputs':
      return trans.__('outputs');
    case 'restart':
      return trans.__('restart');
    case 'shutdown':
      return trans.__('shut down');
  }
}

/** What a rung would free: '+1.1 GB'. */
export function rungAmount({ bytes }: Rung, trans: TranslationBundle): string {
  if (bytes === null) {
    return trans.__('unknown');
  }
  return bytes === 0 ? trans.__('nothing') : `+${formatBytes(bytes)}`;
}

/** Whether the kernel does not outlive this rung. */
export function endsKernel(rung: RungName): boolean {
  return rung === 'restart' || rung === 'shutdown';
}

/** Whether a rung can be taken: the kernel's own need the extension in it. */
export function isOpen(rung: RungName, linked: boolean): boolean {
  return linked || endsKernel(rung);
}

/** The cheapest rung that frees something; never one that loses variables. */
export function firstChoice(
  rungs: readonly Rung[],
  linked: boolean
): RungName | null {
  const mild = rungs.filter(
    ({ rung }) => !endsKernel(rung) && isOpen(rung, linked)
  );
  return (mild.find(({ bytes }) => bytes !== 0) ?? mild[0])?.rung ?? null;
}

export interface Question {
  readonly title: string;
  readonly body: string;
  readonly act: string;
}

/** What is asked before a kernel ends; null where nothing is lost. */
export function questionFor(
  rung: RungName,
  name: string,
  trans: TranslationBundle
): Question | null {
  switch (rung) {
    case 'restart':
      return {
        title: trans.__('Restart the kernel of %1?', name),
        body: trans.__(
          'All its variables are lost, and a cell that runs now is stopped. The notebook and its outputs stay.'
        ),
        act: trans.__('Restart')
      };
    case 'shutdown':
      return {
        title: trans.__('Shut down the kernel of %1?', name),
        body: trans.__(
          'All its variables are lost, and a cell that runs now is stopped. The notebook and its outputs stay; running a cell needs a new kernel.'
        ),
        act: trans.__('Shut down')
      };
    default:
      return null;
  }
}

/** The outcome as a sentence. */
export function sentenceFor(
  { freed_bytes: freed, message }: Released,
  trans: TranslationBundle
): string {
  const said = printable(message);
  if (freed === null) {
    return said || trans.__('Done.');
  }
  const amount = trans.__('%1 freed', formatBytes(freed));
  return said === '' ? `${amount}.` : said;
}
