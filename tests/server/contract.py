"""The API contract, as the tests ask it: routes, and whether a reply is what it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import yaml

import jupyter_gpu_ext.server
from tests.server.live import API

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from tests.server.live import Reply

FILE = Path(jupyter_gpu_ext.server.__file__).with_name("openapi.yaml")
SPEC: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
PATHS = list(SPEC["paths"])
OPERATIONS = [(path, method) for path, verbs in SPEC["paths"].items() for method in verbs]

UNKNOWN_KERNEL = "ffffffff-ffff-ffff-ffff-ffffffffffff"

# What a path's variables stand for in the routes, and a value that none of them knows.
_VARIABLES = {
    "uploads/{upload}": (r"uploads/([0-9a-f]{32})", f"uploads/{'0' * 32}"),
    "kernels/{kernel}": (r"kernels/([0-9a-f-]{36})", f"kernels/{UNKNOWN_KERNEL}"),
    "transfers/{job}": (r"transfers/([0-9a-f]{32})", f"transfers/{'0' * 32}"),
    "runs/{run}": (r"runs/([0-9a-f]{32})", f"runs/{'0' * 32}"),
    "proofs/{proof}": (r"proofs/([0-9a-f]{32})", f"proofs/{'0' * 32}"),
    "/{index}": (r"/(\d{1,6})", "/0"),
}


def concrete(path: str) -> str:
    """Return a path with values in place of its variables."""
    for variable, (_, value) in _VARIABLES.items():
        path = path.replace(variable, value)
    return path


def _template(route: str) -> str:
    for variable, (pattern, _) in _VARIABLES.items():
        route = route.replace(pattern, variable)
    return route


def closed(schema: Any) -> Any:
    """Return a schema in which what is not promised is forbidden."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


def check(path: str, reply: Reply, method: str = "get") -> Any:
    """Fail unless a reply is one that the contract promises for the path; return its JSON."""
    replies = SPEC["paths"][path][method]["responses"]
    promised = replies.get(str(reply.status), replies["default"])
    if "$ref" in promised:
        promised = SPEC["components"]["responses"][promised["$ref"].rpartition("/")[2]]
    schema = promised["content"]["application/json"]["schema"]
    whole = closed({**schema, "components": SPEC["components"]})
    jsonschema.Draft202012Validator(whole).validate(reply.json)
    assert reply.headers["Content-Type"] == "application/json"
    return reply.json


def routes(app: ServerApp) -> dict[str, type]:
    """Return the extension's routes in a running server, by path below the API's prefix."""
    found: dict[str, type] = {}

    def walk(router: Any) -> None:
        for rule in router.rules:
            if isinstance(rule.target, type):
                if rule.target.__module__.startswith("jupyter_gpu_ext."):
                    found[rule.matcher.regex.pattern] = rule.target
            elif hasattr(rule.target, "rules"):
                walk(rule.target)

    walk(app.web_app.default_router)
    base = re.escape(app.base_url.rstrip("/") + API)
    start = f"^(?:{base}|{app.base_url.rstrip('/')}{API})|\\$$"
    return {_template(re.sub(start, "", path)): one for path, one in found.items()}
