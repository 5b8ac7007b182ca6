import type * as React from 'react';

/** '-0001200.pt', or the whole of '.safetensors' and something before it. */
const TAIL_LETTERS = 16;

/** Checkpoints differ in their last letters: a long name is cut before them. */
export function MiddleCut({ text }: { text: string }): React.JSX.Element {
  const letters = [...text];
  const at = letters.length - TAIL_LETTERS;
  return at < TAIL_LETTERS ? (
    <>{text}</>
  ) : (
    <>
      <span className="jp-gpuext-Hidden">{text}</span>
      <span className="jp-gpuext-Cut" aria-hidden={true}>
        <span>{letters.slice(0, at).join('')}</span>
        <span>{letters.slice(at).join('')}</span>
      </span>
    </>
  );
}
