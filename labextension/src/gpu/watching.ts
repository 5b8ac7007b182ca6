import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';

import type { GpuModel } from './model';

/** A view that has the model ask the server only while somebody can see it. */
export abstract class WatchingView extends VDomRenderer<GpuModel> {
  constructor(
    model: GpuModel,
    private readonly _view: string
  ) {
    super(model);
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._watch();
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._watch();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._watch();
  }

  protected override onBeforeDetach(msg: Message): void {
    super.onBeforeDetach(msg);
    this.model.watch(this._view, false);
  }

  protected override onUpdateRequest(msg: Message): void {
    if (this.isVisible) {
      super.onUpdateRequest(msg);
    }
  }

  private _watch(): void {
    this.model.watch(this._view, this.isVisible);
    this.update();
  }
}
