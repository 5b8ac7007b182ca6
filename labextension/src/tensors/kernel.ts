import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';

/** The kernel of the notebook that shows a node; null when none does. */
export function kernelOf(
  tracker: INotebookTracker | null,
  node: Node
): Kernel.IKernelConnection | null {
  const panel = tracker?.find(widget => widget.node.contains(node));
  return panel?.sessionContext.session?.kernel ?? null;
}
