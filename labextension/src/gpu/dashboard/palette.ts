import { LINE_COLORS } from './charts';

/** The theme's colours as a canvas can use them. */
export interface Palette {
  readonly axis: string;
  readonly grid: string;
  readonly font: string;
  readonly lines: readonly string[];
}

/** Resolve the style sheet's variables where `node` stands. */
export function readPalette(node: HTMLElement): Palette {
  const probe = document.createElement('span');
  node.append(probe);
  const resolve = (variable: string) => {
    probe.style.color = `var(${variable})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    axis: resolve('--jp-ui-font-color2'),
    grid: resolve('--jp-border-color2'),
    font: `11px ${getComputedStyle(node).fontFamily}`,
    lines: Array.from({ length: LINE_COLORS }, (_, index) =>
      resolve(`--jp-gpuext-line-${index}`)
    )
  };
  probe.remove();
  return palette;
}
