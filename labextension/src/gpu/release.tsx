import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Rung, RungName } from '../api';
import { Button } from '../components/notice';
import { Words, wordsFor } from '../components/words';
import { printable } from '../format';
import type { ApiError } from '../request';
import { asApiError } from '../request';
import type { ReleaseActions } from './releasing';
import {
  endsKernel,
  firstChoice,
  isOpen,
  questionFor,
  rungAmount,
  rungLabel,
  sentenceFor
} from './rungs';
import type { Share } from './usage';
import { notebookName } from './words';

interface IReleaseFormProps {
  readonly share: Share;
  readonly actions: ReleaseActions;
  readonly onClose: () => void;
  readonly trans: TranslationBundle;
}

/** The ways to free a notebook's memory, with what each frees and costs. */
export function ReleaseForm(props: IReleaseFormProps): React.JSX.Element {
  const { share, onClose, trans } = props;
  const ladder = useLadder(props);
  const { rungs, problem, said } = ladder;
  return (
    <fieldset
      className="jp-gpuext-Release"
      aria-busy={ladder.busy}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <legend>{trans.__('Release from %1', notebookName(share, trans))}</legend>
      {rungs === null && !problem ? (
        <p className="jp-gpuext-Quiet">{trans.__('Asking the notebook…')}</p>
      ) : null}
      {share.linked ? null : <NotLinked {...props} />}
      {rungs === null ? null : (
        <RungList {...props} {...ladder} rungs={rungs} />
      )}
      <p className="jp-gpuext-Release-said" role="status">
        {said}
      </p>
      {problem ? <Refusal problem={problem} trans={trans} /> : null}
      <div className="jp-gpuext-Buttons">
        {rungs === null && problem ? (
          <Button label={trans.__('Try again')} onClick={ladder.ask} />
        ) : (
          <Button
            primary
            label={ladder.busy ? trans.__('Releasing…') : trans.__('Go')}
            // Not while busy: a button that is disabled loses the focus.
            disabled={ladder.chosen === null}
            onClick={ladder.go}
          />
        )}
        <Button label={trans.__('Close')} onClick={onClose} />
      </div>
    </fieldset>
  );
}

interface ILadder {
  readonly rungs: readonly Rung[] | null;
  readonly chosen: RungName | null;
  readonly busy: boolean;
  readonly said: string;
  readonly problem: ApiError | null;
  readonly choose: (rung: RungName) => void;
  readonly ask: () => void;
  readonly go: () => void;
}

/** Ask for the rungs, take one, and say what came of it. */
function useLadder(props: IReleaseFormProps): ILadder {
  const { share, actions, trans } = props;
  const { kernelId } = share;
  const [rungs, setRungs] = React.useState<readonly Rung[] | null>(null);
  const [chosen, choose] = React.useState<RungName | null>(null);
  const [busy, setBusy] = React.useState(false);
  const [said, say] = React.useState('');
  const [problem, setProblem] = React.useState<ApiError | null>(null);
  const ask = async () => {
    setProblem(null);
    try {
      const found = (await actions.rungs(kernelId)).rungs;
      setRungs(found);
      choose(now => now ?? firstChoice(found, share.linked));
    } catch (error) {
      setProblem(asApiError(error));
    }
  };
  const go = async (rung: RungName) => {
    const question = questionFor(rung, notebookName(share, trans), trans);
    if (question && !(await actions.confirm(question))) {
      return;
    }
    setBusy(true);
    setProblem(null);
    say('');
    try {
      const sentence = sentenceFor(
        await actions.release(kernelId, rung),
        trans
      );
      say(sentence);
      if (endsKernel(rung)) {
        // The row goes with its kernel, so the sentence is said elsewhere.
        actions.announce(`${notebookName(share, trans)}: ${sentence}`);
        props.onClose();
      } else {
        await ask();
      }
    } catch (error) {
      setProblem(asApiError(error));
    }
    setBusy(false);
  };
  React.useEffect(() => void ask(), [kernelId, share.linked]);
  return {
    rungs,
    chosen,
    busy,
    said,
    problem,
    choose,
    ask: () => void ask(),
    go: () => void (chosen !== null && !busy && go(chosen))
  };
}

function RungList(
  props: IReleaseFormProps & ILadder & { readonly rungs: readonly Rung[] }
): React.JSX.Element {
  const { share, rungs, chosen, choose, trans } = props;
  const group = React.useId();
  const first = React.useRef<HTMLInputElement>(null);
  // Whoever came by the keyboard goes on from here.
  React.useEffect(() => first.current?.focus(), []);
  return (
    <>
      {rungs.map(rung => (
        <label key={rung.rung} className="jp-gpuext-Rung">
          <input
            ref={rung.rung === chosen ? first : null}
            type="radio"
            name={group}
            value={rung.rung}
            checked={rung.rung === chosen}
            disabled={!isOpen(rung.rung, share.linked)}
            onChange={() => choose(rung.rung)}
          />
          <span>{rungLabel(rung.rung, trans)}</span>
          <span className="jp-gpuext-Number">{rungAmount(rung, trans)}</span>
          {rung.price === '' ? null : <small>{printable(rung.price)}</small>}
        </label>
      ))}
    </>
  );
}

function NotLinked(props: IReleaseFormProps): React.JSX.Element {
  const { share, actions, trans } = props;
  return (
    <p className="jp-gpuext-Release-note">
      {trans.__(
        'This notebook cannot free memory by itself: the extension is not loaded in it.'
      )}{' '}
      <Button
        label={trans.__('Insert %load_ext')}
        onClick={() => actions.insertLoadExt(share)}
      />
    </p>
  );
}

function Refusal(props: {
  readonly problem: ApiError;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const said = wordsFor(props.problem, props.trans);
  return (
    <p className="jp-gpuext-Release-note" data-tone="error" role="alert">
      <strong>
        <Words text={said.message} />
      </strong>{' '}
      <Words text={said.hint} />
    </p>
  );
}
