/** Everything a person can do, by the name under which it is registered. */
export const CommandIDs = {
  openGpu: 'jupyter-gpu-ext:open-gpu',
  openDashboard: 'jupyter-gpu-ext:open-gpu-dashboard',
  openDoctor: 'jupyter-gpu-ext:open-gpu-doctor',
  openStorage: 'jupyter-gpu-ext:open-storage',
  insertLoadExt: 'jupyter-gpu-ext:insert-load-ext',
  insertLoad: 'jupyter-gpu-ext:insert-load',
  copyUrl: 'jupyter-gpu-ext:copy-url',
  refreshStorage: 'jupyter-gpu-ext:refresh-storage',
  lookInside: 'jupyter-gpu-ext:look-inside',
  openInside: 'jupyter-gpu-ext:tensors-inside',
  insertPandas: 'jupyter-gpu-ext:insert-pandas',
  insertXarray: 'jupyter-gpu-ext:insert-xarray',
  insertStream: 'jupyter-gpu-ext:insert-stream',
  download: 'jupyter-gpu-ext:download',
  rename: 'jupyter-gpu-ext:rename',
  copyTo: 'jupyter-gpu-ext:copy-to',
  remove: 'jupyter-gpu-ext:delete',
  share: 'jupyter-gpu-ext:copy-share-link',
  properties: 'jupyter-gpu-ext:properties',
  upload: 'jupyter-gpu-ext:upload',
  newFolder: 'jupyter-gpu-ext:new-folder',
  find: 'jupyter-gpu-ext:find-in-folder',
  pin: 'jupyter-gpu-ext:pin',
  refreshHere: 'jupyter-gpu-ext:refresh-here',
  renew: 'jupyter-gpu-ext:paste-new-link',
  disconnect: 'jupyter-gpu-ext:disconnect',
  goTo: 'jupyter-gpu-ext:go-to',
  view: 'jupyter-gpu-ext:view',
  viewTensors: 'jupyter-gpu-ext:tensors-view',
  exportJob: 'jupyter-gpu-ext:export-job'
} as const;

/** For commands that take no arguments. */
export const NO_ARGUMENTS = {
  args: { type: 'object', properties: {} }
} as const;
