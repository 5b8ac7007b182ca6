import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Box } from './box';
import { Chips } from './chips';
import { Connect } from './connect';
import type { Connecting } from './connecting';
import type { Memory } from './memory';
import type { StorageModel } from './model';
import { togglePin } from './paths';
import type { Path, Target } from './target';
import { folderOf, targetOf } from './target';

interface IEntranceProps {
  readonly model: StorageModel;
  readonly connecting: Connecting;
  readonly memory: Memory;
  readonly trans: TranslationBundle;
  /** Go to a path that a person typed or picked. */
  readonly onGo: (path: Path) => void;
  /** A connection is new, or has a new link: show it. */
  readonly onConnected: (path: Path) => void;
  /** Escape: back to the tree. */
  readonly onLeft: () => void;
}

/** Where links and paths come in: the box, what comes of it, the way back. */
export function Entrance(props: IEntranceProps): React.JSX.Element {
  const { connecting, memory, trans, onGo, onConnected } = props;
  const { renewing } = connecting;
  return (
    <>
      <Box
        trans={trans}
        renewing={renewing}
        onTyped={text => renewing ?? narrow(props, text)}
        onEntered={text => enter(props, text)}
        onLeft={() => {
          if (renewing !== null) {
            connecting.cancel();
          }
          props.onLeft();
        }}
      />
      <Connect
        connecting={connecting}
        trans={trans}
        onConnected={({ name, one_object }) =>
          onConnected({ connection: name, key: one_object ?? '' })
        }
      />
      <Chips
        paths={memory.paths}
        trans={trans}
        onGo={onGo}
        onUnpin={path => memory.update(paths => togglePin(paths, path))}
      />
    </>
  );
}

/** Typing behind an open folder narrows it; all else waits for Enter. */
function narrow({ model }: IEntranceProps, text: string): void {
  const target = meaningOf(model, text);
  if (target?.kind === 'path') {
    const { connection, key } = target;
    const prefix = folderOf(key);
    const place = { connection, prefix };
    if (model.isOpen(place)) {
      void model.search(place, key.slice(prefix.length));
    }
  }
}

function enter(props: IEntranceProps, text: string): 'clear' | 'keep' {
  const { model, connecting } = props;
  if (connecting.renewing !== null) {
    return renew(props, text.trim());
  }
  const target = meaningOf(model, text);
  if (target?.kind === 'link') {
    void connecting.test(target.link);
  } else if (target?.kind === 'path') {
    props.onGo(target);
  }
  return target ? 'clear' : 'keep';
}

function renew(props: IEntranceProps, link: string): 'clear' | 'keep' {
  if (link === '') {
    return 'keep';
  }
  void props.connecting.replace(link).then(made => {
    if (made) {
      props.onConnected({ connection: made.name, key: '' });
    }
  });
  return 'clear';
}

function meaningOf(model: StorageModel, text: string): Target | null {
  const names = model.connections.map(({ name }) => name);
  return targetOf(text, names);
}
