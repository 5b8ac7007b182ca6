import type * as React from 'react';

import { Words } from './words';

interface INoticeProps {
  readonly tone: 'info' | 'warning' | 'error';
  readonly message: string;
  readonly hint?: string;
  /** Buttons: the next click. */
  readonly children?: React.ReactNode;
}

/** A card that says what is wrong or missing, and what to do next. */
export function Notice(props: INoticeProps): React.JSX.Element {
  return (
    <div className="jp-gpuext-Notice" data-tone={props.tone} role="status">
      <p className="jp-gpuext-Notice-message">
        <Words text={props.message} />
      </p>
      {props.hint ? (
        <p className="jp-gpuext-Notice-hint">
          <Words text={props.hint} />
        </p>
      ) : null}
      {props.children ? (
        <div className="jp-gpuext-Buttons">{props.children}</div>
      ) : null}
    </div>
  );
}

interface IButtonProps {
  readonly label: string;
  readonly onClick: () => void;
  readonly primary?: boolean;
  readonly disabled?: boolean;
  readonly title?: string;
}

export function Button(props: IButtonProps): React.JSX.Element {
  return (
    <button
      type="button"
      className="jp-gpuext-Button"
      data-primary={props.primary ?? false}
      disabled={props.disabled}
      title={props.title}
      onClick={props.onClick}
    >
      {props.label}
    </button>
  );
}
