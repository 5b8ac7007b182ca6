import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Button, Notice } from '../../components/notice';
import { wordsFor } from '../../components/words';
import { printable } from '../../format';
import { asApiError } from '../../request';
import type { About } from './about';
import { AboutSide } from './aboutview';
import { Bar } from './bar';
import { GroupList } from './group';
import type { ViewerModel } from './model';
import type { Pane as PaneComponent } from './pane';
import type { Question } from './reading';
import { wordsForQuestion } from './words';

export interface ViewerProps {
  readonly model: ViewerModel;
  readonly about: About;
  /** The colours' theme: with another one the map is drawn again. */
  readonly theme: string;
  /** null: not loaded yet. */
  readonly Pane: typeof PaneComponent | null;
  /** Why the drawing library was not loaded. */
  readonly problem: string;
  readonly onRetry: () => void;
  readonly onInsertLoad: () => void;
  /** The array is the file or the store itself. */
  readonly isAlone: boolean;
  readonly onInsertStream: () => void;
  readonly onInsertXarray: () => void;
  readonly onInsertSample: () => void;
  readonly trans: TranslationBundle;
}

/** An array, or the group that one is chosen from. */
export function ViewerView(props: ViewerProps): React.JSX.Element {
  const { model, trans } = props;
  const { question } = model;
  return (
    <>
      <Bar {...props} />
      <div className="jp-gpuext-Viewer-main">
        <div className="jp-gpuext-Viewer-body">
          <Body {...props} />
          {question ? (
            <Asked question={question} model={model} trans={trans} />
          ) : null}
        </div>
        {model.entity ? <AboutSide {...props} entity={model.entity} /> : null}
      </div>
    </>
  );
}

function Body(props: ViewerProps): React.JSX.Element {
  const { model, Pane, trans } = props;
  const { stage } = model;
  switch (stage.kind) {
    case 'loading':
      return (
        <p className="jp-gpuext-Quiet" role="status">
          {trans.__('Reading the header…')}
        </p>
      );
    case 'failed':
      return (
        <Notice tone="warning" {...wordsFor(stage.problem, trans)}>
          <Button
            label={trans.__('Try again')}
            onClick={() => void model.start()}
          />
        </Notice>
      );
    case 'group':
      return <GroupList model={model} entity={stage.entity} trans={trans} />;
    case 'unreadable':
      return (
        <Notice
          tone="info"
          message={
            printable(stage.entity.unreadable) ||
            trans.__('This array has no entries.')
          }
        />
      );
    case 'array':
      return Pane ? (
        <div
          className="jp-gpuext-Viewer-pane"
          data-lm-suppress-shortcuts="true"
        >
          <Pane
            key={stage.id}
            shown={stage}
            say={error => said(error, trans)}
            onTrouble={() => model.trouble()}
            onSlice={slice => model.saw(slice)}
          />
        </div>
      ) : (
        <Waiting {...props} />
      );
  }
}

function Waiting(props: ViewerProps): React.JSX.Element {
  const { problem, trans } = props;
  return problem === '' ? (
    <p className="jp-gpuext-Quiet" role="status">
      {trans.__('Loading the viewer…')}
    </p>
  ) : (
    <Notice
      tone="warning"
      message={trans.__('The viewer could not be loaded.')}
      hint={printable(problem)}
    >
      <Button label={trans.__('Try again')} onClick={props.onRetry} />
    </Notice>
  );
}

/** Asks before much is read. */
function Asked(props: {
  question: Question;
  model: ViewerModel;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { question, model, trans } = props;
  const { message, hint, overview, read } = wordsForQuestion(question, trans);
  return (
    <div
      className="jp-gpuext-Viewer-ask"
      role="dialog"
      aria-label={message}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          model.decide('stop');
        }
      }}
    >
      <Notice tone="info" message={message} hint={hint}>
        <Button
          primary
          label={overview}
          onClick={() => model.decide('overview')}
        />
        {read === '' ? null : (
          <Button label={read} onClick={() => model.decide('read')} />
        )}
        <Button
          label={trans.__('Not now')}
          onClick={() => model.decide('stop')}
        />
      </Notice>
    </div>
  );
}

/** A failure as the pane shows it: what, and what next. */
function said(error: unknown, trans: TranslationBundle): string {
  const { message, hint } = wordsFor(asApiError(error), trans);
  return printable(`${message} ${hint}`.replaceAll('`', ''));
}
