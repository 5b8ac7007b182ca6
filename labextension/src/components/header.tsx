import { refreshIcon } from '@jupyterlab/ui-components';
import type * as React from 'react';

interface IHeaderProps {
  readonly title: string;
  readonly refreshLabel: string;
  readonly busy?: boolean;
  readonly onRefresh: () => void;
  /** More buttons, before the refresh. */
  readonly children?: React.ReactNode;
}

/** A panel's title with its refresh button. */
export function Header(props: IHeaderProps): React.JSX.Element {
  return (
    <div className="jp-gpuext-Header">
      <h2>{props.title}</h2>
      {props.children}
      <button
        type="button"
        className="jp-gpuext-IconButton"
        data-busy={props.busy ?? false}
        aria-label={props.refreshLabel}
        title={props.refreshLabel}
        onClick={props.onRefresh}
      >
        <refreshIcon.react tag="span" width="16px" height="16px" />
      </button>
    </div>
  );
}
