import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { Button } from '../components/notice';
import { printable } from '../format';
import { MARKS } from './doctor/findings';
import type { DoctorModel } from './doctor/model';

/** What the doctor said last, or the button that asks. */
export function DoctorLine(props: {
  readonly doctor: DoctorModel;
  readonly onOpen: () => void;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { doctor, onOpen, trans } = props;
  const { report, runningSince } = doctor;
  if (runningSince !== null) {
    return (
      <div className="jp-gpuext-Footer">
        <span role="status">{trans.__('doctor: examining…')}</span>
      </div>
    );
  }
  return (
    <div className="jp-gpuext-Footer" data-level={report?.verdict}>
      {report ? (
        <button type="button" className="jp-gpuext-Link" onClick={onOpen}>
          {MARKS[report.verdict]} {trans.__('doctor:')}{' '}
          {printable(report.title.replaceAll('`', ''))}
        </button>
      ) : (
        <Button label={trans.__('Run doctor')} onClick={onOpen} />
      )}
    </div>
  );
}
