import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { badgeText } from './badgetext';
import type { GpuModel } from './model';
import { WatchingView } from './watching';

interface IBadgeOptions {
  readonly model: GpuModel;
  readonly notebook: NotebookPanel;
  readonly onOpen: () => void;
  readonly trans: TranslationBundle;
}

/** The name of the item in schema/gpu.json. */
export const BADGE_NAME = 'gpu-memory';

/** The device memory of a notebook's kernel in its toolbar; takes no room while there is none. */
export class Badge extends WatchingView {
  constructor(private readonly _options: IBadgeOptions) {
    super(_options.model, `badge ${_options.notebook.id}`, 'glance');
    this.addClass('jp-gpuext-Badge');
    _options.notebook.sessionContext.kernelChanged.connect(this.update, this);
  }

  protected override render(): React.JSX.Element {
    const { model, notebook, trans, onOpen } = this._options;
    const kernelId = notebook.sessionContext.session?.kernel?.id ?? null;
    const kernels = model.problem ? [] : (model.status?.kernels ?? []);
    const text = badgeText(kernels, kernelId, trans);
    this.toggleClass('jp-mod-empty', text === '');
    return (
      <button
        type="button"
        title={trans.__('Device memory of this notebook; show the GPU panel')}
        aria-label={trans.__('Device memory of this notebook: %1', text)}
        onClick={onOpen}
      >
        {text}
      </button>
    );
  }
}
