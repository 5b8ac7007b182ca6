import type { Finding, Level } from '../../api';

const WORST_FIRST: readonly Level[] = ['error', 'warning', 'note', 'ok'];

/** The findings, the worst first; among equals as the server has them. */
export function worstFirst(findings: readonly Finding[]): Finding[] {
  const rank = ({ level }: Finding) => WORST_FIRST.indexOf(level);
  return [...findings].sort((one, other) => rank(one) - rank(other));
}

export const MARKS: Readonly<Record<Level, string>> = {
  ok: '✓',
  note: 'i',
  warning: '⚠',
  error: '✗'
};

/** A source as an address that a browser may open; null where it is none. */
export function linkOf(source: string): string | null {
  return /^https?:\/\//.test(source) && URL.canParse(source) ? source : null;
}

/** The code in a fix's `backticks`, which is what a person pastes; else all of it. */
export function copyOf(fix: string): string {
  const code = fix.split('`').filter((_, index) => index % 2 === 1);
  return code.length > 0 ? code.join('\n') : fix;
}
