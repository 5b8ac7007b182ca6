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

METRICS = Verb(
    name="gpu metrics",
    function="gpu.exporter.metrics",
    summary="In a terminal: print the numbers for Prometheus, put them into a file, or serve them.",
    options=(
        Option(flag="--output", short="-o", metavar="FILE", help="replace FILE.prom in one step", keyword="output"),
        Option(
            flag="--serve",
            metavar="[HOST:]PORT",
            help="answer GET /metrics until Ctrl-C; without HOST to this machine alone",
            keyword="serve",
        ),
    ),
    needs_terminal=True,
)

TOP = Verb(
    name="gpu top",
    function="gpu.top.top",
    summary="In a terminal: show each device and your own processes on it, again and again, until q.",
    options=(
        Option(
            flag="--interval",
            short="-n",
            metavar="S",
            help="seconds between two readings, 1 to 3600 (default 2)",
            kind="number",
            keyword="interval_seconds",
        ),
        Option(flag="--once", help="one picture only", kind="flag", keyword="once"),
    ),
    needs_terminal=True,
)

CHECK_JOB = Verb(
    name="gpu doctor --job",
    function="check_job",
    summary="Check an exported job where it is to run: the machine, each connection, the data, the files.",
    positionals=("folder",),
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
        Option(
            flag="--job",
            metavar="FOLDER",
            kind="of",
            verb=CHECK_JOB,
            help="an exported job: its connections and its data as well",
        ),
    ),
)

EXPORT = Verb(
    name="gpu export",
    function="export.command.export",
    summary="In a terminal: write the notebook as a script, and as a job for Kubernetes and Slurm, into a folder.",
    positionals=("notebook",),
    options=(
        Option(flag="--output", short="-o", metavar="FOLDER", keyword="folder", help="default: jobs/NOTEBOOK"),
        Option(flag="--name", metavar="NAME", keyword="name", help="of the job; default: the notebook's"),
        Option(
            flag="--image",
            metavar="IMAGE",
            keyword="image",
            help="'same' or a name with its tag; default: the one that the notebook runs in, else PyTorch's",
        ),
        Option(
            flag="--code",
            metavar="WHERE",
            keyword="code",
            help="'configmap': the script comes with the job; 'image': it is built in",
        ),
        Option(flag="--gpus", metavar="N", kind="number", keyword="gpus", help="on one machine (default 1)"),
        Option(flag="--cpus", metavar="N", kind="number", keyword="cpus", help="(default 4)"),
        Option(flag="--memory", metavar="SIZE", keyword="memory", help="of the container (default 16Gi)"),
        Option(flag="--shm", metavar="SIZE", keyword="shared_memory", help="of /dev/shm (default 4Gi)"),
        Option(
            flag="--set",
            metavar="NAME=VALUE",
            kind="many",
            keyword="parameters",
            help="a parameter that is not to be the notebook's (repeatable)",
        ),
        Option(
            flag="--secret",
            metavar="NAME=SECRET",
            kind="many",
            keyword="secrets",
            help="the Kubernetes Secret of a connection (repeatable)",
        ),
        Option(
            flag="--service-account",
            metavar="NAME",
            keyword="service_account",
            help="whose workload identity opens the storage",
        ),
        Option(flag="--kernel", metavar="NAME", keyword="kernel", help="whose packages; default: the notebook's"),
        Option(
            flag="--unknown",
            metavar="WHAT",
            keyword="unknown",
            help="a magic without translation: 'error' (default) or 'comment'",
        ),
        Option(
            flag="--strict-shell", kind="flag", keyword="strict_shell", help="a !command that fails ends the script"
        ),
        Option(flag="--overwrite", kind="flag", keyword="overwrite", help="replace an earlier export"),
        Option(
            flag="--prove",
            kind="flag",
            keyword="prove",
            help="run the notebook and the script, here, and compare them; nothing of yours is written",
        ),
        Option(
            flag="--with",
            metavar="NAME=VALUE",
            kind="many",
            keyword="with_",
            help="a parameter of that run, such as steps=5 (repeatable)",
        ),
        Option(
            flag="--compare",
            metavar="NAME",
            kind="many",
            keyword="compare",
            help="a variable to compare; default: all that can be (repeatable)",
        ),
        Option(flag="--except", metavar="NAME", kind="many", keyword="away", help="one not to (repeatable)"),
    ),
    needs_terminal=True,
    gives_data=True,
)

RUN = Verb(
    name="gpu run",
    function="job.run.run",
    summary="In a terminal: run an exported job here, to its end. What follows -- is the script's: -- --lr 3e-4",
    positionals=("folder",),
    optional="argument",
    repeats=True,
    options=(
        Option(flag="--log", metavar="URL", keyword="log", help="its output goes there as well: run7://logs/train.log"),
        Option(flag="--gpus", metavar="N", kind="number", keyword="gpus", help="a process for each (default 1)"),
    ),
    needs_terminal=True,
)

VERIFY = Verb(
    name="gpu verify",
    function="export.verify.verify",
    summary="In a terminal: is an exported job still what it was, its data too, and does it compute the same?",
    positionals=("folder",),
    needs_terminal=True,
    gives_data=True,
)

VERBS = {
    "status": STATUS,
    "who": WHO,
    "release": RELEASE,
    "doctor": DOCTOR,
    "export": EXPORT,
    "run": RUN,
    "verify": VERIFY,
    "top": TOP,
    "metrics": METRICS,
}
