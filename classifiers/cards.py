"""Write ``MODEL_CARD.md``, ``docs/atrs.md``, ``docs/figures.md`` from measurements: ``python -m classifiers.cards``.

Counts and hashes come from the artefact's manifest, figures from ``docs/figures.json`` (``classifiers.evaluate
--json``), rules from the policy in force. Nobody types a figure into a card.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from classifiers.artefact import read_artefact
from classifiers.corpus import read_corpus
from classifiers.lexicon import read_lexicon
from classifiers.suite import read_functionalities, read_suite
from triage.domain import policy
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures.json"
CARDS = {
    "model_card.md.j2": ROOT / "MODEL_CARD.md",
    "atrs.md.j2": ROOT / "docs" / "atrs.md",
    "figures.md.j2": ROOT / "docs" / "figures.md",
}
GOOD = 0.9  # a functionality's share right that the targets ask for


def facts() -> dict[str, Any]:
    """Everything the templates may name."""
    artefact = read_artefact()
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    cases = read_suite()
    by_functionality = sorted(figures["suite"], key=lambda row: row["right"] / row["cases"])
    return {
        "model": artefact.version,
        "manifest": artefact.manifest,
        "readers": artefact.config["readers"],
        "kilobytes": sum(path.stat().st_size for path in artefact.directory.rglob("*") if path.is_file()) // 1000,
        "corpus": len(read_corpus()),
        "lexicon": read_lexicon(),
        "policy": policy.CURRENT,
        "codes": len(SCORED_CODES),
        "scored_codes": SCORED_CODES,
        "contexts": len(CONTEXTS),
        "suite_cases": len(cases),
        "functionalities": len(read_functionalities()),
        "suite_from_worst": by_functionality,
        "good_functionalities": sum(row["right"] / row["cases"] >= GOOD for row in by_functionality),
        "figures": figures,
        "row": {row["what"]: row for row in figures["targets"]},
    }


def rendered() -> dict[Path, str]:
    """The text of every card by its place."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "card_templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 -- Markdown of our own facts, no input from outside
    )
    known = facts()
    return {place: environment.get_template(name).render(known) for name, place in CARDS.items()}


def main(
    check: Annotated[bool, typer.Option(help="Only say whether they are up to date; exit 1 if not.")] = False,
) -> None:
    """Write the cards."""
    for place, text in rendered().items():
        fresh = place.is_file() and place.read_text(encoding="utf-8") == text
        if check and not fresh:
            typer.echo(f"{place.name} is not up to date: python -m classifiers.cards", err=True)
            raise typer.Exit(1)
        place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
