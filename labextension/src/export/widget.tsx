import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type * as React from 'react';

import { baseName, printable } from '../format';
import { ExportApi } from './ask';
import { ExportModel } from './model';
import { ExportView } from './view';

interface IExportOptions extends Pick<
  JupyterFrontEnd,
  'commands' | 'serviceManager' | 'shell'
> {
  readonly panel: NotebookPanel;
  readonly trans: TranslationBundle;
}

/** Beside its notebook, so that what is said of a cell can be seen in it. */
class ExportWidget extends VDomRenderer<ExportModel> {
  constructor(private readonly _options: IExportOptions) {
    const { commands, serviceManager, panel } = _options;
    const api = new ExportApi(serviceManager.serverSettings);
    super(
      new ExportModel(api, sourceOf(panel), folder => {
        const path = folder;
        void commands.execute('filebrowser:go-to-path', { path });
      })
    );
    this.addClass('jp-gpuext-Panel');
    this.addClass('jp-gpuext-Export');
    this.node.tabIndex = -1;
    void this.model.look();
  }

  override dispose(): void {
    const model = this.model;
    super.dispose();
    model.dispose();
  }

  protected override onActivateRequest(): void {
    if (!this.node.contains(document.activeElement)) {
      this.node.focus();
    }
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this.model.watch(this.isVisible);
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this.model.watch(true);
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this.model.watch(false);
  }

  protected override render(): React.JSX.Element {
    const { commands, shell, panel, trans } = this._options;
    return (
      <ExportView
        model={this.model}
        trans={trans}
        onShow={cell => showCell(shell, panel, cell)}
        onOpen={path => {
          const factory = path.endsWith('.md') ? 'Markdown Preview' : 'Editor';
          void commands.execute('docmanager:open', { path, factory });
        }}
      />
    );
  }
}

export function exportWidget(options: IExportOptions): MainAreaWidget {
  const { panel, trans } = options;
  const widget = new MainAreaWidget({ content: new ExportWidget(options) });
  widget.id = exportId(panel);
  widget.title.label = trans.__(
    'Export %1',
    printable(baseName(panel.context.path))
  );
  widget.title.closable = true;
  widget.toolbar.hide();
  // Without its notebook there is nothing to export.
  panel.disposed.connect(() => widget.dispose());
  return widget;
}

export function exportId(panel: NotebookPanel): string {
  return `jupyter-gpu-ext-export-${panel.id}`;
}

function sourceOf(panel: NotebookPanel) {
  const { context, sessionContext } = panel;
  return {
    get path() {
      return context.path;
    },
    get kernel() {
      return sessionContext.session?.kernel?.id ?? '';
    },
    save: async () => {
      if (context.model.dirty && !context.model.readOnly) {
        await context.save();
      }
    }
  };
}

function showCell(
  shell: JupyterFrontEnd.IShell,
  panel: NotebookPanel,
  cell: number
): void {
  const notebook = panel.content;
  shell.activateById(panel.id);
  notebook.deselectAll();
  notebook.activeCellIndex = cell - 1;
  notebook.mode = 'command';
  void notebook.scrollToItem(cell - 1, 'center');
}
