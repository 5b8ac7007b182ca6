"""Other names for the tensors of a file, by globs with one '*'; and which renaming two sets of names ask for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_TRIED = 50


def renamed(names: Iterable[str], rules: Mapping[str, str]) -> dict[str, str]:
    """Return each name's new name; the first rule whose glob matches counts, and what none matches stays.

    Parameters
    ----------
    rules : mapping of str to str
        Globs with one '*' each, which stands for any text: `{"module.*": "*"}`; or whole names.

    Raises
    ------
    BadRequestError
        For a rule of another form, and where two names become one.

    Examples
    --------
    >>> renamed(["module.a.w", "b"], {"module.*": "net.*"})
    {'module.a.w': 'net.a.w', 'b': 'b'}
    """
    checked = [_checked(old, new) for old, new in rules.items()]
    found = {name: next(filter(None, (_apply(name, *rule) for rule in checked)), name) for name in names}
    twice = next((name for name, count in Counter(found.values()).items() if count > 1), None)
    if twice is not None:
        both = " and ".join(printable(old[:80]) for old, new in found.items() if new == twice)
        raise BadRequestError(f"{both} would both be called {printable(twice[:80])}.", hint="Make the globs narrower.")
    return found


def proposal(wanted: Collection[str], found: Collection[str]) -> dict[str, str]:
    """Return the rule that makes most of the names `found` those that are `wanted`; {} where a prefix is not it.

    `module.` of DistributedDataParallel and `_orig_mod.` of torch.compile are such prefixes, on either side.

    Examples
    --------
    >>> proposal({"a.w", "a.b"}, {"module.a.w", "module.a.b"}), proposal({"_orig_mod.w"}, {"w"})
    ({'module.*': '*'}, {'*': '_orig_mod.*'})
    """
    wanted, found = set(wanted), set(found)
    prefixes: dict[str, str] = {}
    for name in sorted(wanted - found):
        for prefix, tail in _cuts(name):
            prefixes.setdefault(tail, prefix)
    seen = Counter[tuple[str, str]]()
    for name in sorted(found - wanted)[:_TRIED]:
        # The longest end that a name shares with one that is wanted.
        seen.update(
            [next(((f"{one}*", f"{prefixes[tail]}*") for one, tail in _cuts(name) if tail in prefixes), ("", ""))]
        )
    rules = [{old: new} for (old, new), _ in seen.most_common(3) if old]
    best = max(rules, key=lambda rule: _gain(rule, wanted, found), default={})
    return best if best and _gain(best, wanted, found) * 2 > len(wanted - found) else {}


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Yield each prefix of whole parts and what is left, the longest rest first."""
    parts = name.split(".")
    for at in range(len(parts)):
        tail = ".".join(parts[at:])
        yield name.removesuffix(tail), tail


def _gain(rule: Mapping[str, str], wanted: set[str], found: set[str]) -> int:
    ((old, new),) = rule.items()
    moved = {_apply(name, old, new) for name in found - wanted}
    return len(moved & (wanted - found))


def _checked(old: Any, new: Any) -> tuple[str, str]:
    if not isinstance(old, str) or not isinstance(new, str) or old.count("*") != new.count("*") or old.count("*") > 1:
        raise BadRequestError(
            f"rename={{{str(old)[:60]!r}: {str(new)[:60]!r}}} is no renaming.",
            hint='One \'*\' on both sides, or whole names: rename={"module.*": "*"}.',
        )
    return old, new


def _apply(name: str, old: str, new: str) -> str:
    """Return the new name, '' where the rule does not match."""
    if "*" not in old:
        return new if name == old else ""
    start, end = old.split("*")
    if len(name) < len(start) + len(end) or not name.startswith(start) or not name.endswith(end):
        return ""
    return new.replace("*", name[len(start) : len(name) - len(end)])
