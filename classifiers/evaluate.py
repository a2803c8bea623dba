"""Measure the shipped pipeline and policy: ``python -m classifiers.evaluate --help``.

Everything is measured through ``Pipeline.score`` and ``policy.assess``, as a worker runs them. Figures belong in
``docs/evaluation.md``.
"""

import json
import math
import random
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

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
from classifiers.public import EVALUATION_ONLY, read_rows
from classifiers.thresholds import suggest_thresholds
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


def evaluate_public(pipeline: Pipeline, directory: Path, *, limit: int) -> Report:
    """Flag rates on the evaluation sets, ``limit`` rows of each: of threats (recall) and of everything else."""
    report: Report = {}
    for name in sorted(EVALUATION_ONLY):
        rows = read_rows(directory, name)
        random.Random(1).shuffle(rows)  # noqa: S311 -- a repeatable sample
        rows = rows[:limit]
        flagged = [policy.assess(s).flagged for s in pipeline.score([row["text"] for row in rows])]
        groups: dict[str, list[bool]] = defaultdict(list)
        for row, said in zip(rows, flagged, strict=True):
            kind = row.get("functionality") or ("threat" if row["labels"].get("threat") else "no threat")
            groups[kind].append(said)
        report[name] = {kind: {"rows": len(said), "flagged": float(np.mean(said))} for kind, said in groups.items()}
    return report


def evaluate_evidence(pipeline: Pipeline, posts: Sequence[AuthoredPost], scores: Sequence[Scores]) -> Report:
    """Are the words shown the ones that matter? Take them out, and as many others at random, and score again."""
    rng = random.Random(1)  # noqa: S311 -- repeatable
    shown, other, before = [], [], []
    for post, was in zip(posts, scores, strict=True):
        spans = [(span.start, span.end) for span in was.evidence if span.source == "model"]
        words = _word_spans(post.text)
        if was.review < policy.CURRENT.review_threshold or not spans or len(words) < 2 * len(spans):
            continue
        before.append(was.review)
        shown.append(_without(post.text, spans))
        other.append(_without(post.text, rng.sample([word for word in words if word not in spans], k=len(spans))))
    return {
        "posts": len(before),
        "fall_without_shown_words": float(np.mean(before) - np.mean([s.review for s in pipeline.score(shown)])),
        "fall_without_other_words": float(np.mean(before) - np.mean([s.review for s in pipeline.score(other)])),
    }


def measure_speed(load: Callable[[int], Pipeline], texts: Sequence[str]) -> Report:
    """Posts per second for one and two threads, and the memory of this process at its highest."""
    report: Report = {}
    for threads in (1, 2):
        pipeline = load(threads)
        pipeline.score(texts[:64])
        started = time.perf_counter()
        for start in range(0, len(texts), 32):
            pipeline.score(texts[start : start + 32])
        report[f"posts_per_second_{threads}_threads"] = len(texts) / (time.perf_counter() - started)
    report["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # two pipelines and sklearn
    return report


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
    public_eval: Annotated[Path | None, typer.Option(help="Folder of the public evaluation sets.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each public set.")] = 1000,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    thresholds: Annotated[bool, typer.Option(help="Suggest numbers for policy.toml.")] = False,
    errors: Annotated[int, typer.Option(help="Show the worst errors.")] = 0,
    speed: Annotated[bool, typer.Option(help="Measure speed and memory.")] = False,
) -> None:
    """Print the figures as JSON."""
    pipeline = Pipeline.load(threads=threads, directory=artefact)
    posts = split_posts(read_corpus(corpus))[split]
    scores = pipeline.score([post.text for post in posts])
    report: Report = {"split": split.value, "pipeline": pipeline.version, "policy": policy.CURRENT.version}
    report |= evaluate_posts(posts, scores)
    report["evidence"] = evaluate_evidence(pipeline, posts, scores)
    if thresholds:
        report["suggested_thresholds"] = suggest_thresholds(posts, scores)
    if public_eval is not None:
        report["public"] = evaluate_public(pipeline, public_eval, limit=limit)
    if errors:
        report["worst_errors"] = worst_errors(posts, scores, errors)
    if speed:
        texts = [post.text for post in posts]
        report |= measure_speed(lambda count: Pipeline.load(threads=count, directory=artefact), texts)
    typer.echo(json.dumps(_rounded(report), indent=1, ensure_ascii=False))


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
