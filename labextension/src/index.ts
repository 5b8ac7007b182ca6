import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { gpuPlugin } from './gpu/plugin';
import { storagePlugin } from './storage/plugin';
import { progressPlugin } from './tensors/plugin';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  gpuPlugin,
  storagePlugin,
  progressPlugin
];

export default plugins;
