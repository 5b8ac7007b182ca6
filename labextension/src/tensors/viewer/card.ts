// What `%blob view` leaves below its cell: a line with a button.

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { printable } from '../../format';
import { nameUrl } from '../../storage/insert';
import type { ViewTarget } from './contract';
import { targetOf } from './contract';

export const VIEW_MIME_TYPE = 'application/vnd.jupyter-gpu-ext.view+json';

interface ICardOptions {
  readonly open: (target: ViewTarget) => void;
  /** Whether the cell that shows a node runs: what is seen is new. */
  readonly isNew: (node: Node) => boolean;
  readonly trans: TranslationBundle;
}

/** Opens the viewer once by itself, when its cell was run; later by a click. */
export class ViewCard extends Widget implements IRenderMime.IRenderer {
  constructor(private readonly _options: ICardOptions) {
    super();
    this.addClass('jp-gpuext-ViewCard');
    this._button.type = 'button';
    this._button.className = 'jp-gpuext-Button';
    this._button.textContent = _options.trans.__('Open viewer');
    this._button.addEventListener('click', () => this._open());
    this.node.append(this._name, this._button);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._target = targetOf(model.data[VIEW_MIME_TYPE]);
    this._button.disabled = this._target === null;
    this._name.textContent =
      this._target === null
        ? this._options.trans.__('This output does not say what to view.')
        : nameOf(this._target);
    this._openOnce();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._openOnce();
  }

  private _openOnce(): void {
    if (this._target && this.isAttached && !this._asked) {
      this._asked = true;
      if (this._options.isNew(this.node)) {
        this._open();
      }
    }
  }

  private _open(): void {
    if (this._target) {
      this._options.open(this._target);
    }
  }

  private readonly _name = document.createElement('code');
  private readonly _button = document.createElement('button');
  private _target: ViewTarget | null = null;
  private _asked = false;
}

/** 'era5://t2m.zarr › /t2m [0:10, :]'. */
function nameOf({ connection, key, path, select }: ViewTarget): string {
  const within = path === '' || path === '/' ? '' : ` › ${path.slice(1)}`;
  const part = select === '' ? '' : ` [${select}]`;
  return printable(nameUrl(connection, key) + within + part);
}
