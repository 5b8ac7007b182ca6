// Draws a map: a pixel a cell, then all of them enlarged at once, so that a
// million cells take as long as a hundred.

import type { Layout } from './chunkmap';

/** Smaller cells leave no room for a line between them. */
const LINED_PIXELS = 4;

/** @param legend - Holds a swatch for each kind of cell; its colour is taken. */
export function paint(
  canvas: HTMLCanvasElement,
  legend: HTMLElement,
  cells: Uint8Array,
  { columns, rows, pixels }: Layout
): void {
  const sharp = window.devicePixelRatio || 1;
  const side = pixels * sharp;
  canvas.width = Math.round(columns * side);
  canvas.height = Math.round(rows * side);
  canvas.style.width = `${columns * pixels}px`;
  canvas.style.height = `${rows * pixels}px`;
  const small = document.createElement('canvas');
  [small.width, small.height] = [columns, rows];
  const [to, from] = [canvas.getContext('2d'), small.getContext('2d')];
  if (!to || !from) {
    return;
  }
  const image = from.createImageData(columns, rows);
  const words = new Uint32Array(image.data.buffer);
  const colors = colorsOf(legend);
  cells.forEach((cell, at) => {
    words[at] = colors[cell] ?? 0;
  });
  from.putImageData(image, 0, 0);
  to.imageSmoothingEnabled = false;
  to.drawImage(small, 0, 0, canvas.width, canvas.height);
  if (pixels >= LINED_PIXELS) {
    clearLines(to, columns, rows, side);
  }
}

function clearLines(
  to: CanvasRenderingContext2D,
  columns: number,
  rows: number,
  side: number
): void {
  const { width, height } = to.canvas;
  for (let column = 1; column <= columns; column += 1) {
    to.clearRect(Math.round(column * side) - 1, 0, 1, height);
  }
  for (let row = 1; row <= rows; row += 1) {
    to.clearRect(0, Math.round(row * side) - 1, width, 1);
  }
}

/** The swatches' colours as words of an image, whatever CSS calls them. */
function colorsOf(legend: HTMLElement): number[] {
  const probe = document.createElement('canvas');
  [probe.width, probe.height] = [1, 1];
  const context = probe.getContext('2d', { willReadFrequently: true });
  const colors: number[] = [];
  for (const swatch of legend.querySelectorAll<HTMLElement>('[data-cell]')) {
    if (context) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = getComputedStyle(swatch).backgroundColor;
      context.fillRect(0, 0, 1, 1);
      const { data } = context.getImageData(0, 0, 1, 1);
      colors[Number(swatch.dataset.cell)] =
        new Uint32Array(data.buffer)[0] ?? 0;
    }
  }
  return colors;
}
