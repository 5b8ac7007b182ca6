import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Words } from '../components/words';
import { printable } from '../format';

export interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
  readonly hint?: string;
}

/** A line of the form: its name, and what is filled in. */
export function Line(props: {
  readonly label: string;
  readonly children: React.ReactNode;
}): React.JSX.Element {
  return (
    <fieldset className="jp-gpuext-Export-line">
      <legend>{props.label}</legend>
      <div>{props.children}</div>
    </fieldset>
  );
}

/** One of a few. */
export function Choices<T extends string>(props: {
  readonly label: string;
  readonly value: T;
  readonly choices: readonly Choice<T>[];
  readonly onChange: (value: T) => void;
  readonly children?: React.ReactNode;
}): React.JSX.Element {
  const name = React.useId();
  return (
    <Line label={props.label}>
      {props.choices.map(({ value, label, hint }) => (
        <label key={value} className="jp-gpuext-Export-check" title={hint}>
          <input
            type="radio"
            name={name}
            checked={value === props.value}
            onChange={() => props.onChange(value)}
          />
          {label}
        </label>
      ))}
      {props.children}
    </Line>
  );
}

interface ITextProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly help?: string;
  /** Why it cannot be what is typed; '' where it can. */
  readonly problem?: string;
  /** Its label is seen; else only read. */
  readonly shown?: boolean;
  readonly onChange: (text: string) => void;
}

/** A line of text with its help below it. */
export function Text(props: ITextProps): React.JSX.Element {
  const id = React.useId();
  const { label, problem = '', shown = true } = props;
  const help = problem || (props.help ?? '');
  return (
    <>
      <label
        htmlFor={id}
        className={shown ? 'jp-gpuext-Export-name' : 'jp-gpuext-Hidden'}
      >
        {printable(label)}
      </label>
      <div className="jp-gpuext-Export-input">
        <input
          id={id}
          type="text"
          spellCheck={false}
          autoComplete="off"
          value={props.value}
          placeholder={props.placeholder}
          aria-describedby={help === '' ? undefined : `${id}-help`}
          aria-invalid={problem !== ''}
          onChange={event => props.onChange(event.target.value)}
        />
        {help === '' ? null : (
          <small
            id={`${id}-help`}
            role={problem === '' ? undefined : 'status'}
            data-tone={problem === '' ? undefined : 'error'}
          >
            <Words text={printable(help)} />
          </small>
        )}
      </div>
    </>
  );
}

/** A parameter that is on or off. */
export function Flag(props: {
  readonly label: string;
  readonly value: boolean;
  readonly help: string;
  readonly trans: TranslationBundle;
  readonly onChange: (value: boolean) => void;
}): React.JSX.Element {
  const id = React.useId();
  return (
    <>
      <label htmlFor={id} className="jp-gpuext-Export-name">
        {printable(props.label)}
      </label>
      <div className="jp-gpuext-Export-input">
        <input
          id={id}
          type="checkbox"
          checked={props.value}
          aria-describedby={props.help === '' ? undefined : `${id}-help`}
          onChange={event => props.onChange(event.target.checked)}
        />
        {props.help === '' ? null : (
          <small id={`${id}-help`}>{printable(props.help)}</small>
        )}
      </div>
    </>
  );
}
