"""``POST /api/v1/reports`` and ``/reports/batch``: how partners report."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool

from triage import accounts, idempotency, intake
from triage.db import Partner
from triage.deps import NowDep, PartnerDep, SessionDep
from triage.domain.errors import TooLarge, TriageError
from triage.domain.words import Lane
from triage.intake import Accepted, Reporter
from triage.new_report import NewReport, from_json, parse
from triage.settings import current

router = APIRouter(prefix="/api/v1", tags=["reports"])

IdempotencyHeader = Annotated[
    str | None, Header(max_length=200, description="Repeat with the same key: the same answer, for seven days")
]


async def bounded_body(request: Request) -> bytes:
    """The body, read up to the limit. Raises TooLarge without reading on. A wrong Content-Length changes nothing."""
    limit = current().max_body_bytes
    too_large = TooLarge(f"The body is larger than {limit:,} bytes; split it")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


@router.post(
    "/reports",
    status_code=202,
    openapi_extra={
        "requestBody": {"content": {"application/json": {"schema": NewReport.model_json_schema()}}, "required": True}
    },
)
async def report(
    request: Request, session: SessionDep, partner: PartnerDep, now: NowDep, idempotency_key: IdempotencyHeader = None
) -> dict[str, Any]:
    """Report one post. 202 when it is stored; the classifiers and then a person will look at it."""
    raw = await bounded_body(request)

    def accept() -> dict[str, Any]:
        new = parse(from_json(raw))
        return _answer(intake.accept_report(session, _reporter(partner), new, now=now))

    return await run_in_threadpool(
        idempotency.once, session, partner, idempotency_key, _fingerprint(request, raw), accept
    )


@router.post("/reports/batch", status_code=202)
async def batch(
    request: Request, session: SessionDep, partner: PartnerDep, now: NowDep, idempotency_key: IdempotencyHeader = None
) -> dict[str, Any]:
    """Report up to 10,000 posts, one JSON object a line. Each line is answered; good ones are stored together."""
    raw = await bounded_body(request)

    def accept() -> dict[str, Any]:
        lines = [line for line in raw.split(b"\n") if line.strip()]
        limit = current().max_batch_lines
        if len(lines) > limit:
            raise TooLarge(f"{len(lines):,} lines; at most {limit:,} in one batch")
        reports, answers = _parse_lines(lines)
        accepted = intake.accept_reports(session, _reporter(partner), list(reports.values()), lane=Lane.BULK, now=now)
        for i, one in zip(reports, accepted, strict=True):
            answers[i] = _answer(one) | {"line": i + 1, "status": 202}
        return {
            "accepted": len(reports),
            "refused": len(lines) - len(reports),
            "results": [answers[i] for i in range(len(lines))],
        }

    return await run_in_threadpool(
        idempotency.once, session, partner, idempotency_key, _fingerprint(request, raw), accept
    )


def _parse_lines(lines: list[bytes]) -> tuple[dict[int, NewReport], dict[int, dict[str, Any]]]:
    """Good reports by line number, and the answers to bad lines."""
    reports: dict[int, NewReport] = {}
    refusals: dict[int, dict[str, Any]] = {}
    for i, line in enumerate(lines):
        try:
            reports[i] = parse(from_json(line))
        except TriageError as error:
            refusals[i] = {"line": i + 1, "status": error.status, "detail": error.detail, "field": error.field}
    return reports, refusals


def _fingerprint(request: Request, raw: bytes) -> str:
    return hashlib.sha256(request.url.path.encode() + b"\x00" + raw).hexdigest()


def _reporter(partner: Partner) -> Reporter:
    return Reporter(accounts.partner_actor(partner), partner=partner)


def _answer(accepted: Accepted) -> dict[str, Any]:
    return {
        "report_id": str(accepted.report_id),
        "case_id": str(accepted.case_id),
        "case_number": accepted.case_number,
        "duplicate": accepted.duplicate,
    }
