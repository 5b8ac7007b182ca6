import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { GpuStatus, Sample } from './api';
import type { ApiError } from './request';

/** What the server knows of the GPUs, asked once and shared by every view. */
export interface IGpuModel {
  /** Emitted after every reply and every failure. */
  readonly stateChanged: ISignal<IGpuModel, void>;
  /** The last reply; null before the first one. */
  readonly status: GpuStatus | null;
  /** Oldest first, 600 at most. */
  readonly samples: readonly Sample[];
  /** Why the last request failed; null when it did not. */
  readonly problem: ApiError | null;
  /** Say that a view is seen, or no longer seen: nothing is asked while none is. */
  watch(view: string, visible: boolean): void;
  /** Ask now. */
  refresh(): Promise<void>;
}

export const IGpuModel = new Token<IGpuModel>(
  'jupyter-gpu-ext:IGpuModel',
  'The state of the GPUs, polled from the server while a view shows it.'
);
