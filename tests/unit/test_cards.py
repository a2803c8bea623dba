"""The cards say what was measured on the model that is shipped."""

import json

from classifiers.artefact import read_artefact
from classifiers.cards import FIGURES, rendered


def test_cards_are_up_to_date() -> None:
    for place, text in rendered().items():
        assert place.read_text(encoding="utf-8") == text, f"python -m classifiers.cards writes {place.name} anew"


def test_figures_are_of_the_policy_in_force() -> None:
    from triage.domain import policy

    figures = json.loads(FIGURES.read_text(encoding="utf-8"))

    assert figures["policy"] == policy.CURRENT.version
    assert read_artefact().version in next(iter(rendered().values()))
