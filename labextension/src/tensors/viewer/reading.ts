// Reads what is shown, and asks a person before it reads much.

import { ApiError } from '../../request';
import {
  BUDGET_BYTES,
  MOST_BYTES,
  bytesOf,
  isTooLong,
  overviewSteps,
  strideBytes
} from './budget';
import { tooLargeOf } from './contract';
import type { ViewerApi } from './requests';
import type { Values } from './values';
import { codeOf, flipped, numbersOf, pairsOf } from './values';
import type { ArrayView } from './view';
import type { Slice, ValueRequest } from './window';
import { requestOf } from './window';

/** A question to the person in front. */
export interface Question {
  readonly slice: Slice;
  readonly sizeBytes: number;
  /** Why the server refuses, where it is not the size. */
  readonly reason: string;
  /** Graphics hardware cannot draw so many entries a side. */
  readonly isTooLong: boolean;
  /** The server sends no more than this in one answer. */
  readonly isTooMuch: boolean;
  readonly stride: readonly number[];
  readonly strideBytes: number;
  /** What the overview reads, decoded; null: not known. */
  readonly readBytes: number | null;
}

export type Decision = 'read' | 'overview' | 'stop';

/** Thrown where a person chose not to read; nothing went wrong. */
export class NotRead extends Error {}

export type Ask = (
  question: Question,
  signal: AbortSignal
) => Promise<Decision>;

interface IReaderOptions {
  readonly api: Pick<ViewerApi, 'value'>;
  readonly key: string;
  readonly view: ArrayView;
  readonly version: string;
  readonly ask: Ask;
}

/** The values of one view; what was allowed once is not asked again. */
export class ViewReader {
  constructor(private readonly _options: IReaderOptions) {}

  async read(
    slice: Slice,
    flips: readonly boolean[],
    signal: AbortSignal,
    onProgress: (ratio: number) => void
  ): Promise<Values> {
    const request = requestOf(this._options.view.window, slice, flips);
    const size = bytesOf(request.shape, this._itemBytes);
    if (isTooLong(request.shape) && !this._mayBeLong) {
      await this._ask(this._longQuestion(slice, request, size), signal);
      this._mayBeLong = true;
    }
    const left = flips.filter((_, axis) => (slice[axis] ?? null) === null);
    try {
      return await this._fetch(request, left, signal, onProgress);
    } catch (error) {
      const question = questionOf(slice, error);
      if (!question) {
        throw error;
      }
      await this._ask(question, signal);
      // What is read for it counts, too: a size that fits says nothing of that.
      const isSmall = question.sizeBytes <= this._mostBytes;
      this._mostBytes = isSmall
        ? MOST_BYTES
        : Math.min(MOST_BYTES, question.sizeBytes);
      return this._fetch(request, left, signal, onProgress);
    }
  }

  private async _fetch(
    request: ValueRequest,
    flips: readonly boolean[],
    signal: AbortSignal,
    onProgress: (ratio: number) => void
  ): Promise<Values> {
    const { api, key, view, version } = this._options;
    const { path } = view.entity;
    const { select, stride } = request;
    const mostBytes = this._mostBytes;
    const answer = await api.value(
      { key, path, select, stride, mostBytes, version },
      signal,
      onProgress
    );
    const numbers = numbersOf(answer.buffer, answer.dtype);
    const isComplex = codeOf(answer.dtype)?.kind === 'c';
    const width = isComplex ? 2 : 1;
    const turned = flipped(numbers, request.shape, flips, width);
    return isComplex ? pairsOf(turned) : turned;
  }

  private async _ask(question: Question, signal: AbortSignal): Promise<void> {
    const decision = await this._options.ask(question, signal);
    if (decision !== 'read') {
      throw new NotRead('Not read.');
    }
  }

  private _longQuestion(
    slice: Slice,
    { shape }: ValueRequest,
    sizeBytes: number
  ): Question {
    const stride = overviewSteps(shape, this._itemBytes);
    return {
      ...{ slice, sizeBytes, stride },
      reason: '',
      isTooLong: true,
      isTooMuch: sizeBytes > MOST_BYTES,
      strideBytes: strideBytes(shape, stride, this._itemBytes),
      readBytes: null
    };
  }

  private get _itemBytes(): number {
    return codeOf(this._options.view.entity.value_dtype ?? '')?.bytes ?? 8;
  }

  private _mostBytes = BUDGET_BYTES;
  private _mayBeLong = false;
}

function questionOf(slice: Slice, error: unknown): Question | null {
  const isLarge = error instanceof ApiError && error.code === 'too_large';
  const proposal = isLarge ? tooLargeOf(error.details) : null;
  return (
    proposal && {
      ...proposal,
      slice,
      reason:
        isLarge && proposal.sizeBytes <= BUDGET_BYTES ? error.message : '',
      isTooLong: false,
      isTooMuch: proposal.sizeBytes > MOST_BYTES
    }
  );
}
