"""DEC-01 to DEC-11 of docs/decision-rules.md in the database: a decision written past the code is refused by name.

What the server refuses, with its field, is in tests/unit/test_gates.py and test_review_decisions.py.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from annotations import review
from annotations.review import View
from tests import factories, referrals
from tests.people import People
from triage.db import Case, Decision, Judgement
from triage.domain import gates
from triage.domain.errors import GateClosed, InvalidInput
from triage.domain.gates import PossibleChild, PrimarySignal, SecondarySignal, SourceKind
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, PROTECTED_CONTEXTS, Referable
from triage.settings import current

MIGRATION = Path("triage/db/migrations/versions/20261122_safeguards.py")
SIGNALS: dict[str, Any] = {
    "primary_signals": (PrimarySignal.RETALIATION_LANGUAGE,),
    "secondary_signals": (SecondarySignal.TARGET_FEELS_THREATENED,),
    "secondary_source": "A support worker, SW-1",
    "secondary_sources": (SourceKind.TARGET,),
}


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def case(session: Session, people: People) -> Case:
    return factories.open_case(session, people)


def written(
    session: Session,
    people: People,
    case: Case,
    codes: tuple[str, ...] = ("TTL",),
    contexts: tuple[str, ...] = (),
    outcome: Outcome = Outcome.REFER,
    columns: dict[str, Any] | None = None,
    **changes: Any,
) -> Decision:
    """A decision row as somebody past the code would write it."""
    view = {"speech_act": "threat", "target": "none", "imminence": "near", "contexts": list(contexts)}
    judgement = Judgement(case_id=case.id, user_id=people.moderator.id, stage="final", codes=list(codes), **view)
    session.add(judgement)
    session.flush()
    stated = json.loads(json.dumps(referrals.grounds(people, **changes).as_dict()))
    row = {
        "case_id": case.id,
        "user_id": people.moderator.id,
        "judgement_id": judgement.id,
        "outcome": str(outcome),
        "codes": list(codes),
        "reasons": "x",
        "referral": stated,
        "policy_version": "1",
        "taxonomy_version": "1",
    }
    decision = Decision(**(row | (columns or {})))
    session.add(decision)
    session.flush()
    return decision


def test_a_good_decision_is_written(session: Session, people: People, case: Case) -> None:
    written(session, people, case)
    written(session, people, case, ("VTH",), **SIGNALS)
    written(session, people, case, contexts=("artistic",), context_rebuttal="Names a present target.")


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        ("DEC-01", {"columns": {"policy_version": " "}}),
        ("DEC-01", {"columns": {"taxonomy_version": ""}}),
        ("DEC-02", {"facts": " "}),
        ("DEC-02", {"statement_of_reasons": ""}),
        ("DEC-03", {"codes": ("VTH",), **SIGNALS, "primary_signals": ()}),
        ("DEC-03", {"codes": ("TTL", "VTH"), **SIGNALS, "secondary_signals": ()}),
        ("DEC-03", {"codes": ("VTH",), **SIGNALS, "secondary_source": "  "}),
        ("DEC-04", {"codes": ("VTH",), **SIGNALS, "secondary_sources": ()}),
        ("DEC-04", {"codes": ("VTH",), **SIGNALS, "secondary_sources": (SourceKind.SUBMITTER,)}),
        ("DEC-04", {"codes": ("VTH",), **SIGNALS, "secondary_sources": (SourceKind.POLICE_ASSERTION,)}),
        ("DEC-05", {"past_event": "undated"}),
        ("DEC-05", {"past_event": "dated", "past_event_month": "2019-01"}),
        ("DEC-05", {"past_event": "dated", "past_event_month": ""}),
        *(("DEC-06", {"contexts": ("sport", context)}) for context in sorted(PROTECTED_CONTEXTS)),
        *(("DEC-07", {name: ""}) for name in ("causal_path", "necessity", "proportionality", "least_intrusive")),
        *(("DEC-07", {"likelihood": kind}) for kind in sorted(set(gates.Likelihood) - gates.LIKELY_ENOUGH)),
        ("REF-02", {"platform_policy_clause": ""}),
        *(("DEC-11", {"codes": (code,)}) for code, book in CODES.items() if book.referable in gates.NEVER_LEAVE),
        ("DEC-11", {"codes": ("VIC", "GPR")}),
        ("CHI-02", {"possible_child": PossibleChild.YES}),
        ("CHI-02", {"possible_child": PossibleChild.UNKNOWN, "safeguarding_considered": True}),
        ("CHI-02", {"possible_child": PossibleChild.YES, "safeguarding_note": "Told the school"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_database_refuses_what_the_rule_forbids(
    session: Session, people: People, case: Case, rule: str, how: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError, match=f"{rule}:"):
        written(session, people, case, **how)


def test_dec_01_a_decision_stands_as_it_was_written(session: Session, people: People, case: Case) -> None:
    written(session, people, case)

    with pytest.raises(DBAPIError, match="stands as it was written"):
        session.execute(update(Decision).values(policy_version="another"))


@pytest.mark.parametrize("outcome", [Outcome.SAFEGUARD, Outcome.ESCALATE, Outcome.ROUTE_OUT])
def test_a_decision_that_promises_something_is_on_a_list_at_commit(
    session: Session, people: People, case: Case, outcome: Outcome
) -> None:
    written(session, people, case, outcome=outcome, columns={"referral": None})

    with pytest.raises(IntegrityError, match="opens a follow-up"):
        session.commit()


def test_codes_and_contexts_of_the_database_are_those_of_the_code_book() -> None:
    """The migration is frozen: a change of the code book needs a migration of its own, and this test."""
    said = MIGRATION.read_text(encoding="utf-8")
    never = [code for code, book in CODES.items() if book.referable in gates.NEVER_LEAVE]
    veiled = [code for code, book in CODES.items() if book.referable is Referable.BOTH_SIGNALS]

    assert (sorted(never), veiled) == (["BEN", "GPR", "VIC"], ["VTH"])
    assert "ARRAY['VIC', 'GPR', 'BEN']" in said
    assert sorted(PROTECTED_CONTEXTS) == ["artistic", "counter_speech", "grief", "news"]
    assert said.count("ARRAY['artistic', 'news', 'counter_speech', 'grief']") == 2
    assert sorted(gates.NOT_INDEPENDENT) == ["police_assertion", "submitter"]


# ---- What the server refuses beyond the gates


def decide(session: Session, people: People, case: Case, codes: tuple[str, ...] = ("TTL",), **changes: Any) -> Decision:
    view = View(codes, referrals.VIEW.speech_act, referrals.VIEW.target, referrals.VIEW.imminence)
    reasons = changes.pop("reasons", "Names a time and a place.")
    review.claim(session, people.moderator, case.id, now=_now())
    review.judge_first(session, people.moderator, case.id, view, now=_now())
    return review.decide(
        session,
        people.moderator,
        case.id,
        view,
        outcome=Outcome.REFER,
        reasons=reasons,
        grounds=referrals.grounds(people, **changes),
        now=_now(),
    )


@pytest.mark.parametrize("source", ["Chirper", "the trust team of CHIRPER, ref 1", "alex", "Alex"])
def test_dec_04_naming_the_submitter_as_the_source_is_refused(
    session: Session, people: People, case: Case, source: str
) -> None:
    factories.submit_again(session, people.analyst)

    with pytest.raises(InvalidInput) as refused:
        decide(session, people, case, ("VTH",), **(SIGNALS | {"secondary_source": source}))

    assert refused.value.field == "secondary_source"
    assert session.scalars(select(Decision)).all() == [] or session.rollback() is None


def test_dec_04_a_name_inside_another_word_is_no_name(session: Session, people: People, case: Case) -> None:
    factories.submit_again(session, people.analyst)

    decide(session, people, case, ("VTH",), **(SIGNALS | {"secondary_source": "Alexandra House, youth worker"}))


def test_dec_05_the_setting_is_asked(
    session: Session, people: People, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_OLD_EVENT_MONTHS", "1")
    current.cache_clear()
    month = f"{_now().year - 1}-12" if _now().month > 2 else f"{_now().year - 1}-06"
    try:
        with pytest.raises(GateClosed, match="more than 1 months") as closed:
            decide(session, people, case, past_event=gates.PastEvent.DATED, past_event_month=month)
    finally:
        monkeypatch.undo()
        current.cache_clear()
    assert closed.value.field == "past_event_evidence"


def test_dec_08_reasons_that_label_people_are_refused(session: Session, people: People, case: Case) -> None:
    with pytest.raises(InvalidInput) as refused:
        decide(session, people, case, reasons="A known nominal.")

    assert refused.value.field == "reasons"


def test_database_of_decisions_names_each_rule(session: Session) -> None:
    """docs/decision-rules.md says that these are held by the database: the functions are there, and switched on."""
    on = session.scalars(
        text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O' ORDER BY tgname")
    ).all()

    assert {"decisions_rules", "decisions_stand", "decisions_followed", "referrals_second_person"} <= set(on)
