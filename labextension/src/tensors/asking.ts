import type { ApiError } from '../request';
import { asApiError } from '../request';

/** How long a person pauses before the question is the one meant. */
const PAUSE_MILLISECONDS = 250;

/**
 * A question that is asked again as it changes: once a person pauses, and the
 * one before is given up. The last answer stays until the next one is there.
 */
export class Asking<Question, Answer> {
  constructor(
    private readonly _ask: (
      question: Question,
      signal: AbortSignal
    ) => Promise<Answer>,
    private readonly _changed: () => void,
    private readonly _pause = PAUSE_MILLISECONDS
  ) {}

  /** The last answer; null where there is none. */
  get answer(): Answer | null {
    return this._answer;
  }

  /** Why the last question has no answer. */
  get problem(): ApiError | null {
    return this._problem;
  }

  /** Whether a newer answer is on its way. */
  get isAsking(): boolean {
    return this._isAsking;
  }

  ask(question: Question): void {
    this._stop();
    this._isAsking = true;
    this._asked = JSON.stringify(question);
    const { signal } = (this._control = new AbortController());
    this._timer = setTimeout(
      () => void this._answerTo(question, signal),
      this._pause
    );
    this._changed();
  }

  /** As `ask`, but the same question once; null takes back what has no answer. */
  follow(question: Question | null): void {
    if (question === null) {
      if (this._isAsking) {
        this.cancel();
      }
    } else if (JSON.stringify(question) !== this._asked) {
      this.ask(question);
    }
  }

  /** Take the question back; what is known is kept. */
  cancel(): void {
    this._stop();
    this._changed();
  }

  /** Take the question back and forget the answer. */
  clear(): void {
    this._stop();
    this._answer = null;
    this._problem = null;
    this._changed();
  }

  /** As `clear`, for who is not there any more. */
  dispose(): void {
    this._stop();
  }

  private _stop(): void {
    clearTimeout(this._timer);
    this._control?.abort();
    this._isAsking = false;
    this._asked = '';
  }

  private async _answerTo(
    question: Question,
    signal: AbortSignal
  ): Promise<void> {
    let [answer, problem]: [Answer | null, ApiError | null] = [null, null];
    try {
      answer = await this._ask(question, signal);
    } catch (error) {
      problem = asApiError(error);
    }
    if (!signal.aborted) {
      this._answer = answer;
      this._problem = problem;
      this._isAsking = false;
      this._changed();
    }
  }

  private _answer: Answer | null = null;
  private _problem: ApiError | null = null;
  private _isAsking = false;
  /** The question that is or was answered; '' once it is taken back. */
  private _asked = '';
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _control: AbortController | null = null;
}
