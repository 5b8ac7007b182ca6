import type { IStateDB } from '@jupyterlab/statedb';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Paths } from './paths';
import { NO_PATHS, pathsFrom, withoutConnection } from './paths';

const STATE_ID = 'jupyter-gpu-ext:storage-paths';

/** The pinned and recent paths, kept with the workspace. */
export class Memory {
  constructor(private readonly _state: IStateDB | null) {}

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  get paths(): Paths {
    return this._paths;
  }

  async restore(): Promise<void> {
    this._paths = pathsFrom(await this._state?.fetch(STATE_ID));
    this._stateChanged.emit();
  }

  /** A connection is gone. */
  forget(name: string): void {
    this.update(paths => withoutConnection(paths, name));
  }

  update(change: (paths: Paths) => Paths): void {
    const { pinned, recent } = change(this._paths);
    this._paths = { pinned, recent };
    this._stateChanged.emit();
    const plain = (some: Paths['pinned']) =>
      some.map(({ connection, key }) => ({ connection, key }));
    void this._state?.save(STATE_ID, {
      pinned: plain(pinned),
      recent: plain(recent)
    });
  }

  private readonly _stateChanged = new Signal<this, void>(this);
  private _paths = NO_PATHS;
}
