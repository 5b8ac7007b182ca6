import { LabIcon } from '@jupyterlab/ui-components';

const svg = (paths: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161">${paths}</g></svg>`;

/** A card with one fan and its pins. */
export const gpuIcon = new LabIcon({
  name: 'jupyter-gpu-ext:gpu',
  svgstr: svg(
    '<path fill-rule="evenodd" d="M2 4h2v1h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-1v2h-2v-2h-2v2h-2v-2h-2v2H9v-2H4v3H2zm2 3v9h16V7z"/>' +
      '<path fill-rule="evenodd" d="M14.5 8a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zm0 2a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z"/>' +
      '<path d="M6 9h3v1.6H6zm0 3.4h3V14H6z"/>'
  )
});

/** A line that rises and falls between its axes. */
export const chartIcon = new LabIcon({
  name: 'jupyter-gpu-ext:chart',
  svgstr: svg(
    '<path d="M3 3h2v16h16v2H3z"/>' +
      '<path d="m7 14.6 4.2-5 3.6 3 4.6-6.1 1.6 1.2-5.9 7.8-3.6-3-3 3.4z"/>'
  )
});

/** A heart's beat. */
export const doctorIcon = new LabIcon({
  name: 'jupyter-gpu-ext:doctor',
  svgstr: svg(
    '<path d="M2 11h5.4l2.3-6.4h1.6l3.6 10.2 1.6-3.8H22v2h-4.2l-2.3 5.6h-1.6L10.5 8.9 8.8 13H2z"/>'
  )
});

/** A stack of drives. */
export const storageIcon = new LabIcon({
  name: 'jupyter-gpu-ext:storage',
  svgstr: svg(
    '<path d="M12 2c4.7 0 8.5 1.5 8.5 3.5S16.7 9 12 9 3.5 7.5 3.5 5.5 7.3 2 12 2z"/>' +
      '<path d="M3.5 8.4C5 10 8.3 10.9 12 10.9s7-.9 8.5-2.5v3.1c0 2-3.8 3.5-8.5 3.5s-8.5-1.5-8.5-3.5z"/>' +
      '<path d="M3.5 14.4C5 16 8.3 16.9 12 16.9s7-.9 8.5-2.5v3.6c0 2-3.8 3.5-8.5 3.5s-8.5-1.5-8.5-3.5z"/>'
  )
});

export const lockIcon = new LabIcon({
  name: 'jupyter-gpu-ext:lock',
  svgstr: svg(
    '<path fill-rule="evenodd" d="M12 2a5 5 0 0 1 5 5v3h1a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1h1V7a5 5 0 0 1 5-5zm0 2a3 3 0 0 0-3 3v3h6V7a3 3 0 0 0-3-3z"/>'
  )
});

export const objectIcon = new LabIcon({
  name: 'jupyter-gpu-ext:object',
  svgstr: svg(
    '<path fill-rule="evenodd" d="M6 2h8l5 5v13a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zm0 2v16h11V8h-4V4z"/>'
  )
});

/** A file that holds tensors: a lattice of cells. */
export const tensorIcon = new LabIcon({
  name: 'jupyter-gpu-ext:tensor',
  svgstr: svg(
    '<path d="M12 1.5 21 6.7v10.6l-9 5.2-9-5.2V6.7zm0 2.3L6.1 7.2 12 10.6l5.9-3.4zM5 8.9v7.2l6 3.5v-7.2zm8 10.7 6-3.5V8.9l-6 3.5z" fill-rule="evenodd"/>'
  )
});
