import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button } from '../../components/notice';
import { Words } from '../../components/words';
import { printable } from '../../format';
import type { Advice } from './contract';

interface IAdviceListProps {
  readonly advice: readonly Advice[];
  /** The array that is looked at. */
  readonly name: string;
  readonly onCopy: (text: string) => void;
  readonly trans: TranslationBundle;
}

/** What would make reading cheaper, and the code that makes it so. */
export function AdviceList(props: IAdviceListProps): React.JSX.Element | null {
  const { advice, onCopy, trans } = props;
  return advice.length === 0 ? null : (
    <ul className="jp-gpuext-Advice" aria-label={trans.__('Advice')}>
      {advice.map((one, index) => (
        <li key={`${one.kind} ${index}`} data-kind={one.kind}>
          <p>
            <Words text={printable(one.text)} />
          </p>
          <p className="jp-gpuext-Quiet">
            <Words text={printable(one.effect)} />
          </p>
          {one.snippet ? (
            <details className="jp-gpuext-Fold">
              <summary>{trans.__('How to')}</summary>
              <pre>{one.snippet}</pre>
              <Button
                label={trans.__('Copy')}
                onClick={() => onCopy(one.snippet)}
              />
            </details>
          ) : null}
        </li>
      ))}
    </ul>
  );
}
