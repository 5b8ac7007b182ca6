import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

interface IBoxProps {
  readonly trans: TranslationBundle;
  /** The connection that waits for a new link; null: none does. */
  readonly renewing: string | null;
  /** While a path is typed. */
  readonly onTyped: (text: string) => void;
  /** Enter: whether the text was of use, so that it may go. */
  readonly onEntered: (text: string) => 'clear' | 'keep';
  /** Escape. */
  readonly onLeft: () => void;
}

const SETTLE_MILLISECONDS = 250;
const BOX_CLASS = 'jp-gpuext-Box-input';

/**
 * Takes a link to connect or a path to go to. What is typed may be a secret:
 * it is in no state, and gone from the page once it is entered.
 */
export function Box(props: IBoxProps): React.JSX.Element {
  const { trans, renewing } = props;
  const settling = React.useRef(0);
  const label =
    renewing === null
      ? trans.__('paste link, or go to name://path…')
      : trans.__('paste the new link for %1', renewing);
  const later = (text: string) => {
    window.clearTimeout(settling.current);
    settling.current = window.setTimeout(
      () => props.onTyped(text),
      SETTLE_MILLISECONDS
    );
  };
  const onKeyDown = (event: React.KeyboardEvent<HTMLInputElement>) => {
    const input = event.currentTarget;
    if (event.key !== 'Enter' && event.key !== 'Escape') {
      return;
    }
    event.preventDefault();
    window.clearTimeout(settling.current);
    const isLeft = event.key === 'Escape';
    if (isLeft || props.onEntered(input.value) === 'clear') {
      input.value = '';
    }
    if (isLeft) {
      props.onLeft();
    }
  };
  return (
    <div
      className="jp-gpuext-Box"
      role="search"
      data-renewing={renewing !== null}
    >
      <input
        className={BOX_CLASS}
        type="text"
        aria-label={label}
        placeholder={label}
        title={
          renewing === null
            ? trans.__('Press / in the tree to find by the first letters')
            : label
        }
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        onInput={event => later(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
    </div>
  );
}

/** Take the text out of a panel's box. */
export function clearBox(panel: HTMLElement): void {
  const input = panel.querySelector<HTMLInputElement>(`.${BOX_CLASS}`);
  if (input) {
    input.value = '';
  }
}

/** Put a text into a panel's box and the cursor behind it. */
export function fillBox(panel: HTMLElement, text: string): void {
  const input = panel.querySelector<HTMLInputElement>(`.${BOX_CLASS}`);
  if (input) {
    input.value = text;
    input.focus();
    input.setSelectionRange(text.length, text.length);
    input.scrollLeft = input.scrollWidth;
  }
}
