"""What a script writes as JSON, an object a line: prints, log records, and the error that ends it."""

from __future__ import annotations

import io
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.job.rank import rank
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from typing import TextIO


class JsonLines(io.TextIOBase):
    """A standard output whose every line becomes an object on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._begun, self._lock = stream, "", RLock()

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
        return True

    def write(self, text: str) -> int:
        """Write the lines that `text` ends; what is begun waits for its end."""
        with self._lock:
            *whole, self._begun = (self._begun + text).split("\n")
            for line in whole:
                self.say("info", line)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        with self._lock:
            self._stream.flush()

    def end(self) -> None:
        """Write what was left without a line break."""
        if self._begun:
            self.write("\n")
        self.flush()

    def say(self, level: str, message: str, **more: Any) -> None:
        """Write one object."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": now, "level": level, "rank": rank(), "message": message} | more
        with self._lock:
            # In ASCII no reader takes U+2028 for the end of a line.
            self._stream.write(redact(json.dumps(entry, default=repr)) + "\n")
            self._stream.flush()


class _Handler(logging.Handler):
    def __init__(self, lines: JsonLines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        more = {"traceback": "".join(traceback.format_exception(*record.exc_info))} if record.exc_info else {}
        self._lines.say(record.levelname.lower(), record.getMessage(), logger=record.name, **more)


def begin() -> JsonLines:
    """From now on write JSON to standard output."""
    lines = JsonLines(sys.stdout)
    sys.stdout = lines
    root = logging.getLogger()
    root.addHandler(_Handler(lines))
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    return lines
