/** Everything a person can do, by the name under which it is registered. */
export const CommandIDs = {
  openGpu: 'jupyter-gpu-ext:open-gpu',
  openStorage: 'jupyter-gpu-ext:open-storage',
  insertLoadExt: 'jupyter-gpu-ext:insert-load-ext',
  insertLoad: 'jupyter-gpu-ext:insert-load',
  copyUrl: 'jupyter-gpu-ext:copy-url',
  refreshStorage: 'jupyter-gpu-ext:refresh-storage'
} as const;

/** For commands that take no arguments. */
export const NO_ARGUMENTS = {
  args: { type: 'object', properties: {} }
} as const;
