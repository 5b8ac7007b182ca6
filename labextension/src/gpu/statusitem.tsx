import type { IStatusBar } from '@jupyterlab/statusbar';
import { TextItem } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import type * as React from 'react';

import type { GpuModel } from './model';
import { statusText } from './statustext';
import { WatchingView } from './watching';

/** Device memory in the status bar; a click opens the panel. */
export class StatusItem extends WatchingView {
  constructor(
    model: GpuModel,
    private readonly _trans: TranslationBundle,
    private readonly _onOpen: () => void
  ) {
    super(model, 'status-bar', 'glance');
    this.addClass('jp-gpuext-StatusItem');
    this.addClass('jp-mod-highlighted');
  }

  readonly activeChanged = new Signal<this, void>(this);

  get isActive(): boolean {
    return this._active;
  }

  setActive(active: boolean): void {
    this._active = active;
    this.activeChanged.emit();
  }

  protected override render(): React.JSX.Element {
    const text = statusText(this.model, this._trans);
    return (
      <TextItem
        source={text}
        title={this._trans.__('Show the GPU panel')}
        role="button"
        tabIndex={0}
        aria-label={text}
        data-simulated={this.model.status?.simulated ?? false}
        onClick={this._onOpen}
        onKeyDown={event => {
          if (event.key === 'Enter' || event.key === ' ') {
            event.preventDefault();
            this._onOpen();
          }
        }}
      />
    );
  }

  private _active = true;
}

export function addStatusItem(
  bar: IStatusBar,
  model: GpuModel,
  onOpen: () => void,
  trans: TranslationBundle
): StatusItem {
  const item = new StatusItem(model, trans, onOpen);
  bar.registerStatusItem('jupyter-gpu-ext:gpu', {
    item,
    align: 'left',
    rank: 20,
    isActive: () => item.isActive,
    activeStateChanged: item.activeChanged
  });
  return item;
}
