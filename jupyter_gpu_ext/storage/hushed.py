"""What the providers' clients log, without secrets.

At DEBUG they log whole requests: headers with a session's token, replies that repeat a signature. A filter of a
logger sees only what is logged to this very logger, so each of a client's loggers gets it.
"""

from __future__ import annotations

import importlib.util
import logging
import pkgutil

from jupyter_gpu_ext.text import redact


class _Hush(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (clean := redact(said)) != said:
            record.msg, record.args = clean, None
        if record.exc_info:
            # Its text is all that is kept of it: other handlers would write it out again.
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


_HUSH = _Hush()


def hush(*packages: str) -> None:
    """Take secrets out of what `packages` log from now on; to be called when they are imported."""
    for name in {*logging.root.manager.loggerDict, *(module for package in packages for module in _modules(package))}:
        if name.partition(".")[0] in packages:
            # The same filter is added once.
            logging.getLogger(name).addFilter(_HUSH)


def _modules(package: str) -> list[str]:
    """Return the modules of a package that may be imported later, and have a logger of their name then."""
    found = importlib.util.find_spec(package)
    places = found.submodule_search_locations if found is not None else None
    return [f"{package}.{one.name}" for one in pkgutil.iter_modules(places)] if places else []
