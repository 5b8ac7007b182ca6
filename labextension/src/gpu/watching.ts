import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';

import type { GpuModel, Pace } from './model';

/** A view that has the model ask the server only while somebody can see it. */
export abstract class WatchingView extends VDomRenderer<GpuModel> {
  constructor(
    model: GpuModel,
    private readonly _view: string,
    private readonly _pace: Pace = 'look'
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

  /** Called when the view came into sight, or went. */
  protected onVisibility(): void {
    // Most views need no more than the model.
  }

  protected override onUpdateRequest(msg: Message): void {
    if (this.isVisible) {
      super.onUpdateRequest(msg);
    }
  }

  private _watch(): void {
    this.model.watch(this._view, this.isVisible, this._pace);
    this.onVisibility();
    this.update();
  }
}
