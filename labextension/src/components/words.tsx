import type * as React from 'react';

import type { TranslationBundle } from '@jupyterlab/translation';

import type { ApiError } from '../request';
import { VERSION } from '../version';
import { LOAD_EXT_LINE } from '../storage/insert';

export interface Said {
  readonly message: string;
  readonly hint: string;
}

/** Whether the frontend runs beside a server that has no routes of ours. */
export function isServerMissing(problem: ApiError | null): boolean {
  return problem?.status === 404 && problem.code === '';
}

/** A failure in a person's words; what the server said has precedence. */
export function wordsFor(problem: ApiError, trans: TranslationBundle): Said {
  if (isServerMissing(problem)) {
    return {
      message: trans.__(
        'The panels have no server part yet (frontend %1, server answers 404).',
        VERSION
      ),
      hint: trans.__(
        'Restart the server (File › Hub Control Panel › Stop, Start). Magics work already: `%1`.',
        LOAD_EXT_LINE
      )
    };
  }
  if (problem.status === 0) {
    return {
      message: trans.__('The Jupyter server does not answer.'),
      hint: trans.__('Check that it runs and that you are online.')
    };
  }
  if (problem.status === 401 || problem.status === 403) {
    return {
      message:
        problem.message || trans.__('The server does not let you ask this.'),
      hint: problem.hint || trans.__('Sign in again, or ask the administrator.')
    };
  }
  return {
    message:
      problem.message ||
      trans.__('The server answered %1 without a reason.', problem.status),
    hint: problem.hint || trans.__('Try again; the server log may say more.')
  };
}

/** Text in which `backticks` mark code. */
export function Words({ text }: { text: string }): React.JSX.Element {
  return (
    <>
      {text
        .split('`')
        .map((part, index) =>
          index % 2 === 1 ? <code key={index}>{part}</code> : part
        )}
    </>
  );
}
