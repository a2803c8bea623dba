"""``triage import``: reports from a JSONL or CSV file, on a partner's behalf, in chunks that commit whole."""

import codecs
import csv
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import typer
from rich.progress import Progress
from sqlalchemy import select

from triage import accounts, intake
from triage.db import Partner
from triage.db.session import transaction
from triage.domain.errors import BacklogFull, InvalidInput, Later, NotFound, TriageError
from triage.domain.words import Lane
from triage.intake import Reporter
from triage.new_report import NewReport, from_json, parse

_CHUNK = 1000
#: While too much waits for scores, a waiting import looks again after so many seconds.
_LOOK_AGAIN_SECONDS = 2.0
csv.field_size_limit(1_000_000)


class Stopped(TriageError):
    """Somebody stopped an import that waited."""

    title = "Stopped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file's rows."""

    accepted: int
    duplicates: int
    refused: int
    rejects: Path


def import_file(file: Path, *, partner_name: str, rejects: Path, from_line: int = 1, wait: bool = True) -> Outcome:
    """Import ``file``; rows that are refused go to ``rejects`` with their line number and reason.

    Chunks of 1,000 rows commit one by one: after a crash, import the file again. Rows that carry an
    ``external_id`` are then recognised and not counted twice.

    Args:
        from_line: where to go on; lines before it are left out, and ``rejects`` keeps what it holds.
        wait: for room, when too much waits for scores already; otherwise stop.

    Raises:
        BacklogFull, QuotaExceeded, Stopped: after how many rows, and where to go on.
        InvalidInput: ``rejects`` is the file itself.
        NotFound: no such partner.
    """
    if rejects.resolve() == file.resolve():
        raise InvalidInput("The rejects would overwrite the file itself; name another with --rejects", field="rejects")
    accepted = duplicates = refused = 0
    with file.open("rb") as source, Progress(transient=True) as progress:
        if from_line == 1:
            rejects.unlink(missing_ok=True)
        bar = progress.add_task("Importing", total=file.stat().st_size)
        rows = (row for row in _rows(file, source) if row[0] >= from_line)
        while chunk := list(islice(rows, _CHUNK)):
            good, bad = _parse(chunk)
            try:
                known = _accept_in_time(partner_name, good, wait=wait)
            except (Later, Stopped) as error:
                why = error.why if isinstance(error, BacklogFull) else error.detail
                error.detail = f"{why}. {accepted:,} rows are stored; go on later with --from-line {chunk[0][0]}"
                error.args = (error.detail,)
                raise
            accepted += len(good)
            duplicates += known
            refused += len(bad)
            _write_rejects(rejects, bad)
            progress.update(bar, completed=source.tell())
    return Outcome(accepted, duplicates, refused, rejects)


def _accept_in_time(partner_name: str, reports: list[NewReport], *, wait: bool) -> int:
    """Accept reports as soon as there is room; returns how many were known."""
    said = ""
    while True:
        try:
            return _accept(partner_name, reports)
        except BacklogFull as error:
            if not wait:
                raise
            why = error.why
        try:  # nothing is half done here: a safe place to be stopped
            if not said:
                said = f"{why}: waiting until there is room (Ctrl-C stops; `triage doctor` says more)"
                typer.echo(said, err=True)
            time.sleep(_LOOK_AGAIN_SECONDS)
        except KeyboardInterrupt:
            raise Stopped("Stopped while waiting for room") from None


def _rows(file: Path, source: BinaryIO) -> Iterator[tuple[int, Any]]:
    """(line number, row as text or as fields). A byte-order mark, as spreadsheets write it, is left out."""
    if source.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        source.seek(0)
    lines = (raw.decode("utf-8", errors="surrogateescape") for raw in iter(source.readline, b""))
    if file.suffix.lower() == ".csv":
        yield from _csv_rows(lines)
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line


def _csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(lines)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field of more than a million characters, mostly a quotation mark that is never closed
            yield reader.line_num, InvalidInput("not a row of CSV: is a quotation mark left open?")
            continue
        yield reader.line_num, {key: _csv_value(key, value) for key, value in row.items() if value not in ("", None)}


def _csv_value(key: str, value: Any) -> Any:
    """CSV knows text only."""
    return {"true": True, "false": False}.get(str(value).lower(), value) if key == "urgent" else value


def _parse(chunk: Iterable[tuple[int, Any]]) -> tuple[list[NewReport], list[dict[str, Any]]]:
    good: list[NewReport] = []
    bad: list[dict[str, Any]] = []
    for number, row in chunk:
        try:
            if isinstance(row, InvalidInput):
                raise row
            good.append(parse(from_json(row) if isinstance(row, str) else row))
        except InvalidInput as error:
            kept = None if isinstance(row, InvalidInput) else row
            bad.append({"line": number, "field": error.field, "detail": error.detail, "row": kept})
    return good, bad


def _accept(partner_name: str, reports: list[NewReport]) -> int:
    if not reports:
        return 0
    with transaction() as session:
        partner = session.scalar(select(Partner).where(Partner.name == partner_name))
        if partner is None:
            raise NotFound(f"There is no partner called {partner_name}; add it with `triage key partner`")
        reporter = Reporter(accounts.partner_actor(partner), partner=partner)
        answers = intake.accept_reports(session, reporter, reports, lane=Lane.BULK, now=datetime.now(UTC))
    return sum(answer.duplicate for answer in answers)


def _write_rejects(rejects: Path, bad: list[dict[str, Any]]) -> None:
    if bad:
        with rejects.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(row) + "\n" for row in bad)
