"""``triage import``: reports from a JSONL or CSV file, on a partner's behalf, in chunks that commit whole."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from rich.progress import Progress
from sqlalchemy import select

from triage import accounts, intake
from triage.db import Partner
from triage.db.session import transaction
from triage.domain.errors import InvalidInput, NotFound
from triage.domain.words import Lane
from triage.intake import NewReport, Reporter

_CHUNK = 1000
csv.field_size_limit(1_000_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file's rows."""

    accepted: int
    duplicates: int
    refused: int
    rejects: Path


def import_file(file: Path, *, partner_name: str, rejects: Path) -> Outcome:
    """Import ``file``; rows that are refused go to ``rejects`` with their line number and reason.

    Chunks of 1,000 rows commit one by one: after a crash, import the file again. Rows that carry an
    ``external_id`` are then recognised and not counted twice.

    Raises:
        NotFound: no such partner.
    """
    accepted = duplicates = refused = 0
    rejects.unlink(missing_ok=True)
    with file.open("rb") as source, Progress(transient=True) as progress:
        bar = progress.add_task("Importing", total=file.stat().st_size)
        rows = _rows(file, source)
        while chunk := list(islice(rows, _CHUNK)):
            good, bad = _parse(chunk)
            known = _accept(partner_name, good)
            accepted += len(good)
            duplicates += known
            refused += len(bad)
            _write_rejects(rejects, bad)
            progress.update(bar, completed=source.tell())
    return Outcome(accepted, duplicates, refused, rejects)


def _rows(file: Path, source: BinaryIO) -> Iterator[tuple[int, Any]]:
    """(line number, parsed row or the error that stopped it)."""
    lines = (raw.decode("utf-8", errors="surrogateescape") for raw in iter(source.readline, b""))
    if file.suffix.lower() == ".csv":
        reader = csv.DictReader(lines)
        for row in reader:
            yield reader.line_num, {key: value for key, value in row.items() if value not in ("", None)}
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line


def _parse(chunk: Iterable[tuple[int, Any]]) -> tuple[list[NewReport], list[dict[str, Any]]]:
    good: list[NewReport] = []
    bad: list[dict[str, Any]] = []
    for number, row in chunk:
        try:
            good.append(intake.parse(_object(row)))
        except InvalidInput as error:
            bad.append({"line": number, "field": error.field, "detail": error.detail, "row": row})
    return good, bad


def _object(row: Any) -> Any:
    if not isinstance(row, str):
        return row
    try:
        return json.loads(row)
    except ValueError:
        raise InvalidInput("not valid JSON") from None


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
