// What reading costs, as every plan of a load is worded. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import type { Plan } from '../api';
import { formatBytes } from '../format';

/** Below this nobody minds what is read beside what is used. */
const TOLD_RATIO = 1.15;

/** 'reads ≈ 6.3 GB in 24 requests' */
export function readWords(plan: Plan, trans: TranslationBundle): string {
  const about = isEstimate(plan) ? '≈ ' : '';
  const read = about + formatBytes(plan.bytes_read);
  const requests = about + plan.requests.toLocaleString();
  return plan.requests === 1 && about === ''
    ? trans.__('reads %1 in one request', read)
    : trans.__('reads %1 in %2 requests', read, requests);
}

/** 'reads 4.1x what you use'; '' where it hardly reads more. */
export function ratioWords(plan: Plan, trans: TranslationBundle): string {
  const ratio = ratioText(plan);
  return ratio === '' ? '' : trans.__('reads %1x what you use', ratio);
}

/** '4.1'; '' where it hardly reads more than is used. */
export function ratioText(plan: Plan): string {
  const ratio = ratioOf(plan);
  if (ratio < TOLD_RATIO) {
    return '';
  }
  return ratio < 100 ? ratio.toFixed(1) : Math.round(ratio).toLocaleString();
}

/** '3 chunks missing · 0.012 USD': what else is known, and worth a word. */
export function asideWords(plan: Plan, trans: TranslationBundle): string {
  const { missing_count, price } = plan;
  const missing = missing_count
    ? trans.__('%1 chunks missing', missing_count.toLocaleString())
    : '';
  const amount = price?.amount.toLocaleString(undefined, {
    maximumSignificantDigits: 2
  });
  return [missing, price ? `${amount} ${price.currency}` : '']
    .filter(part => part !== '')
    .join(' · ');
}

/** Values read for each that is used; of an older server that of the bytes. */
function ratioOf({ read_ratio, bytes_read, bytes_used }: Plan): number {
  return read_ratio ?? (bytes_used > 0 ? bytes_read / bytes_used : 0);
}

function isEstimate(plan: Plan): boolean {
  const { exact, sampled_count, object_count = 0 } = plan;
  return exact === undefined
    ? sampled_count !== undefined && sampled_count < object_count
    : !exact;
}
