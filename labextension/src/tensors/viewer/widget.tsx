import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type * as React from 'react';

import { printable } from '../../format';
import { tensorIcon } from '../../icons';
import { insertIntoCurrent } from '../../notebook';
import { nameUrl } from '../../storage/insert';
import { nameOf } from '../../storage/target';
import type { Seen } from './code';
import { loadCode, xarrayCode } from './code';
import type { Entity, ViewTarget } from './contract';
import { viewerId } from './contract';
import { ViewerModel } from './model';
import type { Pane as PaneComponent } from './pane';
import { ViewerApi } from './requests';
import { ViewerView } from './viewer';
import { shownOf } from './window';

export interface IViewerOptions {
  readonly app: JupyterFrontEnd;
  readonly tracker: INotebookTracker | null;
  readonly target: ViewTarget;
  readonly trans: TranslationBundle;
}

/** Shows one file or store; the drawing library is loaded by the first of them. */
export class Viewer extends VDomRenderer<ViewerModel> {
  constructor(private readonly _options: IViewerOptions) {
    const { app, target } = _options;
    const { serverSettings } = app.serviceManager;
    super(
      new ViewerModel(new ViewerApi(serverSettings, target.connection), target)
    );
    this.addClass('jp-gpuext-Panel');
    this.addClass('jp-gpuext-Viewer');
    this.node.tabIndex = -1;
    void this.model.start();
    void this._load();
  }

  override dispose(): void {
    const { model } = this;
    super.dispose();
    model.dispose();
  }

  /** Where one is, for the next session. */
  get place(): ViewTarget {
    const { target, trail } = this.model;
    return { ...target, path: trail.at(-1)?.path ?? target.path };
  }

  /** Show another part of the same file or store. */
  goTo({ path, select }: ViewTarget): void {
    if (path !== '' && path !== '/' && path !== this.place.path) {
      void this.model.start(path, select);
    } else if (select !== '' && select !== this.model.select) {
      void this.model.choose(select);
    }
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  protected override render(): React.JSX.Element {
    return (
      <ViewerView
        model={this.model}
        Pane={this._pane}
        problem={this._problem}
        onRetry={() => void this._load()}
        onInsertLoad={() => this._insert(loadCode)}
        onInsertXarray={() => this._insert(xarrayCode)}
        trans={this._options.trans}
      />
    );
  }

  private async _load(): Promise<void> {
    try {
      this._problem = '';
      this._pane = (await import('./pane')).Pane;
    } catch (error) {
      this._problem = String(error);
    }
    this.update();
  }

  private _insert(
    compose: (seen: Seen, above: readonly string[]) => string | null
  ): void {
    const { app, tracker, trans } = this._options;
    const { flips, slice, stage, target, trail } = this.model;
    if (stage.kind !== 'array') {
      return;
    }
    const { view } = stage;
    const seen: Seen = {
      ...{ connection: target.connection, key: target.key, view, flips },
      slice: slice ?? shownOf(view.window).map(() => null),
      isAlone: isAlone(trail, target)
    };
    insertIntoCurrent(app, tracker, above => compose(seen, above) ?? '', trans);
  }

  private _pane: typeof PaneComponent | null = null;
  private _problem = '';
}

/** Whether the array is the file or the store itself: its only child, by no name of its own. */
function isAlone(
  [root, ...below]: readonly Entity[],
  { key }: ViewTarget
): boolean {
  return (
    root?.kind === 'group' &&
    root.child_count === 1 &&
    (below[0]?.name === root.name || key.endsWith('.npy'))
  );
}

export function viewerWidget(options: IViewerOptions): MainAreaWidget<Viewer> {
  const { target } = options;
  const content = new Viewer(options);
  const widget = new MainAreaWidget({ content });
  widget.id = viewerId(target);
  widget.title.label = printable(nameOf(target.key) || target.connection);
  widget.title.caption = printable(nameUrl(target.connection, target.key));
  widget.title.icon = tensorIcon;
  widget.title.closable = true;
  widget.toolbar.hide();
  return widget;
}
