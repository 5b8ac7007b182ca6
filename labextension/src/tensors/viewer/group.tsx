import { folderIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button } from '../../components/notice';
import { formatShape, printable } from '../../format';
import { tensorIcon } from '../../icons';
import type { EntityChild, GroupEntity } from './contract';
import type { ViewerModel } from './model';

interface IGroupProps {
  readonly model: ViewerModel;
  readonly entity: GroupEntity;
  readonly trans: TranslationBundle;
}

/** What is in a group, to choose from. */
export function GroupList(props: IGroupProps): React.JSX.Element {
  const { model, entity, trans } = props;
  const rest = entity.child_count - entity.children.length;
  return (
    <div className="jp-gpuext-Viewer-group">
      {entity.children.length === 0 ? (
        <p className="jp-gpuext-Quiet">{trans.__('Nothing is in here.')}</p>
      ) : null}
      <ul aria-label={trans.__('Arrays and groups')}>
        {entity.children.map(child => (
          <li key={child.path}>
            <Child child={child} onOpen={() => void model.goDown(child.path)} />
          </li>
        ))}
      </ul>
      {rest > 0 ? (
        <Button
          label={trans.__('Load more (%1 not shown)', rest)}
          onClick={() => void model.more()}
        />
      ) : null}
    </div>
  );
}

function Child(props: {
  child: EntityChild;
  onOpen: () => void;
}): React.JSX.Element {
  const { child, onOpen } = props;
  const Icon = child.kind === 'group' ? folderIcon : tensorIcon;
  return (
    <button type="button" className="jp-gpuext-Viewer-child" onClick={onOpen}>
      <Icon.react tag="span" className="jp-gpuext-Icon" />
      <span className="jp-gpuext-Viewer-childName">
        {printable(child.name)}
      </span>
      <span className="jp-gpuext-Quiet">
        {child.shape ? `${child.dtype} ${formatShape(child.shape)}` : ''}
      </span>
    </button>
  );
}
