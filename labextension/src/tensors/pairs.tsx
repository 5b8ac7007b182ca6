import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { printable } from '../format';

/** What is longer is shown in part; a click shows all of it. */
const MOST_CHARACTERS = 160;

interface IPairsProps {
  readonly pairs: readonly (readonly [string, string])[];
  readonly trans: TranslationBundle;
}

/** Names and values, as text whatever they hold. */
export function Pairs({ pairs, trans }: IPairsProps): React.JSX.Element {
  return (
    <dl className="jp-gpuext-Pairs">
      {pairs.map(([name, value]) => (
        <div key={name}>
          <dt title={printable(name)}>{printable(name)}</dt>
          <dd>
            <Value text={value} trans={trans} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value(props: {
  readonly text: string;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { text, trans } = props;
  const [isOpen, setOpen] = React.useState(false);
  const start = beginningOf(text);
  if (start === text) {
    return <>{printable(text)}</>;
  }
  return (
    <>
      <span title={isOpen ? undefined : printable(text)}>
        {isOpen ? printable(text) : `${printable(start)}…`}
      </span>{' '}
      <button
        type="button"
        className="jp-gpuext-Pairs-more"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        {isOpen ? trans.__('less') : trans.__('more')}
      </button>
    </>
  );
}

/** The beginning of a text, no character in halves. */
export function beginningOf(text: string, most = MOST_CHARACTERS): string {
  return text.length <= most ? text : [...text].slice(0, most).join('');
}

/** An attribute's value on one line. */
export function attributeText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
