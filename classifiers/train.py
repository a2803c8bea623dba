"""Train the classifiers and write the artefact: ``python -m classifiers.train [CONFIG]``.

CONFIG (``recipes/shipped.toml`` unless given) has one table per reader. The corpus in ``classifiers/data/corpus``
is always used, the public sets if ``--public`` names their folder. The development split fits the calibration; the
test split is not looked at here. An interrupted run goes on where it was when it is started again with the same
``--out``.
"""

import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from classifiers import language, normalise
from classifiers.artefact import (
    ADAPTER,
    ADAPTER_CONFIG,
    ARTEFACT_DIR,
    CALIBRATION,
    CONFIG,
    FIRST,
    HEADS,
    SECOND,
    read_artefact,
    write_json,
    write_manifest,
)
from classifiers.calibration import Floats, fit_calibration, mean_logits
from classifiers.corpus import CORPUS_DIR, AuthoredPost, Split, corpus_digest, read_corpus, split_posts
from classifiers.examples import REVIEW_COLUMN, Examples, from_authored, from_public
from classifiers.fitting import expected_shifts, fit
from classifiers.model import HEAD_NAMES, Classifier, has_fast_bfloat16
from classifiers.public import draw_training_rows
from classifiers.reader import Reader
from classifiers.recipes import SHIPPED, Method, Recipe, read_recipes
from triage.domain import taxonomy

log = logging.getLogger(__name__)

#: Of the flagged development posts that both readers together find: the share the first may keep from the second.
MISSED_BY_FIRST = 0.005


def training_examples(posts: list[AuthoredPost], public: Path | None, *, seed: int) -> Examples:
    """The authored training posts and, where there is a folder of them, rows of the public sets."""
    examples = from_authored(posts)
    if public is not None:
        for name, rows in draw_training_rows(public, seed=seed).items():
            examples = examples + from_public(name, rows)
    return examples


def save_reader(model: Classifier, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write adapter and heads; the auxiliary columns stay behind. What ``config.json`` has to say of them.

    Raises:
        ValueError: only adapters are small enough to ship.
    """
    if recipe.method is not Method.LORA:
        raise ValueError(f"only {Method.LORA} can be shipped, not {recipe.method}")
    folder.mkdir(parents=True, exist_ok=True)
    adapter = get_peft_model_state_dict(model.encoder)
    save_file({name: value.half().contiguous() for name, value in adapter.items()}, folder / ADAPTER)
    settings: Any = model.encoder.peft_config
    adapter_config = settings["default"].to_dict()
    adapter_config |= {"base_model_name_or_path": recipe.base, "inference_mode": True}
    adapter_config["target_modules"] = sorted(adapter_config["target_modules"])
    write_json(folder / ADAPTER_CONFIG, adapter_config)
    heads = {name: value[: len(HEAD_NAMES)].contiguous() for name, value in model.heads.state_dict().items()}
    save_file(heads, folder / HEADS)
    for name in (ADAPTER, HEADS):
        (folder / name).chmod(0o644)  # safetensors writes for the owner alone
    return {
        "adapter_scale": adapter_config["lora_alpha"] / adapter_config["r"],
        "base_model": {"name": recipe.base, "sha256": recipe.base_model.sha256},
        "recipe": recipe.as_json(),
    }


def calibrate(directory: Path, development: list[AuthoredPost], about: dict[str, Any]) -> None:
    """Fit the calibration to the files as they will be loaded, and seal the artefact."""
    write_json(directory / CALIBRATION, {})
    write_manifest(directory, about)
    artefact, half = read_artefact(directory), has_fast_bfloat16()
    texts = [normalise.normalise(post.text).text for post in development]
    first, second = (Reader.load(artefact, name, half_precision=half).logits(texts) for name in (FIRST, SECOND))
    targets = from_authored(development).targets[:, : len(HEAD_NAMES)]
    priors = np.array(expected_shifts(HEAD_NAMES))
    alone = fit_calibration(first, targets, priors)
    together = fit_calibration(mean_logits(first, second), targets, priors)
    found = together.probabilities(mean_logits(first, second))[:, REVIEW_COLUMN] >= 0.5
    found &= targets[:, REVIEW_COLUMN] == 1.0
    calibration = {
        "alone": alone.as_json(HEAD_NAMES),
        "together": together.as_json(HEAD_NAMES),
        "second_from": second_from(alone.probabilities(first)[found, REVIEW_COLUMN]),
    }
    write_json(directory / CALIBRATION, calibration)
    write_manifest(directory, about)


def second_from(review: Floats) -> float:
    """Under what probability the first reader judges alone: it then misses ``MISSED_BY_FIRST`` of what is found.

    ``review`` is what it alone gives to the flagged posts that both together find.
    """
    return round(float(np.quantile(review, MISSED_BY_FIRST)), 4)


def main(
    config: Annotated[Path, typer.Argument(help="Recipes, one table per reader.")] = SHIPPED,
    out: Annotated[Path, typer.Option(help="Folder for the artefact.")] = ARTEFACT_DIR,
    public: Annotated[Path | None, typer.Option(help="Folder of the public training sets.")] = None,
    corpus: Annotated[Path, typer.Option(help="Folder of the authored corpus.")] = CORPUS_DIR,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
) -> None:
    """Train both readers and write the artefact. Thresholds come afterwards: ``python -m classifiers.calibrate``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipes = read_recipes(config)
    if set(recipes) != {FIRST, SECOND}:
        raise typer.BadParameter(f"{config} needs the tables [{FIRST}] and [{SECOND}], has {sorted(recipes)}")
    parts = split_posts(read_corpus(corpus))
    sources: Counter[str] = Counter()
    readers = {}
    for name, recipe in recipes.items():
        examples = training_examples(parts[Split.TRAIN], public, seed=recipe.seed)
        sources = Counter(examples.sources)
        log.info("the %s reader: %s on %s", name, recipe.base, dict(sources))
        checkpoint = out.with_name(f"{out.name}.unfinished") / f"{name}.pt"
        model = fit(examples, recipe, threads=threads, checkpoint=checkpoint)
        readers[name] = save_reader(model, recipe, out / name)
    write_json(out / CONFIG, {"heads": list(HEAD_NAMES), "readers": readers})
    about = {
        "sources": dict(sources),
        "corpus": {
            "sha256": corpus_digest(corpus),
            "posts": {split.value: len(parts[split]) for split in Split},
            "training_batches": sorted({post.batch for post in parts[Split.TRAIN]}),
        },
        "taxonomy": taxonomy.VERSION,
        "normaliser": normalise.VERSION,
        "language": language.VERSION,
    }
    calibrate(out, parts[Split.DEVELOPMENT], about)
    shutil.rmtree(out.with_name(f"{out.name}.unfinished"))
    log.info("wrote %s, %d kB", out, sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) // 1000)


if __name__ == "__main__":
    typer.run(main)
