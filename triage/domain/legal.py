"""Legal bases a referral may cite, read once from ``legal_bases.toml``. A registry, not legal advice."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from triage.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """One provision. ``None`` as a date means unknown; as ``last_reviewed``, never."""

    id: str
    act: str
    section: str
    title: str
    jurisdiction: str
    in_force_from: date | None
    in_force_to: date | None
    last_reviewed: date | None
    verified: bool
    note: str

    @property
    def citation(self) -> str:
        return f"{self.act}, {self.section}"

    def stale(self, on: date) -> bool:
        """Whether nobody has looked at this entry for longer than the registry allows."""
        return self.last_reviewed is None or on - self.last_reviewed > REVIEW_EVERY

    def in_force(self, on: date) -> bool | None:
        """Whether it was law on that day; ``None`` when the registry does not say since when or until when."""
        if (self.in_force_from and on < self.in_force_from) or (self.in_force_to and on > self.in_force_to):
            return False
        return True if self.in_force_from else None

    def citable(self, on: date) -> bool:
        """Verified, and not known to be out of force. A stale entry stays citable, and is shown as stale."""
        return self.verified and self.in_force(on) is not False


def _date(value: Any, word: str) -> date | None:
    if value == word:
        return None
    if not isinstance(value, date):
        raise ValueError(f"legal_bases.toml: {value!r} is neither a date nor {word!r}")
    return value


def _basis(id_: str, row: dict[str, Any]) -> LegalBasis:
    return LegalBasis(
        id=id_,
        in_force_from=_date(row["in_force_from"], "unknown"),
        in_force_to=_date(row["in_force_to"], "unknown"),
        last_reviewed=_date(row["last_reviewed"], "never"),
        verified=row["verified"],
        **{key: str(row[key]) for key in ("act", "section", "title", "jurisdiction", "note")},
    )


_registry = tomllib.loads(files(__package__).joinpath("legal_bases.toml").read_text(encoding="utf-8"))

VERSION: str = _registry["version"]
REVIEW_EVERY = timedelta(days=_registry["review_every_days"])
BASES = MappingProxyType({id_: _basis(id_, row) for id_, row in _registry["bases"].items()})


def citable(on: date) -> list[LegalBasis]:
    """What a reviewer may choose from, in the order of the registry."""
    return [basis for basis in BASES.values() if basis.citable(on)]


def resolve(ids: Sequence[str], *, on: date) -> list[LegalBasis]:
    """The bases with these ids.

    Raises:
        InvalidInput: one is not in the registry, not verified, or not in force on that day.
    """
    found = []
    for id_ in ids:
        basis = BASES.get(id_)
        if basis is None:
            raise InvalidInput(f"{id_} is not in the registry of legal bases", field="legal_basis")
        if basis.in_force(on) is False:
            raise InvalidInput(f"{basis.citation} is not in force on {on}", field="legal_basis")
        if not basis.verified:
            raise InvalidInput(
                f"{basis.citation} has not been verified for the registry, so a referral cannot rely on it yet",
                field="legal_basis",
            )
        found.append(basis)
    return found
