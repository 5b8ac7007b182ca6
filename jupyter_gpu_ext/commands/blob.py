"""The verbs of `%blob`, `%load_blob`, `%save_blob` and `jupyter blob`."""

from __future__ import annotations

from dataclasses import replace

from jupyter_gpu_ext.commands import cache
from jupyter_gpu_ext.commands.grammar import Option, Verb

_KEYS = Option(
    flag="--keys",
    short="-k",
    metavar="GLOB",
    help="only tensors whose dotted name matches; repeat for more, '!GLOB' excludes",
    kind="many",
    keyword="keys",
)
_SELECT = Option(
    flag="--select",
    short="-s",
    metavar="PART",
    help="the part of Zarr arrays: '0:100, :' by index, 'time=2020-01:2020-03' by label",
    keyword="select",
)
_RAW = Option(flag="--raw", help="Zarr: values as they are stored, not decoded", kind="flag", keyword="raw")

_DEVICE = Option(
    flag="--device",
    short="-d",
    metavar="DEVICE",
    help="auto (default), cpu, a device of torch such as cuda:1; fit: the rest on the cpu; 'GLOB=DEVICE,…'",
    keyword="device",
)
_DTYPE = Option(flag="--dtype", metavar="TYPE", help="what floating point tensors become: bfloat16", keyword="dtype")
_CACHE = Option(
    flag="--cache", help="keep the bytes on this machine and read them from there", kind="flag", keyword="cache"
)
_NO_FIT_CHECK = Option(
    flag="--no-fit-check", help="begin even if it does not seem to fit", kind="off", keyword="fit_check"
)

CONNECT = Verb(
    name="blob connect",
    function="connect",
    summary="Connect a link, a connection string or a folder; without one it asks, unseen.",
    optional="link",
    options=(
        Option(flag="--name", short="-n", metavar="NAME", help="what to call it", keyword="name"),
        Option(flag="--renew", help="this link is the new one of the connection --name", kind="flag", keyword="renew"),
        Option(flag="--writable", help="allow writing over this connection", kind="off", keyword="read_only"),
    ),
)

LS = Verb(
    name="blob ls",
    function="ls",
    summary="List a connection, a folder, or all connections.",
    optional="url",
    options=(
        Option(
            flag="--limit",
            metavar="N",
            help="entries to show, 1 to 1000 (default 200)",
            kind="number",
            keyword="limit",
        ),
    ),
)

INFO = Verb(
    name="blob info",
    function="info",
    summary="Show what is inside a tensor file: names, types, shapes, bytes. Reads the header only.",
    positionals=("url",),
)

PLAN = Verb(
    name="blob plan",
    function="plan",
    summary="Show what a load would request, read and hold. Reads the header only.",
    positionals=("url",),
    options=(_KEYS, _DEVICE, _DTYPE, _SELECT, _RAW),
)

VIEW = Verb(
    name="blob view",
    function="view",
    summary="Open the array viewer on a tensor file or a Zarr store.",
    positionals=("url",),
    options=(
        Option(flag="--path", short="-p", metavar="NAME", help="the array to begin with", keyword="path"),
        replace(_SELECT, help="the part to begin with: '0, :, :' by index, 'time=2020-01' by label"),
    ),
)

DRY_RUN = replace(PLAN, always={"device": "auto"})

LOAD_INTO = Verb(
    name="blob load --into",
    function="load_into",
    summary="Load a tensor file into a model that is there.",
    positionals=("model", "url"),
    options=(_KEYS, _DEVICE, _DTYPE, _CACHE, _NO_FIT_CHECK),
    reports=True,
)

LOAD = Verb(
    name="blob load",
    function="load",
    summary="Load a tensor file to the device and bind it to a name (the file's stem, or -o NAME).",
    positionals=("url",),
    options=(
        Option(flag="--output", short="-o", metavar="NAME", help="the variable to bind", kind="output"),
        _DEVICE,
        _DTYPE,
        _KEYS,
        _SELECT,
        Option(
            flag="--into",
            metavar="MODEL",
            help="fill a model that is there, in place; nothing is bound",
            kind="into",
            verb=LOAD_INTO,
        ),
        _RAW,
        Option(flag="--resume", help="go on where storage failed the last time", kind="flag", keyword="resume"),
        _CACHE,
        Option(flag="--replace", help="drop the name's old value first, for its room", kind="replace"),
        _NO_FIT_CHECK,
        Option(flag="--dry-run", help="only say what it would read and whether it fits", kind="instead", verb=DRY_RUN),
    ),
    binds=True,
)

CP = Verb(
    name="blob cp",
    function="cp",
    summary="Copy an object or a file; within a connection the provider copies. Paths start with / ./ ../ or ~",
    positionals=("src", "dst"),
    reports=True,
    options=(
        Option(
            flag="--recursive",
            short="-r",
            help="all below the folder SRC, to below DST",
            kind="flag",
            keyword="recursive",
        ),
        Option(flag="--overwrite", help="replace what is there", kind="flag", keyword="overwrite"),
    ),
)

RM = Verb(
    name="blob rm",
    function="rm",
    summary="Remove an object; asks first and says how much it is.",
    positionals=("url",),
    options=(
        Option(flag="--recursive", short="-r", help="all below the folder URL", kind="flag", keyword="recursive"),
        Option(flag="--yes", short="-y", help="do not ask", kind="consent"),
    ),
    asks=True,
)

SAMPLE = Verb(
    name="blob sample",
    function="sample",
    summary="Write a small valid piece of a store or a file to this machine: Zarr of arrays, the head of other files.",
    positionals=("url", "local"),
    reports=True,
    options=(
        replace(_KEYS, help="only arrays or tensors whose name matches, and their coordinates; '!GLOB' excludes"),
        replace(_SELECT, help="the part: '0:100, :' by index, 'time=2020-01' by label (default: the first chunk)"),
        Option(
            flag="--max-bytes",
            metavar="N",
            help="values at most, in bytes (default 64 MiB; the head of a file 1 MB)",
            kind="number",
            keyword="max_bytes",
        ),
        Option(
            flag="--overwrite",
            help="replace the file or the Zarr store that is there",
            kind="flag",
            keyword="overwrite",
        ),
    ),
)

SAVE = Verb(
    name="blob save",
    function="save",
    summary="Write a value's tensors to storage, straight from the device; whole or not at all.",
    positionals=("name", "url"),
    options=(
        Option(
            flag="--format", short="-f", metavar="FORMAT", help="safetensors, pt or npy; else by URL", keyword="format"
        ),
        Option(flag="--overwrite", help="replace the object that is there", kind="flag", keyword="overwrite"),
    ),
    takes_value=True,
    reports=True,
)

_ALL = (CONNECT, LS, INFO, PLAN, VIEW, LOAD, SAVE, SAMPLE, CP, RM, *cache.VERBS)
VERBS = {verb.name.removeprefix("blob "): verb for verb in _ALL}
