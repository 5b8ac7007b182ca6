import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button } from '../../components/notice';
import { printable } from '../../format';
import { nameUrl } from '../../storage/insert';
import { AboutLine } from './aboutview';
import { canSample, canXarray, isZarr, sampleAxisOf } from './code';
import type { Shown, ViewerModel } from './model';
import type { Look } from './tree';
import { axisName, placesOf } from './view';
import type { ViewerProps } from './viewer';
import { factsOf, partOf } from './words';

/** Where one is, which part is shown, and what can be done with it. */
export function Bar(props: ViewerProps): React.JSX.Element {
  const { model, trans } = props;
  const { stage } = model;
  return (
    <div className="jp-gpuext-Viewer-bar">
      <div className="jp-gpuext-Viewer-line">
        <Trail model={model} trans={trans} />
        {stage.kind === 'array' ? (
          <span className="jp-gpuext-Viewer-facts">
            {factsOf(stage.view.entity, trans)}
          </span>
        ) : null}
      </div>
      {stage.kind === 'array' ? <Acts {...props} shown={stage} /> : null}
      {stage.kind === 'array' ? <Places {...props} shown={stage} /> : null}
      {model.entity ? <AboutLine {...props} entity={model.entity} /> : null}
    </div>
  );
}

function Trail(props: {
  model: ViewerModel;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, trans } = props;
  const { connection, key } = model.target;
  const { trail, siblings } = model;
  const url = printable(nameUrl(connection, key));
  return (
    <nav className="jp-gpuext-Viewer-trail" aria-label={trans.__('Where')}>
      {trail.length > 1 ? (
        <button
          type="button"
          className="jp-gpuext-Viewer-crumb"
          title={url}
          onClick={() => void model.goUp(0)}
        >
          {url}
        </button>
      ) : (
        <span className="jp-gpuext-Viewer-here" title={url}>
          {url}
        </span>
      )}
      {trail.slice(1, -1).map((entity, at) => (
        <React.Fragment key={entity.path}>
          <span aria-hidden={true}>›</span>
          <button
            type="button"
            className="jp-gpuext-Viewer-crumb"
            onClick={() => void model.goUp(at + 1)}
          >
            {printable(entity.name)}
          </button>
        </React.Fragment>
      ))}
      {trail.length > 1 ? (
        <>
          <span aria-hidden={true}>›</span>
          <Beside model={model} siblings={siblings} trans={trans} />
        </>
      ) : null}
    </nav>
  );
}

/** What is shown, and what stands beside it. */
function Beside(props: {
  model: ViewerModel;
  siblings: ViewerModel['siblings'];
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, siblings, trans } = props;
  const here = model.trail.at(-1);
  const isListed = siblings.some(child => child.path === here?.path);
  return (
    <select
      className="jp-gpuext-Viewer-beside"
      aria-label={trans.__('Array')}
      value={here?.path}
      onChange={event => void model.goBeside(event.target.value)}
    >
      {isListed || !here ? null : (
        <option value={here.path}>{printable(here.name)}</option>
      )}
      {siblings.map(child => (
        <option key={child.path} value={child.path}>
          {printable(child.name)}
          {child.kind === 'group' ? ' ›' : ''}
        </option>
      ))}
    </select>
  );
}

function Acts(props: ViewerProps & { shown: Shown }): React.JSX.Element {
  const { model, shown, trans } = props;
  const { entity } = shown.view;
  return (
    <div className="jp-gpuext-Viewer-line">
      {entity.shape.length === 0 ? null : (
        <>
          <Looks model={model} shown={shown} trans={trans} />
          <SelectBox key={entity.path} model={model} trans={trans} />
        </>
      )}
      <span className="jp-gpuext-Viewer-gap" />
      <Button
        primary
        label={trans.__('Insert load')}
        title={trans.__('Put %load_blob for what is seen into the notebook')}
        onClick={props.onInsertLoad}
      />
      <StreamButton {...props} />
      {canXarray(
        shown.view,
        model.target.key,
        props.isAlone,
        model.siblings
      ) ? (
        <Button
          label={trans.__('Insert xarray')}
          title={trans.__('Put what is seen, by xarray, into the notebook')}
          onClick={props.onInsertXarray}
        />
      ) : null}
      {canSample(shown.view, model.target.key) ? (
        <Button
          label={trans.__('Insert sample')}
          title={trans.__(
            'Put %blob sample into the notebook: it writes what is seen to a file here'
          )}
          onClick={props.onInsertSample}
        />
      ) : null}
    </div>
  );
}

