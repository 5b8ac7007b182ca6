import type { TranslationBundle } from '@jupyterlab/translation';
import type * as React from 'react';

import { formatBytes } from '../../format';
import { Pairs, attributeText } from '../pairs';
import type { Tensor } from './contract';
import { aboutOf } from './rows';
import { axesWords, piecesWords } from './words';

interface IFactsProps {
  readonly tensor: Tensor;
  readonly trans: TranslationBundle;
}

/** What is known of an array: axes, pieces, codecs, attributes. */
export function Facts({ tensor, trans }: IFactsProps): React.JSX.Element {
  const { chunks, shards, codecs = [], attributes = {} } = tensor;
  const chunkCount = (count: number) =>
    trans._n('%1 chunk', '%2 chunks', count, count.toLocaleString());
  const shardCount = (count: number) =>
    trans._n('%1 shard', '%2 shards', count, count.toLocaleString());
  const facts: readonly (readonly [string, string])[] = [
    [trans.__('Is'), aboutOf(tensor)],
    [trans.__('Axes'), axesWords(tensor)],
    [trans.__('Type'), `${tensor.dtype} · ${formatBytes(tensor.size_bytes)}`],
    [
      trans.__('Chunks'),
      chunks ? piecesWords(tensor, chunks, chunkCount, trans) : ''
    ],
    [
      trans.__('Shards'),
      shards ? piecesWords(tensor, shards, shardCount, trans) : ''
    ],
    [trans.__('Codecs'), codecs.join(', ')]
  ];
  const named = Object.entries(attributes);
  return (
    <>
      <Pairs pairs={facts.filter(([, value]) => value !== '')} trans={trans} />
      {named.length > 0 ? (
        <details className="jp-gpuext-Fold">
          <summary>
            {trans._n('%1 attribute', '%1 attributes', named.length)}
          </summary>
          <Pairs
            pairs={named.map(([key, value]) => [key, attributeText(value)])}
            trans={trans}
          />
        </details>
      ) : null}
    </>
  );
}
