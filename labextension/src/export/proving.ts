// What a proof is asked with, and how it is said. Knows no JupyterLab.

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatDuration, printable } from '../format';
import type { ExportedJob, JobProof, Parameter } from './contract';
import type { Form } from './form';

/** A parameter that says how long a training is. */
const LENGTH =
  /^(?:max_|num_|n_|total_|train_)*(steps|epochs|iterations|iters)$/i;
/** Where a pair ends: what follows is the name of the next. */
const BETWEEN = /[\s,]+(?=[A-Za-z_]\w*\s*=)/;
const PAIR = /^([A-Za-z_]\w*)\s*=\s*(.*)$/s;
const SHORT_STEPS = 5;

/** What shortens the runs of a proof: 'steps=5', 'epochs=1'; '' where no parameter is known to. */
export function suggestedWith(job: ExportedJob, form: Form): string {
  for (const one of job.parameters) {
    const found = LENGTH.exec(one.name);
    const length = isWhole(one)
      ? wholeOf(form.values[one.name] ?? one.default)
      : 0;
    if (found && length > 0) {
      const short = /epochs/i.test(one.name) ? 1 : SHORT_STEPS;
      return `${one.name}=${Math.min(short, length)}`;
    }
  }
  return '';
}

/** What the field for it holds: what was typed, else what is suggested. */
export function shownWith(job: ExportedJob, form: Form): string {
  return form.proveWith ?? suggestedWith(job, form);
}

export interface Given {
  readonly values: Readonly<Record<string, string>>;
  /** Why it cannot be asked; '' where it can. */
  readonly problem: string;
}

/** The parameters of a proof's runs: those of the job, and over them what was typed for the proof. */
export function proofValues(
  job: ExportedJob,
  form: Form,
  trans: TranslationBundle
): Given {
  const values: Record<string, string> = { ...form.values };
  const text = shownWith(job, form)
    .replace(/^[\s,]+/, '')
    .replace(/[\s,]+$/, '');
  for (const piece of text === '' ? [] : text.split(BETWEEN)) {
    const [, name = '', value = ''] = PAIR.exec(piece) ?? [];
    const problem = problemOf(job.parameters, piece, name, value, trans);
    if (problem !== '') {
      return { values: {}, problem };
    }
    values[name] = value;
  }
  return { values, problem: '' };
}

/** What a proof does now, or did last. */
export function phaseWords(proof: JobProof, trans: TranslationBundle): string {
  switch (proof.phase) {
    case 'starting':
      return trans.__('Starting the proof');
    case 'running the notebook':
      return trans.__('Running the notebook in a kernel of its own');
    case 'running the script':
      return trans.__('Running the script');
    case 'comparing':
      return trans.__('Comparing both');
  }
}

/** How a proof is, in a sentence. */
export function proofWords(proof: JobProof, trans: TranslationBundle): string {
  switch (proof.state) {
    case 'running':
      return phaseWords(proof, trans);
    case 'stopped':
      return trans.__('The proof was stopped');
    case 'failed':
      return printable(proof.message);
    default:
      return printable(proof.title);
  }
}

/** How long it has taken: '12 s'. */
export function proofTime(proof: JobProof, now: number): string {
  const { started_at: start, ended_at: end } = proof;
  return formatDuration(Math.max(0, (end ?? now) - start));
}

function problemOf(
  parameters: readonly Parameter[],
  piece: string,
  name: string,
  value: string,
  trans: TranslationBundle
): string {
  if (value.trim() === '') {
    return trans.__(
      '%1 gives no value. For example steps=5 lr=0.1',
      printable(piece.trim())
    );
  }
  const known = parameters.find(one => one.name === name);
  if (!known) {
    return parameters.length === 0
      ? trans.__(
          '%1 is no parameter: no cell is tagged `parameters`. Leave this empty.',
          printable(name)
        )
      : trans.__(
          '%1 is no parameter. There are: %2',
          printable(name),
          parameters.map(one => one.name).join(', ')
        );
  }
  return isWhole(known) && !/^[+-]?\d[\d_]*$/.test(value)
    ? trans.__('%1 takes a whole number', printable(name))
    : '';
}

function isWhole({ annotation, default: text }: Parameter): boolean {
  return (
    annotation === 'int' || (annotation === '' && /^-?\d[\d_]*$/.test(text))
  );
}

/** A whole number of Python; 0 for what is none. */
function wholeOf(text: string): number {
  const number = Number(text.replaceAll('_', ''));
  return Number.isSafeInteger(number) ? number : 0;
}
