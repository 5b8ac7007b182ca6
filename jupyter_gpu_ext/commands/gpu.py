"""The verbs of `%gpu` and `jupyter gpu`."""

from __future__ import annotations

from jupyter_gpu_ext.commands.grammar import Option, Verb

STATUS = Verb(
    name="gpu status",
    function="gpu.status",
    summary="Show each device: memory in use, how busy it is, or why it cannot be read.",
)

WHO = Verb(
    name="gpu who",
    function="gpu.who",
    summary="List this process's tensors by size, with the names that hold them.",
)

RELEASE = Verb(
    name="gpu release",
    function="gpu.release",
    summary="Free torch's cache and what the last error holds; or RUNG: cache, traceback, outputs. Variables stay.",
    optional="rung",
    repeats=True,
)

DOCTOR = Verb(
    name="gpu doctor",
    function="gpu.doctor",
    summary="Check driver, container, torch and GPU, and say what to do. In a shell: 0 well, 1 warnings, 2 errors.",
    options=(
        Option(
            flag="--preflight",
            kind="flag",
            keyword="preflight",
            help="the part that a job can start with",
        ),
    ),
)

VERBS = {"status": STATUS, "who": WHO, "release": RELEASE, "doctor": DOCTOR}
