import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import type { KernelUse, Stream } from '../api';
import { baseName, formatRatio, printable } from '../format';
import { notebookName } from './words';

export interface IStreamsProps {
  readonly kernels: readonly KernelUse[];
  readonly trans: TranslationBundle;
}

/** The training streams that are read just now, and who waits for whom. */
export function Streams(props: IStreamsProps): React.JSX.Element {
  const { kernels, trans } = props;
  const title = trans.__('Streams');
  return (
    <section className="jp-gpuext-Card" aria-label={title}>
      <div className="jp-gpuext-Card-title">
        <h3>{title}</h3>
      </div>
      <ul className="jp-gpuext-Legend">
        {kernels.flatMap(kernel =>
          kernel.streams.map((stream, index) => (
            <StreamRow
              key={`${kernel.id} ${index}`}
              notebook={notebookName(kernel, trans)}
              stream={stream}
              trans={trans}
            />
          ))
        )}
      </ul>
    </section>
  );
}

function StreamRow(props: {
  readonly notebook: string;
  readonly stream: Stream;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { notebook, stream, trans } = props;
  const url = printable(stream.url);
  return (
    <li>
      <span className="jp-gpuext-Legend-name" title={`${url} · ${notebook}`}>
        {printable(baseName(stream.url.replace(/\/+$/, '')))}
      </span>
      <span className="jp-gpuext-Number">
        {trans.__('waited %1', formatRatio(stream.wait_ratio))}
      </span>
      <div className="jp-gpuext-Legend-more">
        <span>{streamFacts(stream, trans)}</span>
      </div>
      {stream.advice === '' ? null : (
        <div className="jp-gpuext-Legend-more">
          <span>{printable(stream.advice)}</span>
        </div>
      )}
    </li>
  );
}

/** A part of the time that is worth a word. */
const LEAST_RATIO = 0.05;

/** What kept a stream busy, and what it gave. */
export function streamFacts(stream: Stream, trans: TranslationBundle): string {
  const part = (word: string, ratio: number) =>
    ratio < LEAST_RATIO ? '' : `${word} ${formatRatio(ratio)}`;
  const { lost_samples: lost, samples_per_second: rate } = stream;
  return [
    trans.__('%1 samples/s', rate < 10 ? rate.toFixed(1) : Math.round(rate)),
    part(trans.__('network'), stream.network_ratio),
    part(trans.__('decoding'), stream.decode_ratio),
    part(trans.__('copies'), stream.copy_ratio),
    part(trans.__('functions'), stream.function_ratio),
    lost > 0 ? trans._n('%1 sample lost', '%1 samples lost', lost) : ''
  ]
    .filter(text => text !== '')
    .join(' · ');
}
