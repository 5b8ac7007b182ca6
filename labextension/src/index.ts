import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { exportPlugin } from './export/plugin';
import { gpuPlugin } from './gpu/plugin';
import { storagePlugin } from './storage/plugin';
import { insidePlugin } from './tensors/inside/plugin';
import { progressPlugin } from './tensors/plugin';
import { viewerPlugin } from './tensors/viewer/plugin';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  gpuPlugin,
  storagePlugin,
  insidePlugin,
  progressPlugin,
  viewerPlugin,
  exportPlugin
];

export default plugins;
