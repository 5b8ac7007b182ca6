import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Api, Released, RungName, Rungs } from '../api';
import { CommandIDs } from '../commands';
import { askLoss } from '../components/askloss';
import { currentNotebook } from '../notebook';
import type { Question } from './rungs';
import type { Share } from './usage';

const SHOWN_MILLISECONDS = 6000;

/** What a notebook's row can do about its memory. */
export interface ReleaseActions {
  rungs(kernelId: string): Promise<Rungs>;
  release(kernelId: string, rung: RungName): Promise<Released>;
  confirm(question: Question): Promise<boolean>;
  /** Say an outcome whose row is about to go. */
  announce(message: string): void;
  /** Put %load_ext into that notebook. */
  insertLoadExt(share: Pick<Share, 'kernelId' | 'path'>): void;
}

interface IReleasingOptions {
  readonly app: JupyterFrontEnd;
  readonly api: Pick<Api, 'rungs' | 'release'>;
  readonly tracker: INotebookTracker | null;
  readonly trans: TranslationBundle;
  /** The numbers have changed. */
  readonly onReleased: () => void;
}

export function releaseActions(options: IReleasingOptions): ReleaseActions {
  const { app, api, tracker, trans, onReleased } = options;
  return {
    rungs: kernelId => api.rungs(kernelId),
    release: async (kernelId, rung) => {
      const released = await api.release(kernelId, rung);
      onReleased();
      return released;
    },
    confirm: ({ title, body, act }) => askLoss(title, body, act, trans),
    announce: message => {
      Notification.success(message, { autoClose: SHOWN_MILLISECONDS });
    },
    insertLoadExt: ({ kernelId, path }) => {
      void insertLoadExt(app, tracker, kernelId, path);
    }
  };
}

async function insertLoadExt(
  { commands }: JupyterFrontEnd,
  tracker: INotebookTracker | null,
  kernelId: string,
  path: string
): Promise<void> {
  if (currentNotebook(tracker)?.kernelId !== kernelId && path !== '') {
    await commands.execute('docmanager:open', { path });
  }
  await commands.execute(CommandIDs.insertLoadExt);
}
