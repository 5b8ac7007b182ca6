"""Take a text out of everything in which IPython keeps what was typed.

A cell that held a secret is in the lists `In` and `_ih`, the names `_i…`, the history database of this and
every later session, the sources kept for tracebacks, and the message that is being answered.
"""

from __future__ import annotations

import contextlib
import linecache
import re
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from IPython.core.interactiveshell import InteractiveShell

_INPUTS = re.compile(r"_i+|_i\d+")


def running_cell(shell: InteractiveShell) -> str:
    """Return the source of the cell that is being executed, as the person typed it."""
    message = _message(shell)
    if "code" in message:
        return str(message["code"])
    manager: Any = shell.history_manager
    return str(manager.input_hist_raw[-1]) if manager is not None else ""


def scrub(shell: InteractiveShell, texts: Mapping[str, str]) -> bool:
    """Replace texts wherever the shell keeps what was typed, now and once more when the cell has ended.

    Parameters
    ----------
    texts : mapping
        From what must go to what stands there instead; the longer ones are replaced first.

    Returns
    -------
    bool
        Whether the history database could be changed too.
    """
    swap = swapper(texts)
    _memory(shell, swap)
    cleaned = _database(shell, swap, list(texts))

    def after(result: Any = None) -> None:
        shell.events.unregister("post_run_cell", after)
        _memory(shell, swap)
        _result(result, swap)

    shell.events.register("post_run_cell", after)
    return cleaned


def swapper(texts: Mapping[str, str]) -> Callable[[str], str]:
    """Return the function that replaces `texts` in a text."""
    ordered = sorted((one for one in texts if one), key=len, reverse=True)

    def swap(text: str) -> str:
        for one in ordered:
            text = text.replace(one, texts[one])
        return text

    return swap


def _memory(shell: InteractiveShell, swap: Callable[[str], str]) -> None:
    manager: Any = shell.history_manager
    if manager is not None:
        for kept in (manager.input_hist_parsed, manager.input_hist_raw):
            kept[:] = [swap(one) for one in kept]
        for name in ("_i00", "_i", "_ii", "_iii"):
            setattr(manager, name, swap(getattr(manager, name, "")))
        with manager.db_input_cache_lock:
            manager.db_input_cache = [(line, swap(source), swap(raw)) for line, source, raw in manager.db_input_cache]
        for number, error in getattr(manager, "exceptions", {}).items():
            manager.exceptions[number] = _deep(error, swap)
    for name, value in list(shell.user_ns.items()):
        if isinstance(value, str) and _INPUTS.fullmatch(name):
            shell.user_ns[name] = swap(value)
    _sources(swap)
    message = _message(shell)
    if "code" in message:
        message["code"] = swap(message["code"])


def _sources(swap: Callable[[str], str]) -> None:
    for name, entry in list(linecache.cache.items()):
        if len(entry) == 4:
            lines = [swap(line) for line in entry[2]]
            # The mark of IPython's entries is their type: a plain entry would be checked against the disk, and dropped.
            if lines != entry[2]:
                linecache.cache[name] = (entry[0], entry[1], lines, entry[3])


def _database(shell: InteractiveShell, swap: Callable[[str], str], texts: list[str]) -> bool:
    manager: Any = shell.history_manager
    database = getattr(manager, "db", None)
    if manager is None or not getattr(manager, "enabled", False) or not isinstance(database, sqlite3.Connection):
        return True
    try:
        manager.writeout_cache()
        # Without it the old text stays in the file, in the space that is free again.
        database.execute("PRAGMA secure_delete = ON")
        with database:
            for table, columns in (("history", ("source", "source_raw")), ("output_history", ("output",))):
                for column in columns:
                    _column(database, table, column, swap, texts)
    except sqlite3.Error:
        return False
    return True


def _column(
    database: sqlite3.Connection, table: str, column: str, swap: Callable[[str], str], texts: list[str]
) -> None:
    found = " OR ".join(f"instr({column}, ?)" for _ in texts)
    rows = database.execute(f"SELECT rowid, {column} FROM {table} WHERE {found}", texts).fetchall()  # noqa: S608 -- our own names
    for row, text in rows:
        database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (swap(text), row))  # noqa: S608


def _result(result: Any, swap: Callable[[str], str]) -> None:
    info = getattr(result, "info", None)
    for name in ("raw_cell", "transformed_cell"):
        text = getattr(info, name, None)
        if isinstance(text, str):
            setattr(info, name, swap(text))


def _message(shell: InteractiveShell) -> dict[str, Any]:
    parent = getattr(shell, "parent_header", None)
    content = parent.get("content") if isinstance(parent, dict) else None
    return content if isinstance(content, dict) else {}


def _deep(value: Any, swap: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return swap(value)
    if isinstance(value, dict):
        return {key: _deep(one, swap) for key, one in value.items()}
    return [_deep(one, swap) for one in value] if isinstance(value, list) else value


@contextlib.contextmanager
def kept_out(shell: InteractiveShell, texts: Mapping[str, str]) -> Iterator[None]:
    """Scrub `texts` when the block fails; when it does not, the caller knows better texts to put there."""
    try:
        yield
    except BaseException:
        scrub(shell, texts)
        raise
