// The drawing library with an array in it. This module is a chunk of its own.

import '../../../style/h5web.css';

import type { ValuesStoreParams } from '@h5web/app';
import { App, DataProvider, useDataContext } from '@h5web/app';
import * as React from 'react';

import { Kept } from './budget';
import type { Shown } from './model';
import { PATH_OF, Provider } from './provider';
import type { Slice } from './window';

/** A browser keeps this much of what was read. */
const KEPT_BYTES = 256 * 2 ** 20;

interface IPaneProps {
  readonly shown: Shown;
  readonly say: (error: unknown) => string;
  readonly onTrouble: () => void;
  readonly onSlice: (slice: Slice) => void;
}

/** Draws one array; give it the shown array's id as key. */
export function Pane(props: IPaneProps): React.JSX.Element {
  const { shown, say, onSlice, onTrouble } = props;
  const [used] = React.useState(() => new Uses());
  const [provider] = React.useState(
    () =>
      new Provider({
        ...{ view: shown.view, reader: shown.reader },
        ...{ say, onSlice, onTrouble },
        onUse: (params, bytes) => used.on(params, bytes)
      })
  );
  return (
    <DataProvider api={provider}>
      <Forget used={used} />
      <App
        key={shown.look}
        disableDarkMode
        initialPath={PATH_OF[shown.look]}
        sidebarOpen={false}
      />
    </DataProvider>
  );
}

/** Hands on what is used to whoever keeps count. */
class Uses {
  on: (params: ValuesStoreParams, bytes: number) => void = () => undefined;
}

/** Has the library forget what was read longest ago. */
function Forget({ used }: { used: Uses }): null {
  const { valuesStore } = useDataContext();
  React.useEffect(() => {
    const kept = new Kept<ValuesStoreParams>(
      KEPT_BYTES,
      (a, b) => a.dataset.path === b.dataset.path && a.selection === b.selection
    );
    used.on = (params, bytes) => {
      for (const gone of kept.use(params, bytes)) {
        valuesStore.evict(gone);
      }
    };
    return () => {
      used.on = () => undefined;
      valuesStore.abortAll('closed');
    };
  }, [used, valuesStore]);
  return null;
}
