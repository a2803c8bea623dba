"""``POST /api/v1/score``: scores in the form that ``triage score`` prints."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError, model_validator

from classifiers.published import as_json
from triage.deps import PartnerDep
from triage.new_report import refusal, storable
from workers.scoring.requests import MOST_TEXTS, scoring_of, usable

router = APIRouter(tags=["scores"])


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else storable(value)


Id = Annotated[StrictStr, BeforeValidator(_as_text), Field(min_length=1, max_length=200)]


class Asked(BaseModel):
    """One text, or up to 100; each may have an id of the client's."""

    model_config = ConfigDict(extra="forbid")

    text: StrictStr | None = Field(None, description="The post, up to 20,000 characters")
    id: Id | None = None
    texts: Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_TEXTS)] | None = None
    ids: Annotated[list[Id], Field(max_length=MOST_TEXTS)] | None = Field(
        None, description="As many as there are texts; without them the results are numbered from 1"
    )

    @model_validator(mode="after")
    def _one_form(self) -> "Asked":
        if (self.text is None) == (self.texts is None):
            raise ValueError("give `text` or `texts`")
        if self.text is not None and self.ids is not None:
            raise ValueError("`ids` belongs to `texts`; give `id`")
        if self.texts is not None and self.id is not None:
            raise ValueError("`id` belongs to `text`; give `ids`")
        if self.texts is not None and self.ids is not None and len(self.ids) != len(self.texts):
            raise ValueError(f"`ids` has {len(self.ids)} entries for {len(self.texts)} texts")
        return self


def _parse(value: Any) -> tuple[list[str], list[str]]:
    """Texts and their ids. Raises InvalidInput, which names the field and quotes no text."""
    try:
        asked = Asked.model_validate(value)
    except ValidationError as error:
        raise refusal(error) from None
    if asked.text is not None:
        return [usable(asked.text, field="text")], [asked.id or "1"]
    texts = [usable(text, field=f"texts.{at}") for at, text in enumerate(asked.texts or [])]
    return texts, asked.ids or [str(number) for number in range(1, len(texts) + 1)]


@router.post(
    "/api/v1/score",
    openapi_extra={
        "requestBody": {"content": {"application/json": {"schema": Asked.model_json_schema()}}, "required": True}
    },
)
async def score(request: Request, partner: PartnerDep) -> dict[str, list[dict[str, Any]]]:
    """Scores for one text or several, in their order. Nothing is kept, and nobody is told: to report a post is another
    request (`POST /api/v1/reports`). `assessed: false` means that the machine has no opinion, not that a text is clean.
    """
    scoring = scoring_of(request)
    with scoring.one_request():
        texts, ids = _parse(await scoring.json_of(request))
        scored = await scoring.score(partner, texts)
    return {"results": [as_json(own_id, scores) for own_id, scores in zip(ids, scored, strict=True)]}
