import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { CommandIDs } from '../commands';
import { Button } from '../components/notice';
import { formatBytes } from '../format';
import { bytesIn, keysIn } from './marks';
import type { StorageModel } from './model';

interface IMarksBarProps {
  readonly model: StorageModel;
  readonly run: (command: string) => void;
  readonly trans: TranslationBundle;
}

/** What can be done with several marked files at once. */
export function MarksBar(props: IMarksBarProps): React.JSX.Element | null {
  const { model, run, trans } = props;
  const { marked } = model;
  if (marked.length < 2) {
    return null;
  }
  const count = keysIn(marked).length;
  const writable = marked.some(row => model.isWritable(row));
  return (
    <section className="jp-gpuext-Marks" aria-label={trans.__('Marked files')}>
      <p role="status">
        {trans.__('%1 files · %2', count, formatBytes(bytesIn(marked)))}
      </p>
      <div className="jp-gpuext-Buttons">
        {writable ? (
          <Button
            label={trans.__('Delete…')}
            onClick={() => run(CommandIDs.remove)}
          />
        ) : null}
        <Button
          label={trans.__('Copy name-URLs')}
          onClick={() => run(CommandIDs.copyUrl)}
        />
        <Button label={trans.__('Clear')} onClick={() => model.unmark()} />
      </div>
    </section>
  );
}
