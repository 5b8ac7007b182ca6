import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IThemeManager } from '@jupyterlab/apputils';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type * as React from 'react';

import { Api } from '../../api';
import { printable } from '../../format';
import { tensorIcon } from '../../icons';
import { insertIntoCurrent } from '../../notebook';
import { nameUrl } from '../../storage/insert';
import { nameOf } from '../../storage/target';
import { About, subjectOf } from './about';
import type { Seen } from './code';
import { loadCode, sampleCode, streamCode, xarrayCode } from './code';
import type { Entity, ViewTarget } from './contract';
import { viewerId } from './contract';
import { ViewerModel } from './model';
import type { Pane as PaneComponent } from './pane';
import { ViewerApi } from './requests';
import { ViewerView } from './viewer';
import { shownOf } from './window';

/** What every viewer works with. */
export interface ViewerRoom {
  readonly app: JupyterFrontEnd;
  readonly tracker: INotebookTracker | null;
  readonly themes: IThemeManager | null;
  readonly trans: TranslationBundle;
}

interface IViewerOptions extends ViewerRoom {
  readonly target: ViewTarget;
}

/** Shows one file or store; the drawing library is loaded by the first of them. */
export class Viewer extends VDomRenderer<ViewerModel> {
  constructor(private readonly _options: IViewerOptions) {
    const { app, target, themes } = _options;
    const { serverSettings } = app.serviceManager;
    const api = new ViewerApi(serverSettings, target.connection);
    super(new ViewerModel(api, target));
    this._about = new About(new Api(serverSettings), api, target.key);
    this._about.stateChanged.connect(this.update, this);
    this.model.stateChanged.connect(this._follow, this);
    themes?.themeChanged.connect(this.update, this);
    this.addClass('jp-gpuext-Panel');
    this.addClass('jp-gpuext-Viewer');
    this.node.tabIndex = -1;
    void this.model.start();
    void this._load();
  }

  override dispose(): void {
    const { model } = this;
    this._options.themes?.themeChanged.disconnect(this.update, this);
    super.dispose();
    this._about.dispose();
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

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._follow();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._follow();
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._follow();
  }

  protected override render(): React.JSX.Element {
    return (
      <ViewerView
        model={this.model}
        about={this._about}
        theme={this._options.themes?.theme ?? ''}
        Pane={this._pane}
        problem={this._problem}
        onRetry={() => void this._load()}
        onInsertLoad={() => this._insert(loadCode)}
        isAlone={isAlone(this.model.trail, this.model.target)}
        onInsertStream={() => this._insert(streamCode)}
        onInsertXarray={() => this._insert(xarrayCode)}
        onInsertSample={() => this._insert(sampleCode)}
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
    const seen = this._seen();
    if (seen) {
      insertIntoCurrent(
        app,
        tracker,
        above => compose(seen, above) ?? '',
        trans
      );
    }
  }

  /** What is told beside the picture follows it, while somebody looks. */
  private _follow(): void {
    const { entity, slice } = this.model;
    const isWatched = this.isVisible && entity !== null;
    this._about.follow(
      isWatched ? subjectOf(entity, this._seen(), slice !== null) : null
    );
  }

  private _seen(): Seen | null {
    const { flips, select, slice, stage, target, trail } = this.model;
    if (stage.kind !== 'array') {
      return null;
    }
    const { view } = stage;
    return {
      ...{ connection: target.connection, key: target.key },
      ...{ view, select, flips },
      slice: slice ?? shownOf(view.window).map(() => null),
      isAlone: isAlone(trail, target)
    };
  }

  private readonly _about: About;
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
