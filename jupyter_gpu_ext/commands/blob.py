"""The verbs of `%blob`, `%load_blob`, `%save_blob` and `jupyter blob`."""

from __future__ import annotations

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
    metavar="S",
    help="the part of Zarr arrays: '0:100, :' by index, 'time=2020-01:2020-03' by label",
    keyword="select",
)
_RAW = Option(flag="--raw", help="Zarr: values as they are stored, not decoded", kind="flag", keyword="raw")

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
    options=(_KEYS, _SELECT, _RAW),
)

LOAD = Verb(
    name="blob load",
    function="load",
    summary="Load a tensor file to the device and bind it to a name (the file's stem, or -o NAME).",
    positionals=("url",),
    options=(
        Option(flag="--output", short="-o", metavar="NAME", help="the variable to bind", kind="output"),
        Option(
            flag="--device",
            short="-d",
            metavar="DEVICE",
            help="auto (default), cpu, or a device of torch such as cuda:1",
            keyword="device",
        ),
        _KEYS,
        Option(flag="--dtype", metavar="TYPE", help="convert floating point to this, on the device", keyword="dtype"),
        _SELECT,
        _RAW,
        Option(
            flag="--cache", help="keep the bytes on this machine and read them from there", kind="flag", keyword="cache"
        ),
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

VERBS = {verb.name.removeprefix("blob "): verb for verb in (CONNECT, LS, INFO, PLAN, LOAD, SAVE, CP, RM, *cache.VERBS)}
