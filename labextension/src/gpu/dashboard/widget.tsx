import type { IThemeManager } from '@jupyterlab/apputils';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import type * as React from 'react';

import type { Api } from '../../api';
import { gpuIcon } from '../../icons';
import { asApiError } from '../../request';
import type { ApiError } from '../../request';
import type { GpuModel } from '../model';
import { WatchingView } from '../watching';
import { HistoryModel } from './history';
import type { Palette } from './palette';
import { readPalette } from './palette';
import type { Plot as PlotComponent } from './plot';
import type { Range, Span } from './ranges';
import { DashboardView } from './view';

export const DASHBOARD_ID = 'jupyter-gpu-ext-dashboard';

interface IDashboardOptions {
  readonly model: GpuModel;
  readonly api: Pick<Api, 'gpuHistory'>;
  readonly themes: IThemeManager | null;
  readonly trans: TranslationBundle;
}

/** Diagrams of all devices; asks and draws only while it is seen. */
class Dashboard extends WatchingView {
  constructor(private readonly _options: IDashboardOptions) {
    super(_options.model, DASHBOARD_ID);
    this.addClass('jp-gpuext-Panel');
    this.addClass('jp-gpuext-Dashboard');
    this.node.tabIndex = -1;
    this._history = new HistoryModel(_options.api);
    this._history.stateChanged.connect(this.update, this);
    _options.themes?.themeChanged.connect(this._onTheme, this);
    void this._load();
  }

  override dispose(): void {
    this._options.themes?.themeChanged.disconnect(this._onTheme, this);
    this._history.dispose();
    super.dispose();
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  protected override onAfterAttach(msg: Message): void {
    this._palette = readPalette(this.node);
    super.onAfterAttach(msg);
  }

  protected override onVisibility(): void {
    this._history.watch(this.isVisible && this._range !== 'live');
  }

  protected override render(): React.JSX.Element {
    const { model, trans } = this._options;
    const isLive = this._range === 'live';
    const asked = isLive ? model.problem : this._history.problem;
    return (
      <DashboardView
        status={model.status}
        samples={model.samples}
        history={this._history.history}
        problem={this._problem ?? asked}
        range={this._range}
        zoom={this._zoom}
        Plot={this._plot}
        palette={this._palette}
        onRange={this._onRange}
        onZoom={this._onZoom}
        onRetry={this._onRetry}
        trans={trans}
      />
    );
  }

  private async _load(): Promise<void> {
    try {
      this._plot = (await import('./plot')).Plot;
      this._problem = null;
    } catch (error) {
      this._problem = asApiError(error);
    }
    this.update();
  }

  private readonly _onRange = (range: Range) => {
    this._range = range;
    this._zoom = null;
    this.onVisibility();
    this.update();
  };

  private readonly _onZoom = (span: Span | null) => {
    this._zoom = span;
    this.update();
  };

  private readonly _onRetry = () => {
    if (!this._plot) {
      void this._load();
    }
    void (this._range === 'live' ? this.model : this._history).refresh();
  };

  private _onTheme(): void {
    this._palette = readPalette(this.node);
    this.update();
  }

  private readonly _history: HistoryModel;
  private _range: Range = 'live';
  private _zoom: Span | null = null;
  private _plot: typeof PlotComponent | null = null;
  private _palette: Palette | null = null;
  private _problem: ApiError | null = null;
}

export function dashboardWidget(options: IDashboardOptions): MainAreaWidget {
  const widget = new MainAreaWidget({ content: new Dashboard(options) });
  widget.id = DASHBOARD_ID;
  widget.title.label = options.trans.__('GPU dashboard');
  widget.title.icon = gpuIcon;
  widget.title.closable = true;
  widget.toolbar.hide();
  return widget;
}
