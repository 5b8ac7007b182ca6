"""The verbs of `%gpu` and `jupyter gpu`."""

from __future__ import annotations

from jupyter_gpu_ext.commands.grammar import Verb

STATUS = Verb(
    name="gpu status",
    function="gpu.status",
    summary="Show each device: memory in use, how busy it is, or why it cannot be read.",
)

VERBS = {"status": STATUS}
