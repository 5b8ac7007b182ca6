import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { GpuStatus } from '../api';
import { Notice } from '../components/notice';

/** Why there are no numbers, and what to do; nothing where all is well. */
export function StateNotice(props: {
  readonly status: GpuStatus;
  readonly trans: TranslationBundle;
}): React.JSX.Element | null {
  const { status, trans } = props;
  switch (status.state) {
    case 'ok':
      return null;
    case 'starting':
      return (
        <Notice
          tone="info"
          message={status.reason || trans.__('Looking for GPUs…')}
          hint={status.hint}
        />
      );
    case 'no_gpu':
      return (
        <Notice
          tone="info"
          message={status.reason || trans.__('No GPU here.')}
          hint={status.hint}
        />
      );
    case 'blocked':
    case 'broken':
      return (
        <Notice
          tone={status.state === 'broken' ? 'error' : 'warning'}
          message={status.reason}
          hint={status.hint}
        />
      );
  }
}
