"""One report as a reporter sends it: its fields, how they are checked, and how a refusal is worded."""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from triage.domain.errors import InvalidInput
from triage.domain.words import AcquisitionMode, Purpose
from triage.settings import current

_SURROGATE_OR_NUL = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"\s+")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_.]{0,60}")
#: PostgreSQL stores times, near the years 1 and 9999, that Python cannot read back: the case would never open again.
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def storable(value: Any) -> Any:
    """PostgreSQL stores neither NUL nor half a surrogate pair. The report must not be lost for it."""
    return _SURROGATE_OR_NUL.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    """A time is written out (ISO 8601); a bare number would leave its unit to a guess."""
    if not isinstance(value, str | datetime):
        raise ValueError("must be a date and time with its offset, in text")
    return value


def _canonical_url(value: str) -> str:
    """One spelling for one address: no fragment, lower-case host, no default port or trailing slash."""
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError("not a URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https URL with a host")
    if parts.username or parts.password:
        raise ValueError("must not carry a user name or password")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    netloc = host if port in (None, default) else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), parts.query, ""))


Short = Annotated[str, BeforeValidator(storable), Field(min_length=1, max_length=200)]
Long = Annotated[str, BeforeValidator(storable), Field(min_length=1, max_length=2000)]


class NewReport(BaseModel):
    """One report as a partner or analyst sends it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    platform: Short = Field(description="Where the post is, for example `instagram`")
    text: Annotated[str, BeforeValidator(storable)] | None = Field(
        None, description="The post, up to 20,000 characters"
    )
    url: Annotated[str, BeforeValidator(storable), Field(max_length=2000)] | None = None
    platform_post_id: Short | None = None
    author_handle: Short | None = None
    posted_at: Annotated[AwareDatetime, BeforeValidator(_as_text), Field(ge=_EARLIEST, le=_LATEST)] | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    purpose: Purpose
    acquisition_mode: AcquisitionMode
    reason: Long | None = Field(None, description="Why it was reported, in the reporter's words")
    external_id: Short | None = Field(None, description="The reporter's own number; sent twice, it is one report")
    force_code: Short | None = None
    operation_ref: Short | None = None
    urgent: StrictBool = Field(False, description="The reporter believes that a life is in danger now")

    @model_validator(mode="after")
    def _has_content(self) -> "NewReport":
        if self.text is not None and not self.text.strip():
            self.text = None
        if self.text is None and self.url is None:
            raise ValueError("give `text` or `url`")
        limit = current().max_text_chars
        if self.text is not None and len(self.text) > limit:
            raise ValueError(f"`text` is longer than {limit:,} characters")
        if self.url is not None:
            try:
                self.url = _canonical_url(self.url)
            except ValueError as error:
                raise ValueError(f"`url` {error}") from error
        return self

    @property
    def identity(self) -> str:
        """What makes two reports be about one post: where it is, and its words.

        Where: the platform's id of the post, else its address, else the platform and the author, so that two
        people's posts of the same words stay two. The words count because an edited post is new content;
        spacing does not.
        """
        words = _SPACES.sub(" ", self.text).strip() if self.text else ""
        where = self.url or f"{self.platform.lower()}\x00by\x00{self.author_handle or ''}"
        if self.platform_post_id:
            where = f"{self.platform.lower()}\x00{self.platform_post_id}"
        return hashlib.sha256(f"{where}\x00{words}".encode()).hexdigest()


def from_json(raw: bytes | str) -> Any:
    """What a JSON text says.

    Raises:
        InvalidInput: it is none, or is nested too deeply.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidInput("Not valid JSON in UTF-8") from None


def parse(value: Any) -> NewReport:
    """Check one report.

    Raises:
        InvalidInput: naming the first wrong field and what is wrong. Never quotes a value.
    """
    try:
        return NewReport.model_validate(value)
    except ValidationError as error:
        raise refusal(error) from None


def refusal(error: ValidationError) -> InvalidInput:
    """The first thing wrong, as a refusal that quotes no value.

    The name of an unknown field is repeated only if it looks like one: a name may be post text too.
    """
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not field and (named := re.match(r"(?:give )?`(\w+)`", message)):
        field = named.group(1)
    if not _FIELD_NAME.fullmatch(field):
        field = ""
    if first["type"] in ("extra_forbidden", "invalid_key"):
        message = "there is no such field"
    return InvalidInput(message, field=field or None)
