"""What the providers' clients log, without secrets.

At DEBUG they log whole requests: headers with a session's token, replies that repeat a signature. A filter of a
logger sees only what is logged to this very logger, so each of a client's loggers gets it.
"""

from __future__ import annotations

import logging

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
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in packages:
            # The same filter is added once.
            logging.getLogger(name).addFilter(_HUSH)
