import { closeIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { printable } from '../format';
import { nameUrl } from './insert';
import type { Paths } from './paths';
import type { Path } from './target';
import { nameOf } from './target';

interface IChipsProps {
  readonly paths: Paths;
  readonly trans: TranslationBundle;
  readonly onGo: (path: Path) => void;
  readonly onUnpin: (path: Path) => void;
}

/** Where a person goes often (★) and was lately (⟲), a click away. */
export function Chips(props: IChipsProps): React.JSX.Element | null {
  const { paths, trans, onGo, onUnpin } = props;
  if (paths.pinned.length + paths.recent.length === 0) {
    return null;
  }
  return (
    <ul className="jp-gpuext-Chips" aria-label={trans.__('Pinned and recent')}>
      {paths.pinned.map(path => (
        <li key={urlOf(path)}>
          <Go mark="★" kind={trans.__('pinned')} path={path} onGo={onGo} />
          <button
            type="button"
            className="jp-gpuext-Chip-close"
            aria-label={trans.__('Unpin %1', urlOf(path))}
            title={trans.__('Unpin')}
            onClick={() => onUnpin(path)}
          >
            <closeIcon.react tag="span" width="10px" height="10px" />
          </button>
        </li>
      ))}
      {paths.recent.map(path => (
        <li key={urlOf(path)}>
          <Go mark="⟲" kind={trans.__('recent')} path={path} onGo={onGo} />
        </li>
      ))}
    </ul>
  );
}

function Go(props: {
  readonly mark: string;
  readonly kind: string;
  readonly path: Path;
  readonly onGo: (path: Path) => void;
}): React.JSX.Element {
  const { mark, kind, path } = props;
  const { connection, key } = path;
  const end = `${nameOf(key)}${key.endsWith('/') ? '/' : ''}`;
  const middle = key.slice(0, key.length - end.length) === '' ? '' : '…/';
  return (
    <button
      type="button"
      className="jp-gpuext-Chip"
      data-url={urlOf(path)}
      title={`${urlOf(path)} (${kind})`}
      onClick={() => props.onGo(path)}
    >
      <span aria-hidden={true}>{mark}</span>
      <span className="jp-gpuext-Chip-name">
        {printable(`${connection}://${middle}${end}`)}
      </span>
    </button>
  );
}

function urlOf({ connection, key }: Path): string {
  return printable(nameUrl(connection, key));
}
