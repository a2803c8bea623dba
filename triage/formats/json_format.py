"""The canonical form of a referral: JSON that fits the published schema, as one exact sequence of bytes."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from triage.domain.errors import InvalidInput

MEDIA_TYPE = "application/json"
SCHEMA_VERSION = "1.1.0"


@lru_cache(maxsize=1)
def schema_bytes() -> bytes:
    """The JSON Schema (Draft 2020-12) as published."""
    return files(__package__).joinpath("referral.schema.json").read_bytes()


@lru_cache(maxsize=1)
def _validator() -> Draft202012Validator:
    schema = json.loads(schema_bytes())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def validate(document: Mapping[str, Any]) -> None:
    """Check a document against the schema.

    Raises:
        InvalidInput: with the place that does not fit. What stands there is not repeated: it may be a post.
    """
    error = min(_validator().iter_errors(document), key=lambda found: list(map(str, found.path)), default=None)
    if error is not None:
        place = ".".join(str(step) for step in error.absolute_path) or "document"
        raise InvalidInput(f"The export does not fit its schema at {place} ({error.validator})", field=place)


def canonical(document: Mapping[str, Any]) -> bytes:
    """The document as RFC 8785 writes it, which for documents without fractions is: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical(document)).hexdigest()


def payload_sha256(document: Mapping[str, Any]) -> str:
    """SHA-256 of everything but the ``integrity`` part, which carries this figure itself."""
    return sha256({name: part for name, part in document.items() if name != "integrity"})
