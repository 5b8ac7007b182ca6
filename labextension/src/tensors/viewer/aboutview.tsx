import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Part, Plan } from '../../api';
import { Problem } from '../../components/problem';
import type { Asking } from '../asking';
import { ChunkView } from '../chunks/chunkview';
import { touching } from '../chunks/touch';
import { Pairs, attributeText } from '../pairs';
import { asideWords, ratioText, readWords } from '../planwords';
import type { About, Section } from './about';
import { isZarr } from './code';
import type { Entity } from './contract';
import type { Shown } from './model';
import type { ViewerProps } from './viewer';
import { seenOf } from './window';

type AboutProps = ViewerProps & { readonly entity: Entity };

/** What a load of what is seen reads, and what more can be told. */
export function AboutLine(props: AboutProps): React.JSX.Element | null {
  const { about, trans } = props;
  const shown = zarrOf(props);
  const count = props.entity.attributes.length;
  return shown || count > 0 ? (
    <div className="jp-gpuext-Viewer-line jp-gpuext-Viewer-told">
      {shown ? <Cost asking={about.plan} trans={trans} /> : null}
      <span className="jp-gpuext-Viewer-gap" />
      {shown ? (
        <Fold about={about} section="chunks" label={trans.__('Chunks')} />
      ) : null}
      {count > 0 ? (
        <Fold
          about={about}
          section="attributes"
          label={trans.__('Attributes (%1)', count.toLocaleString())}
        />
      ) : null}
    </div>
  ) : null;
}

/** The sections that are open, beside the picture or below it. */
export function AboutSide(props: AboutProps): React.JSX.Element | null {
  const { about, entity, trans } = props;
  const shown = about.isOpen('chunks') ? zarrOf(props) : null;
  const hasAttributes =
    about.isOpen('attributes') && entity.attributes.length > 0;
  return shown || hasAttributes ? (
    <aside className="jp-gpuext-Viewer-about" aria-label={trans.__('Details')}>
      {shown ? <Chunks {...props} shown={shown} /> : null}
      {hasAttributes ? <AttributeList {...props} /> : null}
    </aside>
  ) : null;
}

/** The array that is shown, where it has chunks that can be told of. */
function zarrOf({ model }: AboutProps): Shown | null {
  const { stage, target } = model;
  const isThere = stage.kind === 'array' && isZarr(stage.view, target.key);
  return isThere ? stage : null;
}

function Cost(props: {
  readonly asking: Asking<Part, Plan>;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { asking, trans } = props;
  const { answer: plan } = asking;
  const ratio = plan ? ratioText(plan) : '';
  const aside = plan ? asideWords(plan, trans) : '';
  return (
    <span
      className="jp-gpuext-Viewer-cost"
      role="status"
      data-stale={asking.isAsking}
    >
      {plan ? readWords(plan, trans) : null}
      {ratio ? (
        <>
          {', '}
          <b>{trans.__('%1x what you use', ratio)}</b>
        </>
      ) : null}
      {aside ? ` · ${aside}` : null}
      {!plan && asking.isAsking ? trans.__('planning…') : null}
    </span>
  );
}

function Fold(props: {
  readonly about: About;
  readonly section: Section;
  readonly label: string;
}): React.JSX.Element {
  const { about, section, label } = props;
  return (
    <button
      type="button"
      className="jp-gpuext-Viewer-fold"
      aria-expanded={about.isOpen(section)}
      onClick={() => about.toggle(section)}
    >
      {label}
    </button>
  );
}

function Chunks(
  props: AboutProps & { readonly shown: Shown }
): React.JSX.Element {
  const { about, model, shown, theme, trans } = props;
  const { answer, problem, isAsking } = about.chunks;
  const seen = seenOf(shown.view.window, model.slice ?? [], model.flips);
  const map = React.useMemo(
    () => answer && touching(answer, seen),
    [answer, JSON.stringify(seen)]
  );
  return (
    <section aria-label={trans.__('Chunks')}>
      <h3>{trans.__('Chunks')}</h3>
      {map ? (
        <ChunkView map={map} isStale={isAsking} theme={theme} trans={trans} />
      ) : null}
      {problem ? <Problem problem={problem} trans={trans} /> : null}
      {!map && isAsking ? (
        <p className="jp-gpuext-Quiet">{trans.__('Listing the chunks…')}</p>
      ) : null}
    </section>
  );
}

function AttributeList({ about, trans }: AboutProps): React.JSX.Element {
  const { answer, problem, isAsking } = about.attributes;
  return (
    <section aria-label={trans.__('Attributes')}>
      <h3>{trans.__('Attributes')}</h3>
      {answer ? (
        <Pairs
          pairs={Object.entries(answer).map(([name, value]) => [
            name,
            attributeText(value)
          ])}
          trans={trans}
        />
      ) : null}
      {problem ? <Problem problem={problem} trans={trans} /> : null}
      {!answer && isAsking ? (
        <p className="jp-gpuext-Quiet">{trans.__('Reading…')}</p>
      ) : null}
    </section>
  );
}
