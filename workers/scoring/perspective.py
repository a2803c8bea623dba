"""``POST /v1alpha1/comments:analyze``: for clients of Perspective's Comment Analyzer API.

An attribute is answered only where policy codes of ours mean the same; the others are absent, never zero.
docs/partner.md explains the mapping to partners.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from classifiers.published import as_json
from triage.api import problems
from triage.db import Partner
from triage.deps import get_partner
from triage.domain.errors import InvalidInput, NotAuthenticated, TriageError
from triage.domain.scores import NotAssessed, Scores
from triage.domain.taxonomy import SCORED_CODES
from triage.settings import current
from workers.scoring import discovery
from workers.scoring.requests import scoring_of, usable

PATH = "/v1alpha1/comments:analyze"

_THREAT = ("TTL", "VTH", "INC", "WIT")
#: Attributes that are answered, and the codes of ours that fall under each: two of theirs, and all codes by name.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "THREAT": _THREAT,
    "THREAT_EXPERIMENTAL": _THREAT,
    **{code: (code,) for code in SCORED_CODES},
}
#: Attributes of theirs that we do not score, with or without _EXPERIMENTAL. Others are mistakes, and refused.
_NOT_SCORED = (
    "TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "SEXUALLY_EXPLICIT", "FLIRTATION",
    "TOXICITY_FAST", "ATTACK_ON_AUTHOR", "ATTACK_ON_COMMENTER", "INCOHERENT", "INFLAMMATORY",
    "LIKELY_TO_REJECT", "OBSCENE", "SPAM", "UNSUBSTANTIAL", "AFFINITY", "COMPASSION", "CURIOSITY", "NUANCE",
    "PERSONAL_STORY", "REASONING", "RESPECT", "ALIENATION", "FEARMONGERING", "GENERALIZATION", "MORAL_OUTRAGE",
    "POWER_APPEAL", "SCAPEGOATING",
)  # fmt: skip
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,80}")
_ERROR_TYPE = "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
_STATUSES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}

router = APIRouter(tags=["perspective"])


class BadComment(InvalidInput):
    """The comment cannot be assessed; ``details`` says so in the form that their clients look for."""

    def __init__(self, detail: str, kind: str, **details: Any) -> None:
        super().__init__(detail)
        self.details = [{"@type": _ERROR_TYPE, "errorType": kind, **details}]


class _Lenient(BaseModel):
    """Fields of theirs that mean nothing here (context, doNotStore, sessionId, communityId) are passed over."""

    model_config = ConfigDict(extra="ignore")


class _Comment(_Lenient):
    text: StrictStr
    type: StrictStr = "PLAIN_TEXT"


class _Parameters(_Lenient):
    scoreType: StrictStr = "PROBABILITY"
    scoreThreshold: Annotated[float, Field(ge=0, le=1)] | None = None


class Asked(_Lenient):
    """One comment and the attributes wanted."""

    comment: _Comment
    requestedAttributes: Annotated[dict[str, _Parameters], Field(min_length=1, max_length=200)]
    languages: Annotated[list[StrictStr], Field(max_length=50)] = []
    spanAnnotations: StrictBool = False
    clientToken: Annotated[StrictStr, Field(max_length=1000)] | None = None


def keyed_partner(
    key: Annotated[str | None, Query()] = None,
    x_goog_api_key: Annotated[str | None, Header()] = None,
    authorization: Annotated[str | None, Header()] = None,
) -> Partner:
    """The partner whose key came in the address, as their clients send it, or in a header. Raises NotAuthenticated.

    An address may reach logs on its way to us: ours holds none.
    """
    sent = key or x_goog_api_key
    return get_partner(f"Bearer {sent}" if sent else authorization)


@router.post(PATH)
async def analyze(request: Request, partner: Annotated[Partner, Depends(keyed_partner)]) -> dict[str, Any]:
    """Perspective's `comments:analyze`, for THREAT and for our policy codes by their names."""
    scoring = scoring_of(request)
    with scoring.one_request():
        asked = parse(await scoring.json_of(request))
        text = usable(asked.comment.text, field="comment.text")
        [scores] = await scoring.score(partner, [text])
    wanted = {name: parameters for name, parameters in asked.requestedAttributes.items() if name in ATTRIBUTES}
    _require_assessed(scores, wanted)
    attributes = {name: _attribute(name, scores, text, spans=asked.spanAnnotations) for name in wanted}
    answer = {
        "attributeScores": {
            name: found
            for name, found in attributes.items()
            if found["summaryScore"]["value"] >= (wanted[name].scoreThreshold or 0)
        },
        "languages": asked.languages or ["en"],
        "detectedLanguages": ["en"],
        "triage": as_json("1", scores),
    }
    return answer if asked.clientToken is None else answer | {"clientToken": asked.clientToken}


