"""Logging: one line of JSON per record on standard error. Ids, codes and counts only, never post text.

Every line of a request carries its id, every line of a job the job's: ``note`` and ``about`` say which that is.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
#: What the lines of this request or job carry; threads that work for a request see it too.
_ids: ContextVar[Mapping[str, str] | None] = ContextVar("ids", default=None)


class JsonLines(logging.Formatter):
    """A record as one JSON object. Of an exception only its type and place are kept: messages may quote posts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(ids())
        line.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                line["where"] = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
        return json.dumps(line, default=str)


def ids() -> Mapping[str, str]:
    """What the lines of this request or job carry."""
    return _ids.get() or {}


def note(**more: str) -> None:
    """Let all further lines of this request carry these ids. A request ends with its task, and needs no undoing."""
    _ids.set({**ids(), **more})


@contextmanager
def about(**more: str) -> Iterator[None]:
    """Let the lines of this block carry these ids."""
    before = _ids.set({**ids(), **more})
    try:
        yield
    finally:
        _ids.reset(before)


def configure(level: int = logging.INFO) -> None:
    """Set up logging for a process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("rq.worker", "httpx", "alembic.runtime.migration"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
