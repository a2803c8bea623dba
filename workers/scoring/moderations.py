"""``POST /v1/moderations``: for clients of OpenAI's moderation API.

A category is answered only where policy codes of ours mean the same; the others are absent, never zero.
docs/partner.md explains the mapping to partners.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from classifiers.published import as_json
from triage.api import problems
from triage.deps import PartnerDep
from triage.domain import policy
from triage.domain.errors import InvalidInput, NotAuthenticated, QuotaExceeded, TriageError
from triage.domain.scores import Scores
from workers.scoring.requests import MOST_TEXTS, scoring_of, usable

PATH = "/v1/moderations"

_ARMS = ("WSALE", "FIRE", "CORR")
#: Categories of theirs, and the codes of ours that fall under each.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "harassment/threatening": ("TTL", "VTH", "RET", "WIT", "DOX"),
    "illicit": ("SUP", "MUL", "CLR", "CUC", *_ARMS),
    "illicit/violent": _ARMS,
    "violence": ("TTL", "VTH", "INC", "RET", "WDISP", "CORR", "FIRE", "VID", "WIT"),
}

router = APIRouter(tags=["moderations"])


@router.post(PATH)
async def moderate(request: Request, partner: PartnerDep) -> dict[str, Any]:
    """OpenAI's moderation API. `input` is a string, a list of up to 100 strings, or a list of text parts, which are one
    post. The answer's own form of the scores is in `triage`, with what no category of theirs can say.
    """
    scoring = scoring_of(request)
    with scoring.one_request():
        texts = texts_of(await scoring.json_of(request))
        scored = await scoring.score(partner, texts)
    return {
        "id": f"modr-{secrets.token_hex(12)}",
        "model": f"triage-{scoring.version}",
        "results": [_result(str(number), scores) for number, scores in enumerate(scored, 1)],
    }


def texts_of(value: Any) -> list[str]:
    """The texts to score. Parts are joined to one, each on a line of its own.

    Raises:
        InvalidInput: naming what is wrong, and quoting nothing.
    """
    given = value.get("input") if isinstance(value, dict) else None
    if isinstance(given, str):
        return [usable(given, field="input")]
    if not isinstance(given, list) or not given:
        raise InvalidInput("`input` must be a string, a list of strings or a list of text parts", field="input")
    if len(given) > MOST_TEXTS:
        raise InvalidInput(f"`input` has more than {MOST_TEXTS} entries", field="input")
    if all(isinstance(text, str) for text in given):
        return [usable(text, field=f"input.{at}") for at, text in enumerate(given)]
    return [usable("\n".join(_part(part, at) for at, part in enumerate(given)), field="input")]


def _part(part: Any, at: int) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "image_url":
        raise InvalidInput("Images are not assessed here; send text only", field=f"input.{at}.type")
    if kind != "text":
        raise InvalidInput("must be a string, or a part of type `text`, as all others are", field=f"input.{at}")
    text = part.get("text")
    if not isinstance(text, str):
        raise InvalidInput("must be a string", field=f"input.{at}.text")
    return text


def _result(number: str, scores: Scores) -> dict[str, Any]:
    """One result. Of a text that was not assessed it says no category at all, and flags it: a person must read it."""
    proposed = set(policy.assess(scores).codes)
    own = as_json(number, scores)
    mapped = CATEGORIES if scores.assessed else {}
    return {
        "flagged": own["flagged"],
        "categories": {name: bool(proposed & set(codes)) for name, codes in mapped.items()},
        "category_scores": {name: _highest(own["labels"], codes) for name, codes in mapped.items()},
        "category_applied_input_types": {name: ["text"] for name in mapped},
        "triage": own,
    }


def _highest(labels: Mapping[str, float], codes: Iterable[str]) -> float:
    return max(labels[code] for code in codes)


def present(error: TriageError) -> JSONResponse:
    """A refusal as OpenAI words it. Wrong input is 400 there, and a quota that is used up is not tried again."""
    answer = problems.answer(error)
    status = 400 if isinstance(error, InvalidInput) else error.status
    kind, code = "invalid_request_error", None
    if isinstance(error, NotAuthenticated):
        code = "invalid_api_key"
    elif isinstance(error, QuotaExceeded):
        kind = code = "insufficient_quota"
        answer.headers["x-should-retry"] = "false"
    elif status >= 500:
        kind = "server_error"
    kept = {name: answer.headers[name] for name in ("retry-after", "x-should-retry") if name in answer.headers}
    document = {"error": {"message": _sentence(error), "type": kind, "param": error.field, "code": code}}
    return JSONResponse(document, status, kept)


def _sentence(error: TriageError) -> str:
    return f"{error.field}: {error.detail}" if error.field and error.detail[0].islower() else error.detail
