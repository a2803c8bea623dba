"""Measure the shipped pipeline and policy: ``python -m classifiers.evaluate --help``.

Everything is measured through ``Pipeline.score`` and ``policy.assess``, as a worker runs them. Figures belong in
``docs/evaluation.md``.
"""

import json
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from classifiers import suite, targets
from classifiers.artefact import ARTEFACT_DIR
from classifiers.calibration import expected_calibration_error
from classifiers.corpus import CORPUS_DIR, AuthoredPost, Split, read_corpus, split_posts
from classifiers.examples import from_authored
from classifiers.metrics import (
    area_under_curve,
    average_precisions,
    contrast_exactness,
    mean_code_precision,
    mean_context_precision,
    yes_or_no,
)
from classifiers.model import HEAD_NAMES, REVIEW, URGENT
from classifiers.pipeline import Pipeline
from triage.domain import policy
from triage.domain.scores import Scores

Report = dict[str, Any]


def evaluate_posts(posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> Report:
    """Ranking, flagging, contrast sets and calibration on authored posts."""
    targets = from_authored(posts).targets[:, : len(HEAD_NAMES)]
    matrix = np.array([[*s.labels.values(), *s.contexts.values(), s.review, s.urgent] for s in scores])
    precisions = average_precisions(matrix, targets)
    flagged = [policy.assess(s).flagged for s in scores]
    true = [post.flag for post in posts]
    exact, sets = contrast_exactness(posts, [said == so for said, so in zip(flagged, true, strict=True)])
    review = matrix[:, HEAD_NAMES.index(REVIEW)]
    truth = targets[:, HEAD_NAMES.index(REVIEW)]
    return {
        "posts": len(posts),
        "review": {
            "average_precision": precisions[REVIEW],
            "area_under_curve": area_under_curve(review, truth),
            "calibration_error": expected_calibration_error(review, truth.astype(np.float64)),
        },
        "flagged": asdict(yes_or_no(flagged, true)),
        "contrast_sets": {"sets": sets, "exactly_right": exact},
        "codes_average_precision": mean_code_precision(precisions),
        "contexts_average_precision": mean_context_precision(precisions),
        "urgent_average_precision": precisions.get(URGENT),
        "by_head": precisions,
        "by_region": _by_region(posts, flagged),
    }


def _by_region(posts: Sequence[AuthoredPost], flagged: Sequence[bool]) -> Report:
    """Does the voice decide? Mistakes by the English a post is written in; small numbers, read them so."""
    groups: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for post, said in zip(posts, flagged, strict=True):
        groups[post.region].append((said, post.flag))
    return {
        region: {"posts": len(rows), **asdict(yes_or_no([said for said, _ in rows], [true for _, true in rows]))}
        for region, rows in sorted(groups.items())
    }


def evaluate_evidence(pipeline: Pipeline, posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> Report:
    """Are the words shown the ones that matter? (DeYoung et al. 2020, ERASER.)

    ``comprehensiveness``: how far review falls without them; ``sufficiency``: how far it falls with nothing else
    left. Beside each, the same for as many other words drawn at random.
    """
    rng = random.Random(1)  # noqa: S311 -- repeatable
    texts: dict[str, list[str]] = defaultdict(list)
    before = []
    for post, was in zip(posts, scores, strict=True):
        spans = [(span.start, span.end) for span in was.evidence if span.source == "model"]
        words = _word_spans(post.text)
        shown = [word for word in words if any(start < word[1] and word[0] < end for start, end in spans)]
        rest = [word for word in words if word not in shown]
        if was.review < policy.CURRENT.review_threshold or not shown or len(rest) < len(shown):
            continue
        drawn = rng.sample(rest, k=len(shown))
        before.append(was.review)
        texts["without shown"].append(_without(post.text, shown))
        texts["without others"].append(_without(post.text, drawn))
        texts["only shown"].append(_without(post.text, rest))
        texts["only others"].append(_without(post.text, [word for word in words if word not in drawn]))
    after = {name: np.mean([s.review for s in pipeline.score(batch)]) for name, batch in texts.items()}
    fall = {name: float(np.mean(before) - value) for name, value in after.items()}
    return {
        "posts": len(before),
        "comprehensiveness": fall["without shown"],
        "comprehensiveness_of_random_words": fall["without others"],
        "sufficiency": fall["only shown"],
        "sufficiency_of_random_words": fall["only others"],
    }


def worst_errors(posts: Sequence[AuthoredPost], scores: Sequence[Scores], count: int) -> list[Report]:
    """The posts whose review score lies farthest from the truth."""
    order = sorted(range(len(posts)), key=lambda i: -abs(scores[i].review - posts[i].flag))
    return [
        {
            "id": posts[i].id,
            "review": round(scores[i].review, 3),
            "flag": posts[i].flag,
            "codes": sorted(posts[i].codes),
            "contexts": sorted(posts[i].contexts),
            "text": posts[i].text,
        }
        for i in order[:count]
    ]


def _word_spans(text: str) -> list[tuple[int, int]]:
    spans, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        spans.append((start, start + len(word)))
        start += len(word)
    return spans


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text


def main(
    split: Annotated[Split, typer.Option(help="Which part of the corpus.")] = Split.TEST,
    artefact: Annotated[Path, typer.Option(help="Folder of the trained model.")] = ARTEFACT_DIR,
    corpus: Annotated[Path, typer.Option(help="Folder of the authored corpus.")] = CORPUS_DIR,
    public: Annotated[Path | None, typer.Option(help="Folder of the public sets, with train/ and eval/.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each public set.")] = 1000,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    only_suite: Annotated[
        bool, typer.Option("--suite", help="Only the functional suite, every functionality.")
    ] = False,
    errors: Annotated[int, typer.Option(help="Show the worst errors.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything as JSON.")] = None,
) -> None:
    """Print every target with its n, value and 95 % interval; then how the split and the suite did in detail."""
    pipeline = Pipeline.load(threads=threads, directory=artefact)
    rows, outcomes = targets.of_suite(pipeline)
    report: Report = {"pipeline": pipeline.version, "policy": policy.CURRENT.version, "split": split.value}
    if not only_suite:
        held_out = split_posts(read_corpus(corpus))[split]
        read = [(post, said) for post, said in zip(held_out, pipeline.score([p.text for p in held_out]), strict=True)]
        posts, scores = [post for post, said in read if said.assessed], [said for _, said in read if said.assessed]
        report["not_assessed"] = len(held_out) - len(posts)
        if public is not None:
            rows += targets.of_public_sets(pipeline, public / "eval", limit=limit)
            rows += targets.of_threatgram(pipeline, public / "train", limit=limit)
        rows += targets.of_dialects(posts, scores)
        rows += targets.of_disguises(pipeline, posts, scores)
        rows += targets.of_calibration(posts, scores)
        report["on_split"] = evaluate_posts(posts, scores)
        report["evidence"] = evaluate_evidence(pipeline, posts, scores)
        report["read_twice"] = pipeline.read_twice / max(pipeline.read_once, 1)
        if errors:
            report["worst_errors"] = worst_errors(posts, scores, errors)
    report["targets"] = [asdict(row) | {"met": row.met} for row in rows]
    report["suite"] = [_outcome(outcome) for outcome in outcomes]
    _print_targets(rows)
    if only_suite:
        _print_suite(outcomes)
    else:
        typer.echo(json.dumps(_rounded({k: v for k, v in report.items() if k not in ("targets", "suite")}), indent=1))
    if json_file is not None:
        json_file.write_text(json.dumps(_rounded(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _outcome(outcome: suite.Outcome) -> Report:
    return {
        "functionality": outcome.functionality.name,
        "expect": outcome.functionality.expect.value,
        "cases": outcome.cases,
        "right": outcome.right,
        "wrong": list(outcome.wrong),
    }


def _print_targets(rows: Sequence[targets.Row]) -> None:
    table = Table("what", "n", "value", "95 %", "target", "", box=box.SIMPLE_HEAD)
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        numbers = (f"{row.value:.3f}", f"{row.low:.3f} to {row.high:.3f}", f"{sign} {row.bound:.2f}")
        table.add_row(row.what, f"{row.n:,}", *numbers, "met" if row.met else "missed")
    Console(width=130).print(table)


def _print_suite(outcomes: Sequence[suite.Outcome]) -> None:
    table = Table("functionality", "expected", "cases", "right", "", "wrong", box=box.SIMPLE_HEAD)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.share):
        of = outcome.functionality
        wrong = " ".join(outcome.wrong)
        table.add_row(of.name, of.expect, str(outcome.cases), str(outcome.right), f"{outcome.share:.0%}", wrong)
    Console(width=130).print(table)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 3)
    return value


if __name__ == "__main__":
    typer.run(main)
