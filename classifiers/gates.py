"""What blocks a candidate from being promoted: ``python -m classifiers.gates [--artefact DIR]`` (``make gates``).

Every gate is one figure with a bound in ``gates.toml``. They are measured on held-out posts (the development and test
splits) and the code book's contrast pairs, through the pipeline and the policy in force.
"""

import json
import random
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from classifiers import targets
from classifiers.artefact import ARTEFACT_DIR, ArtefactError
from classifiers.corpus import AuthoredPost, Split, read_corpus, split_posts
from classifiers.pipeline import Pipeline
from triage.domain import policy
from triage.domain.scores import Scores

BOUNDS = Path(__file__).with_name("gates.toml")
PAIRS = Path(__file__).parent.parent / "tests" / "data" / "contrast_pairs.jsonl"
#: Flagged posts that are disguised in each of the ways.
DISGUISED = 150
#: A voice with fewer harmless posts says too little to block a candidate.
FEWEST_OF_A_REGION = 30


@dataclass(frozen=True, slots=True)
class Bound:
    """``limit`` is a floor where ``at_least``, else a ceiling."""

    about: str
    limit: float
    at_least: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure over ``n`` posts (or pairs)."""

    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Gate:
    name: str
    bound: Bound
    measured: Measured

    @property
    def open(self) -> bool:
        """A figure that could not be measured (NaN) opens nothing."""
        value, limit = self.measured.value, self.bound.limit
        return value >= limit if self.bound.at_least else value <= limit


def read_bounds(file: Path = BOUNDS) -> dict[str, Bound]:
    """The bounds by the names of their gates.

    Raises:
        ValueError: a gate has neither or both of ``at_least`` and ``at_most``.
    """
    bounds = {}
    for name, row in tomllib.loads(file.read_text(encoding="utf-8")).items():
        if ("at_least" in row) is ("at_most" in row):
            raise ValueError(f"{file.name}: {name} needs either at_least or at_most")
        at_least = "at_least" in row
        bounds[name] = Bound(row["about"], float(row["at_least" if at_least else "at_most"]), at_least)
    return bounds


def judge(measured: Mapping[str, Measured], bounds: Mapping[str, Bound]) -> list[Gate]:
    """Every gate of ``bounds``, in their order.

    Raises:
        ValueError: a figure has no bound or a bound no figure; neither may be passed over in silence.
    """
    if unmatched := set(measured) ^ set(bounds):
        raise ValueError(f"gates: figures and bounds do not match: {', '.join(sorted(unmatched))}")
    return [Gate(name, bound, measured[name]) for name, bound in bounds.items()]


def measure(pipeline: Pipeline) -> dict[str, Measured]:
    """Every figure that has a gate."""
    parts = split_posts(read_corpus())
    posts = parts[Split.DEVELOPMENT] + parts[Split.TEST]
    scores = pipeline.score([post.text for post in posts])
    return {"contrast_pairs": _pairs(pipeline), **_answers(posts, scores), **_disguises(pipeline, posts, scores)} | {
        "dialect_spread": _dialects(posts, scores),
        **_calibration(posts, scores),
    }


def _pairs(pipeline: Pipeline) -> Measured:
    pairs = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    right: dict[int, bool] = defaultdict(lambda: True)
    for pair, said in zip(pairs, pipeline.score([pair["text"] for pair in pairs]), strict=True):
        right[pair["pair"]] &= policy.assess(said).flagged is pair["flag"]
    return Measured(sum(right.values()) / len(right), len(right))


def _answers(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> dict[str, Measured]:
    flagged = [policy.assess(said).flagged for said in scores]
    pairs = list(zip(posts, flagged, strict=True))
    return {
        "held_out": _share([said is post.flag for post, said in pairs]),
        "recall": _share([said for post, said in pairs if post.flag]),
        "counter_speech": _share([said for post, said in pairs if not post.flag and "counter_speech" in post.contexts]),
        "news": _share([said for post, said in pairs if not post.flag and "news" in post.contexts]),
    }


def _dialects(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> Measured:
    rows = [row for row in targets.of_dialects(posts, scores) if row.n >= FEWEST_OF_A_REGION]
    return _worst(rows)


def _disguises(pipeline: Pipeline, posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> dict[str, Measured]:
    both = [(post, said) for post, said in zip(posts, scores, strict=True) if post.flag and policy.assess(said).flagged]
    some = random.Random(1).sample(both, k=min(DISGUISED, len(both)))  # noqa: S311 -- a repeatable sample
    if not some:
        return {"disguises": Measured(float("nan"), 0)}
    rows = targets.of_disguises(pipeline, [post for post, _ in some], [said for _, said in some])
    return {"disguises": Measured(min(row.value for row in rows), len(some))}


def _calibration(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> dict[str, Measured]:
    assessed = [(post, said) for post, said in zip(posts, scores, strict=True) if said.assessed]
    review, *codes = targets.of_calibration([post for post, _ in assessed], [said for _, said in assessed])
    return {"calibration_review": Measured(review.value, review.n), "calibration_codes": _worst(codes)}


def _worst(rows: Sequence[targets.Row]) -> Measured:
    """The highest of the figures; of none, NaN, which opens no gate."""
    worst = max(rows, key=lambda row: row.value, default=None)
    return Measured(worst.value, worst.n) if worst else Measured(float("nan"), 0)


def _share(answers: Sequence[bool]) -> Measured:
    return Measured(sum(answers) / len(answers) if answers else float("nan"), len(answers))


def table(gates: Sequence[Gate], beside: Mapping[str, Measured] | None = None) -> Table:
    """What a person reads; with ``beside``, the shipped model's figures and the difference."""
    shown = Table(box=box.SIMPLE, title="Gates")
    for name in ("gate", "what", "n", "value", "bound", *(("shipped", "change") if beside else ()), ""):
        shown.add_column(name, justify="left" if name in ("gate", "what", "") else "right")
    for gate in gates:
        value = gate.measured.value
        cells = [gate.name, gate.bound.about, str(gate.measured.n), f"{value:.3f}"]
        cells.append(f"{'>=' if gate.bound.at_least else '<='} {gate.bound.limit:.3f}")
        if beside:
            cells += [f"{beside[gate.name].value:.3f}", f"{value - beside[gate.name].value:+.3f}"]
        shown.add_row(*cells, "pass" if gate.open else "FAIL")
    return shown


def main(
    artefact: Annotated[Path, typer.Option(help="Folder of the trained model.")] = ARTEFACT_DIR,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure the gates and print them; exit status 1 if one is shut, 2 if the model cannot be loaded."""
    try:
        pipeline = Pipeline.load(threads=threads, directory=artefact)
    except ArtefactError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    gates = judge(measure(pipeline), read_bounds())
    Console().print(table(gates))
    if not all(gate.open for gate in gates):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
