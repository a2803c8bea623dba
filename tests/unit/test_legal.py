"""The registry of legal bases: dated, honest about what nobody has checked."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from triage.domain import legal
from triage.domain.errors import InvalidInput

THREATS_TO_KILL = legal.BASES["oapa-1861-s16"]
LOOKED_AT = THREATS_TO_KILL.last_reviewed


def test_registry_is_whole():
    for basis in legal.BASES.values():
        assert basis.act
        assert basis.section
        assert basis.title
        assert basis.jurisdiction
        assert basis.note
        assert isinstance(basis.verified, bool)
        assert (basis.last_reviewed is not None) or not basis.verified, f"{basis.id}: verified, but never reviewed"


def test_verified_are_only_those_found_in_schedule_7():
    verified = {basis.id for basis in legal.BASES.values() if basis.verified}

    assert verified == {
        "oapa-1861-s16",
        "poa-1986-s4",
        "poa-1986-s4A",
        "poa-1986-s5",
        "pha-1997-s2",
        "pha-1997-s2A",
        "pha-1997-s4",
        "pha-1997-s4A",
        "knives-1997-s1",
        "knives-1997-s2",
    }


def test_stale_after_ninety_days():
    assert not THREATS_TO_KILL.stale(LOOKED_AT + timedelta(days=90))
    assert THREATS_TO_KILL.stale(LOOKED_AT + timedelta(days=91))
    assert legal.BASES["osa-2023-s181"].stale(LOOKED_AT)  # never looked at


def test_stale_entry_stays_citable():
    assert THREATS_TO_KILL in legal.citable(LOOKED_AT + timedelta(days=400))


def test_in_force_between_its_dates_and_unknown_without_them():
    dated = replace(THREATS_TO_KILL, in_force_from=date(2020, 1, 1), in_force_to=date(2021, 12, 31))

    assert [dated.in_force(date(year, 6, 1)) for year in (2019, 2020, 2021, 2022)] == [False, True, True, False]
    assert THREATS_TO_KILL.in_force(LOOKED_AT) is None
    assert not dated.citable(date(2022, 1, 1))


def test_resolve_gives_the_bases_in_the_order_asked():
    found = legal.resolve(["poa-1986-s4", "oapa-1861-s16"], on=LOOKED_AT)

    assert [basis.citation for basis in found] == [
        "Public Order Act 1986, s.4",
        "Offences against the Person Act 1861, s.16",
    ]


@pytest.mark.parametrize("id_", ["no-such-act", "cpa-2026-part4-ch1", "osa-2023-s181"])
def test_unknown_or_unverified_cannot_be_cited(id_):
    with pytest.raises(InvalidInput) as refused:
        legal.resolve([id_], on=LOOKED_AT)

    assert refused.value.field == "legal_basis"
    assert id_ not in {basis.id for basis in legal.citable(LOOKED_AT)}


def test_out_of_force_cannot_be_cited(monkeypatch):
    repealed = replace(THREATS_TO_KILL, in_force_to=LOOKED_AT - timedelta(days=1))
    monkeypatch.setattr(legal, "BASES", {repealed.id: repealed})

    with pytest.raises(InvalidInput, match="not in force"):
        legal.resolve([repealed.id], on=LOOKED_AT)
