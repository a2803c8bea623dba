"""Which queue a case goes to, and what a file of queues may not say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from triage.domain import routing
from triage.domain.errors import InvalidInput
from triage.domain.handling import check_hold
from triage.domain.routing import Facts, route
from triage.domain.taxonomy import CODES, CONTEXTS, Tier

PLAIN = Facts(tier=Tier.P2, assessed=True, platform="chirper", purposes=frozenset({"prevention_of_serious_violence"}))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("facts", "queue"),
    [
        (PLAIN, "general"),
        (replace(PLAIN, tier=Tier.P1), "soon"),
        (replace(PLAIN, acquisition=frozenset({"police_tasking"})), "police"),
        (replace(PLAIN, partner_kinds=frozenset({"force", "platform"})), "police"),
        (replace(PLAIN, assessed=False, partner_kinds=frozenset({"force"})), "not_assessed"),
        (replace(PLAIN, tier=Tier.P1, partner_kinds=frozenset({"charity"})), "at_risk"),
        (replace(PLAIN, purposes=frozenset({"safeguarding"}), assessed=False), "at_risk"),
        (replace(PLAIN, urgent=True, purposes=frozenset({"safeguarding"})), "urgent"),
        (replace(PLAIN, tier=Tier.P0, urgent=True, assessed=False), "life"),
    ],
)
def test_first_rule_that_fits_decides(facts: Facts, queue: str) -> None:
    assert route(facts).name == queue


def test_what_the_machine_proposes_beyond_the_tier_decides_nothing() -> None:
    """Or whoever reads from a queue would know it before giving a view of their own."""
    told = replace(PLAIN, codes=frozenset(CODES), contexts=frozenset(CONTEXTS))

    assert [queue.discloses for queue in routing.CURRENT.queues] == [False] * len(routing.CURRENT.queues)
    assert [route(replace(told, tier=tier)) for tier in Tier] == [route(replace(PLAIN, tier=tier)) for tier in Tier]


FIRST = '[[queue]]\nname = "life"\ntitle = "x"\nabout = "x"\nrules = [{ tier = ["P0"] }]\n'
LAST = '[[queue]]\nname = "rest"\ntitle = "x"\nabout = "x"\n'


def between(rules: str, more: str = "", name: str = "middle") -> str:
    middle = f'[[queue]]\nname = "{name}"\ntitle = "x"\nabout = "x"\nrules = {rules}\n{more}\n'
    return f'version = "1"\n{FIRST}{middle}{LAST}'


def test_language_covers_its_regions_and_an_operator_may_disclose() -> None:
    queues = routing.parse(between('[{ language = ["cy"] }, { codes = ["VIC"] }]', "discloses = true"))

    assert route(replace(PLAIN, language="cy-GB"), queues).name == "middle"
    assert route(replace(PLAIN, language="en", codes=frozenset({"VIC"})), queues).name == "middle"
    assert route(replace(PLAIN, language="cyx"), queues).name == "rest"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f'version = "1"\n{LAST}', "first takes P0"),
        (f'version = "1"\n{FIRST}', "last has no rules"),
        (between('[{ tier = ["P9"] }]'), "P9"),
        (between('[{ codes = ["VIC"] }]'), "discloses"),
        (between('[{ contexts = ["grief"] }]'), "discloses"),
        (between('[{ postcode = ["N1"] }]'), "postcode"),
        (between("[{}]"), "empty"),
        (between('[{ tier = ["P1"] }]', name="life"), "twice"),
        (between("[]"), "every other"),
    ],
)
def test_file_that_cannot_be_meant_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        routing.parse(text)


@pytest.mark.parametrize(("tier", "hours"), [("P0", 0.1), ("P1", 2), ("P2", 9), ("P3", -1)])
def test_case_waits_no_longer_than_its_tier_allows(tier: str, hours: float) -> None:
    with pytest.raises(InvalidInput):
        check_hold(Tier(tier), until=NOW + timedelta(hours=hours), now=NOW)

    check_hold(Tier.P1, until=NOW + timedelta(minutes=59), now=NOW)
