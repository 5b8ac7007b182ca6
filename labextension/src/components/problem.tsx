import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { printable } from '../format';
import type { ApiError } from '../request';
import { Words, wordsFor } from './words';

/** A failure where its answer would stand: what, and what next. */
export function Problem(props: {
  readonly problem: ApiError;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const said = wordsFor(props.problem, props.trans);
  return (
    <p className="jp-gpuext-Problem" role="status">
      <b>
        <Words text={printable(said.message)} />
      </b>{' '}
      <Words text={printable(said.hint)} />
    </p>
  );
}
