import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';

/** Less is a click with an unsteady hand. */
const THRESHOLD_PIXELS = 5;

/**
 * Follow a pressed pointer: once it has moved, drag a text, which a cell's
 * editor takes where it is dropped.
 */
export function dragText(press: PointerEvent, text: string): void {
  const follow = new AbortController();
  const { signal } = follow;
  const stop = () => follow.abort();
  const onMove = (event: PointerEvent) => {
    const [x, y] = [event.clientX, event.clientY];
    if (Math.hypot(x - press.clientX, y - press.clientY) > THRESHOLD_PIXELS) {
      stop();
      startDrag(text, x, y);
    }
  };
  document.addEventListener('pointermove', onMove, { signal });
  document.addEventListener('pointerup', stop, { signal });
  document.addEventListener('pointercancel', stop, { signal });
}

function startDrag(text: string, x: number, y: number): void {
  const mimeData = new MimeData();
  mimeData.setData('text/plain', text);
  const dragImage = document.createElement('div');
  dragImage.className = 'jp-gpuext-DragImage';
  dragImage.textContent = text;
  const drag = new Drag({
    mimeData,
    dragImage,
    proposedAction: 'copy',
    supportedActions: 'copy'
  });
  // It resolves to 'none' even when a cell took the text.
  void drag.start(x, y).then(() => drag.dispose());
}
