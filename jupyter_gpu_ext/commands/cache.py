"""The verbs of `%blob cache` and `jupyter blob cache`."""

from __future__ import annotations

from jupyter_gpu_ext.commands.grammar import Verb

LS = Verb(
    name="blob cache ls",
    function="cache.ls",
    summary="List the hot data that is held on this machine, and how much may be.",
)

CLEAR = Verb(
    name="blob cache clear",
    function="cache.clear",
    summary="Remove what is held: all, one object's, or all below a prefix. Storage is not touched.",
    optional="url",
)

WARM = Verb(
    name="blob cache warm",
    function="cache.warm",
    summary="Fetch an object, or all below a prefix, before it is needed.",
    positionals=("url",),
    reports=True,
)

VERBS = (LS, CLEAR, WARM)
