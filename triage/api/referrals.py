"""``/api/v1/referrals``: how partners collect what was sent to them, and the schema it fits."""

import base64
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from triage import accounts, referral
from triage.db import Referral
from triage.deps import PartnerDep, SessionDep
from triage.domain.errors import Conflict
from triage.domain.words import ReferralStatus
from triage.formats import json_format
from triage.referral import Format

_PROBLEM: dict[str, Any] = {"application/problem+json": {}}
_KEYED: dict[int | str, dict[str, Any]] = {
    401: {"description": "Unknown or revoked key", "content": _PROBLEM},
    422: {"description": "A parameter is wrong; `field` names it", "content": _PROBLEM},
}
_NOT_FOUND = _KEYED | {
    404: {"description": "No such referral, or not yours: the answer does not tell which", "content": _PROBLEM}
}

router = APIRouter(prefix="/api/v1", tags=["referrals"])


class Summary(BaseModel):
    """A referral without its content. Nothing of the post is in here; download the export for that."""

    referral_id: uuid.UUID
    referral_number: int
    status: Literal["approved", "collected", "recalled"] = Field(
        description="approved: not downloaded yet. collected: you have downloaded it. recalled: withdrawn by the "
        "issuer; delete your copies"
    )
    referral_type: str = Field(description="voluntary_tos or voluntary_illegal; neither is an order")
    urgency: str = Field(description="P0 (look now) to P4")
    platform: str
    approved_at: datetime
    collected_at: datetime | None
    document_sha256: str = Field(description="SHA-256 of the JSON export, byte for byte")
    exports: dict[str, str] = Field(description="Address of each format")


class Page(BaseModel):
    """Some referrals, oldest approval first."""

    referrals: list[Summary]
    next: uuid.UUID | None = Field(description="Send it as `after` for the next page; null on the last one")


@router.get("/referrals", responses=_KEYED)
def list_referrals(
    session: SessionDep,
    partner: PartnerDep,
    after: Annotated[uuid.UUID | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    status: Annotated[
        Literal["approved", "collected", "recalled"] | None,
        Query(description="Poll with `approved`: what you have not downloaded yet"),
    ] = None,
) -> Page:
    """Referrals sent to you. Poll with `status=approved`, download each export, and repeat until the list is empty."""
    rows = referral.for_partner(
        session, partner, after=after, limit=limit + 1, status=ReferralStatus(status) if status else None
    )
    shown = rows[:limit]
    return Page(referrals=[_summary(row) for row in shown], next=shown[-1].id if len(rows) > limit else None)


@router.get("/referrals/{referral_id}", responses=_NOT_FOUND)
def get_referral(session: SessionDep, partner: PartnerDep, referral_id: uuid.UUID) -> Summary:
    """One referral sent to you: where it stands and where its exports are."""
    return _summary(referral.get_for_partner(session, partner, referral_id))


@router.get(
    "/referrals/{referral_id}/export",
    response_class=Response,
    responses=_NOT_FOUND
    | {
        200: {
            "description": "The file. `ETag` and `Repr-Digest` carry its SHA-256",
            "content": {"application/json": {}, "text/csv": {}},
        },
        409: {"description": "Recalled: it can no longer be downloaded", "content": _PROBLEM},
    },
)
def export_referral(
    session: SessionDep,
    partner: PartnerDep,
    referral_id: uuid.UUID,
    format: Annotated[Format, Query(description="json is the canonical form; csv is one flat row")] = Format.JSON,
) -> Response:
    """Download a referral. Every download is logged as a disclosure to you; the first marks it as collected.

    The JSON fits `/api/v1/schemas/referral.json` and is the same bytes each time.
    """
    mine = referral.get_for_partner(session, partner, referral_id)
    return _download(referral.export(session, accounts.partner_actor(partner), mine, format))


@router.get("/schemas/referral.json", response_class=Response)
def referral_schema() -> Response:
    """The JSON Schema (Draft 2020-12) of the JSON export. Needs no key."""
    return Response(json_format.schema_bytes(), media_type="application/schema+json")


def _download(export: referral.Export) -> Response:
    digest = base64.b64encode(bytes.fromhex(export.sha256)).decode()
    return Response(
        export.content,
        media_type=export.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{export.filename}"',
            "ETag": f'"{export.sha256}"',
            "Repr-Digest": f"sha-256=:{digest}:",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def _summary(row: Referral) -> Summary:
    if row.document is None or row.document_sha256 is None or row.approved_at is None:
        raise Conflict(f"Referral {row.number} is not approved")  # the database's CHECK rules this out
    address = f"/api/v1/referrals/{row.id}/export?format="
    return Summary.model_validate(
        {
            "referral_id": row.id,
            "referral_number": row.number,
            "status": row.status,
            "referral_type": row.document["envelope"]["referral_type"],
            "urgency": row.document["envelope"]["urgency"],
            "platform": row.document["content"]["platform"],
            "approved_at": row.approved_at,
            "collected_at": row.collected_at,
            "document_sha256": row.document_sha256,
            "exports": {str(kind): f"{address}{kind}" for kind in Format},
        }
    )
