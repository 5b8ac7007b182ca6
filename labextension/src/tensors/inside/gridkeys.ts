// What a key means in the table. Pure.

export type GridKey =
  | { readonly kind: 'move'; readonly to: number; readonly reach: boolean }
  | { readonly kind: 'toggle' | 'all' | 'clear' | 'find' | 'enter' };

interface IPressed {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
}

/**
 * @param count - How many rows there are.
 * @param at - The active row; -1: none.
 * @param page - How many rows are seen at once.
 */
export function gridKey(
  pressed: IPressed,
  count: number,
  at: number,
  page: number
): GridKey | null {
  const { key, shiftKey: reach } = pressed;
  if (pressed.ctrlKey || pressed.metaKey) {
    return key.toLowerCase() === 'a' && !reach ? { kind: 'all' } : null;
  }
  if (pressed.altKey) {
    return null;
  }
  const to = destination(key, count, at, page);
  if (to !== null) {
    const last = count - 1;
    return count === 0
      ? null
      : { kind: 'move', to: Math.min(last, Math.max(0, to)), reach };
  }
  const kind = ACTS[key];
  return kind ? { kind } : null;
}

const ACTS: Readonly<
  Record<string, 'toggle' | 'clear' | 'find' | 'enter' | undefined>
> = { ' ': 'toggle', Escape: 'clear', '/': 'find', Enter: 'enter' };

function destination(
  key: string,
  count: number,
  at: number,
  page: number
): number | null {
  switch (key) {
    case 'ArrowDown':
      return at + 1;
    case 'ArrowUp':
      return at - 1;
    case 'PageDown':
      return at + page;
    case 'PageUp':
      return at - page;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return null;
  }
}
