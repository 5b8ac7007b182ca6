import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Kernel } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { printable } from '../format';
import type { Progress } from './progressdata';
import { detailOf, progressOf, ratioOf, stateWord } from './progressdata';

export const PROGRESS_MIME_TYPE =
  'application/vnd.jupyter-gpu-ext.progress+json';

/** After this an idle kernel shows that a saved bar will not move any more. */
const STILL_RUNNING_CHECK_MILLISECONDS = 3000;

type FindKernel = (node: Node) => Kernel.IKernelConnection | null;

/** A thin bar with text and, while it runs, Cancel. Updated in place. */
export class ProgressWidget extends Widget implements IRenderMime.IRenderer {
  constructor(
    private readonly _findKernel: FindKernel,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-gpuext-Progress');
    this._bar.setAttribute('role', 'progressbar');
    this._bar.setAttribute('aria-valuemin', '0');
    this._bar.setAttribute('aria-valuemax', '100');
    this._bar.append(this._fill);
    this._said.setAttribute('role', 'status');
    this._cancel.type = 'button';
    this._cancel.addEventListener('click', () => void this._onCancel());
    const text = element('div', 'jp-gpuext-Progress-text');
    text.append(this._title, this._detail, this._cancel);
    this.node.append(text, this._bar, this._said);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._show(progressOf(model.data[PROGRESS_MIME_TYPE]));
  }

  override dispose(): void {
    window.clearTimeout(this._check);
    super.dispose();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._check = window.setTimeout(
      () => this._onCheck(),
      STILL_RUNNING_CHECK_MILLISECONDS
    );
  }

  protected override onBeforeDetach(msg: Message): void {
    window.clearTimeout(this._check);
    super.onBeforeDetach(msg);
  }

  private _show(progress: Progress): void {
    const percent = Math.round(100 * ratioOf(progress));
    const title = printable(progress.title);
    this.node.dataset.state = progress.state;
    this._title.textContent = title;
    this._title.title = title;
    this._detail.textContent = detailOf(progress, this._trans);
    this._bar.setAttribute('aria-label', title);
    this._bar.setAttribute('aria-valuenow', String(percent));
    this._bar.setAttribute('aria-valuetext', this._detail.textContent);
    this._fill.style.width = `${percent}%`;
    this._cancel.hidden = progress.state !== 'running';
    if (!this._cancelling) {
      this._offerCancel();
    }
    this._say(title, progress.state);
  }

  /** Only a change of state is spoken, not every step. */
  private _say(title: string, state: Progress['state']): void {
    if (this._spoken !== state) {
      this._spoken = state;
      this._said.textContent = `${title}: ${stateWord(state, this._trans)}`;
    }
  }

  private _offerCancel(): void {
    this._cancelling = false;
    this._cancel.disabled = false;
    this._cancel.textContent = this._trans.__('Cancel');
  }

  private async _onCancel(): Promise<void> {
    const kernel = this._findKernel(this.node);
    if (!kernel) {
      this._detail.textContent = this._trans.__(
        'This view knows no kernel: use Kernel › Interrupt in the notebook.'
      );
      return;
    }
    this._cancelling = true;
    this._cancel.disabled = true;
    this._cancel.textContent = this._trans.__('Cancelling…');
    try {
      await kernel.interrupt();
    } catch (error) {
      this._offerCancel();
      this._detail.textContent = this._trans.__(
        'The kernel did not take the interrupt: %1',
        String(error)
      );
    }
  }

  /** A bar saved half-way runs no more once its notebook is opened again. */
  private _onCheck(): void {
    if (this._spoken !== 'running') {
      return;
    }
    const status = this._findKernel(this.node)?.status;
    if (status === undefined || status === 'idle' || status === 'dead') {
      this.node.dataset.state = 'cancelled';
      this._cancel.hidden = true;
      this._detail.textContent = this._trans.__('stopped before the end');
    }
  }

  private readonly _title = element('span', 'jp-gpuext-Progress-title');
  private readonly _detail = element('span', 'jp-gpuext-Progress-detail');
  private readonly _cancel = element('button', 'jp-gpuext-Button');
  private readonly _bar = element('div', 'jp-gpuext-Progress-bar');
  private readonly _fill = element('div', 'jp-gpuext-Progress-fill');
  private readonly _said = element('span', 'jp-gpuext-Hidden');
  private _cancelling = false;
  private _spoken: Progress['state'] | null = null;
  private _check = 0;
}

function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  return node;
}
