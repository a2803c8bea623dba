"""Train recipes side by side and print how they do: ``python -m classifiers.compare [CONFIG] --posts 3000``.

CONFIG (``recipes/compare.toml`` unless given) has one table per recipe. Every recipe learns from the same authored
posts, whole contrast sets drawn at random, and is measured on the development split. With several numbers of posts
it prints a learning curve.
"""

import json
import logging
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from classifiers.base_model import load_tokenizer
from classifiers.corpus import AuthoredPost, Split, read_corpus, split_posts
from classifiers.examples import REVIEW_COLUMN, from_authored
from classifiers.fitting import collate, fit, tokenise
from classifiers.metrics import average_precisions, contrast_exactness, mean_code_precision
from classifiers.model import HEAD_NAMES, REVIEW, Classifier
from classifiers.normalise import normalise
from classifiers.recipes import RECIPES_DIR, Recipe, read_recipes


def draw(posts: Sequence[AuthoredPost], count: int, *, seed: int) -> list[AuthoredPost]:
    """At least ``count`` posts (or all), whole contrast sets at random; a smaller draw is part of a larger one."""
    groups: dict[str, list[AuthoredPost]] = {}
    for post in posts:
        groups.setdefault(post.contrast_set or post.id, []).append(post)
    order = sorted(groups)
    random.Random(seed).shuffle(order)  # noqa: S311 -- repeatable
    drawn: list[AuthoredPost] = []
    for name in order:
        if len(drawn) >= count:
            break
        drawn.extend(groups[name])
    return drawn


@torch.inference_mode()
def logits_of(model: Classifier, recipe: Recipe, texts: Sequence[str]) -> np.ndarray:
    """One row of logits per text, cut at the recipe's length, for the heads the pipeline reads."""
    tokenizer = load_tokenizer(recipe.base_model)
    ids = tokenise(tokenizer, [normalise(text).text for text in texts], recipe.max_tokens)
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    result = np.zeros((len(ids), len(HEAD_NAMES)), dtype=np.float32)
    for start in range(0, len(order), recipe.batch):
        rows = order[start : start + recipe.batch]
        inputs, mask = collate([ids[row] for row in rows], tokenizer.pad_token_id)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.half_precision):
            result[rows] = model(inputs, mask).float().numpy()[:, : len(HEAD_NAMES)]
    return result


def measure(
    recipe: Recipe, training: Sequence[AuthoredPost], held_out: Sequence[AuthoredPost], threads: int
) -> dict[str, Any]:
    """Train and measure one recipe."""
    started = time.monotonic()
    model = fit(from_authored(training), recipe, threads=threads)
    minutes = (time.monotonic() - started) / 60
    logits = logits_of(model, recipe, [post.text for post in held_out])
    targets = from_authored(held_out).targets[:, : len(HEAD_NAMES)]
    precisions = average_precisions(logits, targets)
    right = [(value > 0) == post.flag for value, post in zip(logits[:, REVIEW_COLUMN], held_out, strict=True)]
    exact, _ = contrast_exactness(held_out, [bool(ok) for ok in right])
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    return {
        "posts": len(training),
        "seed": recipe.seed,
        "epochs": recipe.epochs,
        "average_precision": precisions[REVIEW],
        "right_before_calibration": float(np.mean(right)),
        "contrast_sets_right": exact,
        "codes": mean_code_precision(precisions),
        "trained_millions": trained / 1e6,
        "minutes": minutes,
    }


def main(
    config: Annotated[Path, typer.Argument(help="Recipes to compare, one table each.")] = RECIPES_DIR / "compare.toml",
    posts: Annotated[list[int] | None, typer.Option(help="Training posts; several make a learning curve.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these recipes.")] = None,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Append the rows as JSON lines.")] = None,
) -> None:
    """Train every recipe on the same posts and print the table."""
    logging.basicConfig(level=logging.WARNING)
    parts = split_posts(read_corpus())
    columns = ("recipe", "posts", "seed", "epochs", "AP", "right", "sets", "codes", "M trained", "min")
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for count in posts or [3000]:
        training = draw(parts[Split.TRAIN], count, seed=1)
        for name, recipe in read_recipes(config).items():
            if only and name not in only:
                continue
            row = measure(recipe, training, parts[Split.DEVELOPMENT], threads)
            values = list(row.values())
            table.add_row(name, *(f"{value:.3f}" if isinstance(value, float) else f"{value:,}" for value in values))
            if json_file is not None:
                with json_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"recipe": name, **row}) + "\n")
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
