import type { LabIcon } from '@jupyterlab/ui-components';
import type * as React from 'react';

interface IIconButtonProps {
  readonly icon: LabIcon;
  readonly label: string;
  readonly pixels?: number;
  readonly onClick: () => void;
}

/** A button that is an icon, with its name for whoever asks. */
export function IconButton(props: IIconButtonProps): React.JSX.Element {
  const { label, pixels = 16 } = props;
  const size = `${pixels}px`;
  return (
    <button
      type="button"
      className="jp-gpuext-IconButton"
      aria-label={label}
      title={label}
      onClick={props.onClick}
    >
      <props.icon.react tag="span" width={size} height={size} />
    </button>
  );
}
