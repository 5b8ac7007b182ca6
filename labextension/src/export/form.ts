// What a person has filled in, and what is asked by it. Knows no JupyterLab.

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes, formatDuration } from '../format';
import type { ExportedJob, JobOptions, JobRun, Parameter } from './contract';

export type Place = 'kubernetes' | 'slurm' | 'here';
export type ImageChoice = 'notebook' | 'build' | 'named';

export interface Form {
  readonly place: Place;
  readonly image: ImageChoice;
  readonly imageName: string;
  readonly gpus: number;
  /** Parameters that are not to be the notebook's, as text. */
  readonly values: Readonly<Record<string, string>>;
  /** A connection's Kubernetes Secret, where it is not the usual one. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** '' is the usual one. */
  readonly folder: string;
  readonly overwrite: boolean;
  /** The name-URL that a run's output goes to as well; '' for none. */
  readonly log: string;
  /** Whether the folder is proven once it is written. */
  readonly prove: boolean;
  /** Parameters of the proof's runs as typed; null is what is suggested. */
  readonly proveWith: string | null;
}

export const EMPTY: Form = {
  place: 'kubernetes',
  image: 'notebook',
  imageName: '',
  gpus: 1,
  values: {},
  secrets: {},
  serviceAccount: '',
  folder: '',
  overwrite: false,
  log: '',
  prove: false,
  proveWith: null
};

export const MOST_GPUS = 64;

/** The form as the server's options; what is left as it was is not said. */
export function optionsOf(form: Form): JobOptions {
  const image = form.image === 'named' ? form.imageName.trim() : '';
  const account = form.serviceAccount.trim();
  return {
    code: form.image === 'build' ? 'image' : 'configmap',
    gpus: form.gpus,
    arguments: form.values,
    secrets: filled(form.secrets),
    ...(image === '' ? {} : { image }),
    ...(account === '' ? {} : { service_account: account })
  };
}

/** A value typed; the notebook's own text, or none, is no value of its own. */
export function withValue(form: Form, one: Parameter, text: string): Form {
  const isOwn = text === shownDefault(one) || text.trim() === '';
  const others = Object.entries(form.values).filter(
    ([name]) => name !== one.name
  );
  const values = isOwn ? others : [...others, [one.name, text]];
  return { ...form, values: Object.fromEntries(values) };
}

/** A default as a person types it: text without quotes. */
export function shownDefault({ default: text }: Parameter): string {
  const inner = /^'([^'\\]*)'$/.exec(text) ?? /^"([^"\\]*)"$/.exec(text);
  return inner?.[1] ?? text;
}

export function isFlag(one: Parameter): boolean {
  return (
    one.annotation === 'bool' ||
    (one.annotation === '' && /^(True|False)$/.test(one.default))
  );
}

/** The cell that a refusal names, counted from 1; null where it names none. */
export function cellOf(message: string): number | null {
  const found = /\bcell (\d+)\b/i.exec(message);
  return found ? Number(found[1]) : null;
}

/** 'peak seen 12.0 GB → more than 13.2 GB', or that nobody saw it. */
export function peakWords(job: ExportedJob, trans: TranslationBundle): string {
  const { peak_bytes: peak, gpu_memory_bytes: needed } = job;
  if (peak === null) {
    return trans.__('no device memory seen: any GPU');
  }
  const seen = trans.__('peak seen %1', formatBytes(peak));
  return needed === null ? seen : `${seen} → ≥${formatBytes(needed)}`;
}

export function accessWords(
  one: { readonly reads: boolean; readonly writes: boolean },
  trans: TranslationBundle
): string {
  return one.reads && one.writes
    ? trans.__('read, write')
    : one.writes
      ? trans.__('write')
      : trans.__('read');
}

/** A run's state in a sentence. */
export function runWords(
  run: JobRun,
  now: number,
  trans: TranslationBundle
): string {
  const { state, started_at: start, ended_at: end, exit_code: code } = run;
  const seconds = start === null ? 0 : Math.max(0, (end ?? now) - start);
  const time = formatDuration(seconds);
  switch (state) {
    case 'running':
      return trans.__('Running in the background, %1', time);
    case 'lost':
      return trans.__('It was killed; nobody saw how it ended');
    case 'ended':
      return code === 0
        ? trans.__('Done after %1', time)
        : code === 143
          ? trans.__('Stopped after %1', time)
          : trans.__('Failed with code %1 after %2', code ?? '?', time);
  }
}

function filled(
  texts: Readonly<Record<string, string>>
): Record<string, string> {
  const pairs = Object.entries(texts).map(([name, text]) => [
    name,
    text.trim()
  ]);
  return Object.fromEntries(pairs.filter(([, text]) => text !== '')) as Record<
    string,
    string
  >;
}
