import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Offer } from '../api';
import { Button, Notice } from '../components/notice';
import { Words, wordsFor } from '../components/words';
import { formatMoment, printable } from '../format';
import type { Connecting, Step } from './connecting';
import { expiryOf } from './expiry';
import { grantsText, isFar, roundTripText } from './offer';

const NAME = '[a-z][a-z0-9\\-]+';

interface IConnectProps {
  readonly connecting: Connecting;
  readonly trans: TranslationBundle;
  readonly onConnected: (offer: Offer) => void;
}

/** What a pasted link grants, and the one click that keeps it. */
export function Connect(props: IConnectProps): React.JSX.Element | null {
  const { connecting, trans } = props;
  const { step } = connecting;
  switch (step.state) {
    case 'idle':
      return null;
    case 'testing':
      return (
        <p className="jp-gpuext-Quiet jp-gpuext-Connect" role="status">
          {trans.__('Trying the link…')}{' '}
          <Button
            label={trans.__('Cancel')}
            onClick={() => connecting.cancel()}
          />
        </p>
      );
    case 'renewing':
      return <Renewal {...props} step={step} />;
    case 'failed': {
      const said = wordsFor(step.problem, trans);
      return (
        <Notice tone="error" message={said.message} hint={said.hint}>
          {step.problem.code === 'bad_request' ? null : (
            <Button
              label={trans.__('Try again')}
              onClick={() => void connecting.again()}
            />
          )}
          <Button
            label={trans.__('Cancel')}
            onClick={() => connecting.cancel()}
          />
        </Notice>
      );
    }
    case 'offered':
      return <OfferForm {...props} step={step} key={step.offer.root} />;
  }
}

function Renewal(
  props: IConnectProps & {
    readonly step: Extract<Step, { state: 'renewing' }>;
  }
): React.JSX.Element {
  const { connecting, trans, step } = props;
  const { name, trying, problem } = step;
  const said = problem ? wordsFor(problem, trans) : null;
  const ask = trans.__(
    'Paste the new link for %1 above and press Enter. Name, pins and lines that use it stay.',
    name
  );
  return (
    <Notice
      tone={problem ? 'error' : 'info'}
      message={trying ? trans.__('Trying the link…') : (said?.message ?? ask)}
      hint={trying ? '' : (said?.hint ?? '')}
    >
      <Button label={trans.__('Cancel')} onClick={() => connecting.cancel()} />
    </Notice>
  );
}

type Offered = Extract<Step, { state: 'offered' }>;

function OfferForm(
  props: IConnectProps & { readonly step: Offered }
): React.JSX.Element {
  const { connecting, trans, step } = props;
  const { offer, saving, problem } = step;
  const name = React.useRef<HTMLInputElement>(null);
  const readOnly = React.useRef<HTMLInputElement>(null);
  React.useEffect(() => name.current?.select(), []);
  const connect = async (event: React.FormEvent) => {
    event.preventDefault();
    const [title, isReadOnly] = [
      name.current?.value,
      readOnly.current?.checked
    ];
    const made = await connecting.connect(title ?? '', isReadOnly ?? true);
    if (made) {
      props.onConnected(made);
    }
  };
  return (
    <form
      className="jp-gpuext-Connect"
      aria-label={trans.__('Connect')}
      onSubmit={event => void connect(event)}
      onKeyDown={event => event.key === 'Escape' && connecting.cancel()}
    >
      <div className="jp-gpuext-Connect-root" title={printable(offer.root)}>
        {printable(offer.root)}
      </div>
      <Facts offer={offer} trans={trans} />
      <label className="jp-gpuext-Field">
        <span>{trans.__('Name')}</span>
        <input
          ref={name}
          type="text"
          defaultValue={offer.name}
          required
          pattern={NAME}
          maxLength={64}
          autoComplete="off"
          spellCheck={false}
          title={trans.__('Small letters, digits and hyphens: it names a URL')}
        />
      </label>
      <label className="jp-gpuext-Check">
        <input ref={readOnly} type="checkbox" defaultChecked />
        <span>{trans.__('Read-only')}</span>
      </label>
      {problem ? <Problem problem={problem} trans={trans} /> : null}
      <div className="jp-gpuext-Buttons">
        <button
          type="submit"
          className="jp-gpuext-Button"
          data-primary={true}
          disabled={saving}
        >
          {saving ? trans.__('Connecting…') : trans.__('Connect')}
        </button>
        <Button
          label={trans.__('Cancel')}
          onClick={() => connecting.cancel()}
        />
      </div>
    </form>
  );
}

function Problem(props: {
  readonly problem: Parameters<typeof wordsFor>[0];
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const said = wordsFor(props.problem, props.trans);
  return (
    <p className="jp-gpuext-Connect-problem" role="alert">
      <Words text={said.message} /> <Words text={said.hint} />
    </p>
  );
}

function Facts(props: {
  readonly offer: Offer;
  readonly trans: TranslationBundle;
}): React.JSX.Element {
  const { offer, trans } = props;
  const expiry = expiryOf(offer.expires_at, Date.now(), trans);
  return (
    <dl className="jp-gpuext-Facts-list">
      <dt>{trans.__('as')}</dt>
      <dd>{printable(offer.identity)}</dd>
      <dt>{trans.__('grants')}</dt>
      <dd>{grantsText(offer, trans)}</dd>
      {offer.one_object === null ? null : (
        <>
          <dt>{trans.__('opens')}</dt>
          <dd>
            {trans.__('one object only: %1', printable(offer.one_object))}
          </dd>
        </>
      )}
      {expiry && offer.expires_at ? (
        <>
          <dt>{trans.__('until')}</dt>
          <dd data-tone={expiry.tone}>
            {formatMoment(offer.expires_at)} ({expiry.text})
          </dd>
        </>
      ) : null}
      {offer.checks.map(check => (
        <React.Fragment key={check.what}>
          <dt>{check.what}</dt>
          <dd>
            <span data-ok={check.ok}>{check.ok ? '✓' : '✗'}</span>{' '}
            <Words text={printable(check.message)} />
          </dd>
        </React.Fragment>
      ))}
      {offer.round_trip_seconds === null ? null : (
        <>
          <dt>{trans.__('round trip')}</dt>
          <dd data-tone={isFar(offer.round_trip_seconds) ? 'warning' : 'quiet'}>
            {roundTripText(offer.round_trip_seconds, trans)}
          </dd>
        </>
      )}
    </dl>
  );
}
