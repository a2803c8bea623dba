"""deploy/prometheus/alerts.yml and deploy/grafana/triage.json: whole, explained, and about what is told.

That every series they ask for is served is tested against running processes (tests/fault/test_stack_watched.py).
"""

import re
from pathlib import Path

import pytest

from tests.watched_files import alerts, expressions, names, panels

PAGE = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
ANCHORS = {
    re.sub(r"[^\w\- ]", "", line).replace(" ", "-").lower() for line in re.findall(r"^#+ (.+)$", PAGE, flags=re.M)
}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_says_what_it_means_how_bad_it_is_and_what_to_do(rule: dict) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert (page, anchor) == ("docs/operator.md", rule["alert"].lower())
    assert anchor in ANCHORS


def test_no_runbook_is_left_without_its_alert() -> None:
    runbooks = {anchor for anchor in ANCHORS if anchor.startswith("triage") and " " not in anchor}

    assert runbooks - {"triage-up"} == {rule["alert"].lower() for rule in alerts()}


def test_what_must_wake_somebody_is_there() -> None:
    paged = {rule["alert"] for rule in alerts() if rule["labels"]["severity"] == "page"}

    assert {"TriageP0Unseen", "TriageChainBroken", "TriageWorkerMissing", "TriageScheduleMissing"} <= paged


@pytest.mark.parametrize(("of", "expression"), expressions().items(), ids=expressions())
def test_each_expression_asks_for_something_and_closes_what_it_opens(of: str, expression: str) -> None:
    assert names(expression), of
    for opens, closes in ("()", "{}", "[]"):
        assert expression.count(opens) == expression.count(closes), of
    assert expression.count('"') % 2 == 0, of


def test_each_panel_has_a_question_to_answer_and_a_place_of_its_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]

    assert len(set(places)) == len(places)
    assert all(panel["targets"] and panel["title"] for panel in panels())


def test_the_operator_page_explains_each_series() -> None:
    told = set(re.findall(r"`(triage_[a-z0-9_]+)", PAGE))
    asked = {name for expression in expressions().values() for name in names(expression)}
    bare = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in told}

    assert sorted({re.sub(r"_(bucket|sum|count|total)$", "", name) for name in asked} - bare) == []
