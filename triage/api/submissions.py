"""``/api/v1/submissions``: an analyst submits a URL, and sees what became of the earlier ones."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from triage import capture
from triage.api.reports import bounded_body
from triage.capture import NewSubmission
from triage.deps import NowDep, SessionDep, SignedInDep
from triage.new_report import from_json

router = APIRouter(prefix="/api/v1", tags=["submissions"])


@router.post(
    "/submissions",
    status_code=202,
    openapi_extra={
        "requestBody": {
            "content": {"application/json": {"schema": NewSubmission.model_json_schema()}},
            "required": True,
        }
    },
)
async def submit(request: Request, session: SessionDep, who: SignedInDep, now: NowDep) -> dict[str, Any]:
    """Submit one URL. 202 when it is stored; the page is fetched once, then read by the classifiers and a person."""
    raw = await bounded_body(request)
    submission = capture.parse(from_json(raw))
    accepted = await run_in_threadpool(capture.submit_url, session, who.user, submission, now=now)
    return {
        "report_id": str(accepted.report_id),
        "case_id": str(accepted.case_id),
        "case_number": accepted.case_number,
    }


@router.get("/submissions")
def own(
    session: SessionDep, who: SignedInDep, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> dict[str, list[dict[str, Any]]]:
    """The analyst's own submissions, newest first, with what became of each in words."""
    return {
        "submissions": [
            {
                "report_id": str(found.report_id),
                "case_number": found.case_number,
                "url": found.url,
                "submitted_at": found.submitted_at.isoformat(),
                "status": found.status,
                "missing": found.missing,
            }
            for found in capture.own_submissions(session, who.user, limit=limit)
        ]
    }