@router.get("/$discovery/rest", include_in_schema=False)
def describe(request: Request) -> JSONResponse:
    """What Google's client libraries build their methods from. Needs no key."""
    here = request.base_url.replace(scheme="https") if current().https else request.base_url
    return JSONResponse(discovery.document(str(here)), headers={"Cache-Control": "no-store"})


def parse(value: Any) -> Asked:
    """What is asked for, checked.

    Raises:
        InvalidInput: naming what is wrong, and quoting no text.
    """
    try:
        asked = Asked.model_validate(value)
    except ValidationError as error:
        raise _refusal(error) from None
    if asked.comment.type not in ("PLAIN_TEXT", "TEXT_TYPE_UNSPECIFIED"):
        raise InvalidInput("Only PLAIN_TEXT is assessed", field="comment.type")
    names = list(asked.requestedAttributes)
    known = f"There are {', '.join(ATTRIBUTES)}"
    if any(name not in ATTRIBUTES and name.removesuffix("_EXPERIMENTAL") not in _NOT_SCORED for name in names):
        raise InvalidInput(f"A requested attribute is unknown. {known}", field="requestedAttributes")
    if not any(name in ATTRIBUTES for name in names):
        raise InvalidInput(f"None of the requested attributes is scored here. {known}", field="requestedAttributes")
    for name in names:
        if asked.requestedAttributes[name].scoreType not in ("PROBABILITY", "SCORE_TYPE_UNSPECIFIED"):
            raise InvalidInput("Only PROBABILITY is answered", field=f"requestedAttributes.{name}.scoreType")
    if asked.languages and not any(_is_english(language) for language in asked.languages):
        raise _unsupported_language(next(name for name in names if name in ATTRIBUTES))
    return asked


def _refusal(error: ValidationError) -> InvalidInput:
    """The first thing wrong. A name is repeated only if it looks like one: it may be text, too."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return InvalidInput(first["msg"], field=field if _FIELD_NAME.fullmatch(field) else None)


def _is_english(language: str) -> bool:
    return re.split("[-_]", language)[0].lower() == "en"


def _unsupported_language(attribute: str) -> BadComment:
    return BadComment(
        f"Attribute {attribute} does not support request languages: the text was not assessed, which is not the same "
        "as harmless. Only English is",
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        languageNotSupportedByAttributeError={"detectedLanguages": ["und"], "attribute": attribute},
    )


def _require_assessed(scores: Scores, wanted: Mapping[str, Any]) -> None:
    """Raises what their API answers where it has no score; without one a comment would look clean."""
    if scores.assessed:
        return
    if scores.not_assessed is NotAssessed.UNKNOWN_LANGUAGE:
        raise _unsupported_language(next(iter(wanted)))
    if scores.not_assessed is NotAssessed.MODEL_FAILED:
        failed = TriageError("The text was not assessed: the model failed. Let a person read it")
        failed.status, failed.title = 500, "Not assessed"
        raise failed
    raise BadComment("The comment has no words: it was not assessed", "COMMENT_EMPTY")


def _attribute(name: str, scores: Scores, text: str, *, spans: bool) -> dict[str, Any]:
    codes = ATTRIBUTES[name]
    score = {"value": max(round(scores.labels[code], 4) for code in codes), "type": "PROBABILITY"}
    places = _evidence(scores, codes) if spans else []
    return {
        "summaryScore": score,
        "spanScores": [{"begin": begin, "end": end, "score": score} for begin, end in places or [(0, len(text))]],
    }


def _evidence(scores: Scores, codes: Sequence[str]) -> list[tuple[int, int]]:
    """Where the model saw one of ``codes``, in the order of the text. A lexicon's hit by itself is no score."""
    return sorted((span.start, span.end) for span in scores.evidence if span.source == "model" and span.code in codes)


def present(error: TriageError) -> JSONResponse:
    """A refusal as Google words it. A key that is not valid, and wrong input, are 400 there."""
    as_theirs = isinstance(error, InvalidInput | NotAuthenticated)
    status = 400 if as_theirs else error.status
    message = f"{error.field}: {error.detail}" if error.field and as_theirs else error.detail
    document: dict[str, Any] = {
        "code": status,
        "message": message,
        "status": _STATUSES.get(status, "INTERNAL"),
    }
    if isinstance(error, BadComment):
        document["details"] = error.details
    elif isinstance(error, NotAuthenticated):
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        document |= {"message": "API key not valid. Send it as `?key=`", "details": [reason]}
    headers = problems.answer(error).headers
    kept = {"Retry-After": headers["retry-after"]} if "retry-after" in headers else None
    return JSONResponse({"error": document}, status, kept)