function StreamButton(
  props: ViewerProps & { shown: Shown }
): React.JSX.Element | null {
  const { model, shown, trans } = props;
  const { view } = shown;
  if (view.entity.shape.length === 0 || !isZarr(view, model.target.key)) {
    return null;
  }
  const axis = sampleAxisOf(view);
  return (
    <Button
      label={trans.__('Insert ZarrStream')}
      disabled={axis === null}
      title={
        axis === null
          ? trans.__(
              'Samples need an axis of which more than one entry is left'
            )
          : trans.__(
              'Put a stream of the selected part, a sample an entry of %1, into the notebook',
              printable(axisName(view, axis))
            )
      }
      onClick={props.onInsertStream}
    />
  );
}

function Looks(props: {
  model: ViewerModel;
  shown: Shown;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, shown, trans } = props;
  const one = (look: Look, label: string, title: string) => (
    <button
      type="button"
      aria-pressed={shown.look === look}
      title={title}
      onClick={() => model.look(look)}
    >
      {label}
    </button>
  );
  return (
    <div
      className="jp-gpuext-Choice"
      role="group"
      aria-label={trans.__('How to look')}
    >
      {one(
        'plot',
        trans.__('By coordinate'),
        trans.__('Lines and heat maps over coordinates; north is up')
      )}
      {one(
        'values',
        trans.__('By index'),
        trans.__('Matrix, lines, heat map and RGB as the array is stored')
      )}
    </div>
  );
}

function SelectBox(props: {
  model: ViewerModel;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { model, trans } = props;
  const [text, setText] = React.useState(model.select);
  React.useEffect(() => setText(model.select), [model.select]);
  return (
    <form
      className="jp-gpuext-Viewer-select"
      onSubmit={event => {
        event.preventDefault();
        void model.choose(text);
      }}
    >
      <label>
        {trans.__('select')}
        <input
          type="text"
          value={text}
          spellCheck={false}
          placeholder={trans.__('0:100, :, ::4  or  time=2020-01:2020-03')}
          aria-invalid={model.selectProblem !== ''}
          onChange={event => setText(event.target.value)}
        />
      </label>
      {model.selectProblem === '' ? null : (
        <span className="jp-gpuext-Viewer-problem" role="alert">
          {printable(model.selectProblem)}
        </span>
      )}
    </form>
  );
}

/** Which entries are seen of the axes that are no axes of the picture. */
function Places(props: ViewerProps & { shown: Shown }): React.JSX.Element {
  const { model, shown, trans } = props;
  const part = partOf(shown.view, trans);
  const places =
    model.slice === null
      ? []
      : placesOf(shown.view, model.slice, model.flips).map(printable);
  return (
    <div className="jp-gpuext-Viewer-places" role="status">
      {places.length === 0 ? null : <span>{places.join(' · ')}</span>}
      {part === '' ? null : (
        <span className="jp-gpuext-Viewer-part">
          {part}{' '}
          <Button
            label={trans.__('Show all')}
            onClick={() => void model.choose('')}
          />
        </span>
      )}
      {model.hasTrouble ? (
        <Button label={trans.__('Try again')} onClick={() => model.retry()} />
      ) : null}
      {shown.missing.length === 0 ? null : (
        <span>
          {trans.__(
            'Counted instead, since its values are no axis: %1',
            shown.missing.map(printable).join(', ')
          )}
        </span>
      )}
    </div>
  );
}
