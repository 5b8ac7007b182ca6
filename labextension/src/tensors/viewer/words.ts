// What the viewer says of an array, and asks. Pure.

import type { TranslationBundle } from '@jupyterlab/translation';

import { formatBytes, formatShape } from '../../format';
import { bytesOf } from './budget';
import type { DatasetEntity } from './contract';
import type { Question } from './reading';
import { codeOf } from './values';
import type { ArrayView } from './view';
import { isWhole, shownOf } from './window';

/** 'float32 · 2184 × 121 × 1440 · 1.5 GB · chunks 24 × 121 × 1440'. */
export function factsOf(
  entity: DatasetEntity,
  trans: TranslationBundle
): string {
  const { chunks, dtype, shape, shards, size_bytes } = entity;
  return [
    dtype,
    formatShape(shape),
    formatBytes(size_bytes),
    chunks ? trans.__('chunks %1', formatShape(chunks)) : '',
    shards ? trans.__('shards %1', formatShape(shards)) : ''
  ]
    .filter(part => part !== '')
    .join(' · ');
}

/** 'Every 4th entry of latitude…' in short; empty for all of the array. */
export function partOf(view: ArrayView, trans: TranslationBundle): string {
  const { entity, window } = view;
  if (isWhole(window, entity.shape)) {
    return '';
  }
  const shown = shownOf(window);
  const shape = shown.map(span => span.count);
  const bytes = bytesOf(shape, codeOf(entity.value_dtype ?? '')?.bytes ?? 8);
  const most = Math.max(1, ...shown.map(span => span.step));
  const what =
    most > 1
      ? trans.__('overview, 1 in %1', shown.map(span => span.step).join(' × '))
      : trans.__('part');
  return `${what}: ${formatShape(shape)} · ${formatBytes(bytes)}`;
}

export interface Asking {
  readonly message: string;
  readonly hint: string;
  readonly overview: string;
  /** Empty: it cannot be read as it is. */
  readonly read: string;
}

export function wordsForQuestion(
  question: Question,
  trans: TranslationBundle
): Asking {
  const { isTooLong, isTooMuch, readBytes, sizeBytes, stride } = question;
  const size = formatBytes(sizeBytes);
  const by = stride.join(' × ');
  return {
    message: isTooLong
      ? trans.__('This is longer than 8192 entries a side.')
      : question.reason || trans.__('What you look at is %1.', size),
    hint: hintFor(question, trans),
    overview:
      readBytes === null
        ? trans.__(
            'Overview, 1 in %1 (%2)',
            by,
            formatBytes(question.strideBytes)
          )
        : trans.__(
            'Overview, 1 in %1 (%2, reads %3)',
            by,
            formatBytes(question.strideBytes),
            formatBytes(readBytes)
          ),
    read: isTooMuch ? '' : trans.__('Read %1', size)
  };
}

function hintFor(question: Question, trans: TranslationBundle): string {
  if (question.isTooMuch) {
    return trans.__(
      'The viewer reads 537 MB at once at most. Look at an overview, or type a smaller selection.'
    );
  }
  return question.isTooLong
    ? trans.__(
        'A heat map cannot be drawn of it; a matrix and lines can. An overview leaves entries out.'
      )
    : trans.__(
        'Nothing was read so far. An overview leaves entries out; of chunks, all is read.'
      );
}
