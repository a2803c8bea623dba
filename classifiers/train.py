"""Train the classifiers and write the artefact: ``python -m classifiers.train --help``.

The corpus in ``classifiers/data/corpus`` is always used, the public sets if ``--public`` names their folder. The
development split fits the calibration; the test split is not looked at here.
"""

import dataclasses
import logging
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from classifiers import base_model, normalise
from classifiers.artefact import (
    ADAPTER,
    ADAPTER_CONFIG,
    ARTEFACT_DIR,
    CALIBRATION,
    CONFIG,
    HEADS,
    read_artefact,
    write_json,
    write_manifest,
)
from classifiers.calibration import fit_calibration
from classifiers.corpus import CORPUS_DIR, AuthoredPost, Split, corpus_digest, read_corpus, split_posts
from classifiers.examples import Examples, from_authored, from_public
from classifiers.fitting import Method, Recipe, expected_shifts, fit
from classifiers.inference import text_logits
from classifiers.model import HEAD_NAMES, Classifier, load_classifier
from classifiers.public import draw_training_rows
from triage.domain import taxonomy

log = logging.getLogger(__name__)

DEFAULTS = Recipe()


def training_examples(posts: list[AuthoredPost], public: Path | None, *, seed: int) -> Examples:
    """The authored training posts and, where there is a folder of them, rows of the public sets."""
    examples = from_authored(posts)
    if public is not None:
        for name, rows in draw_training_rows(public, seed=seed).items():
            examples = examples + from_public(name, rows)
    return examples


def save_model(model: Classifier, recipe: Recipe, directory: Path) -> None:
    """Write adapter and heads; the auxiliary columns stay behind.

    Raises:
        ValueError: only adapters are small enough to ship.
    """
    if recipe.method is not Method.LORA:
        raise ValueError(f"only {Method.LORA} can be shipped, not {recipe.method}")
    directory.mkdir(parents=True, exist_ok=True)
    adapter = get_peft_model_state_dict(model.encoder)
    save_file({name: value.half().contiguous() for name, value in adapter.items()}, directory / ADAPTER)
    settings: Any = model.encoder.peft_config
    adapter_config = settings["default"].to_dict()
    adapter_config |= {"base_model_name_or_path": base_model.NAME, "inference_mode": True}
    adapter_config["target_modules"] = sorted(adapter_config["target_modules"])
    write_json(directory / ADAPTER_CONFIG, adapter_config)
    heads = {name: value[: len(HEAD_NAMES)].contiguous() for name, value in model.heads.state_dict().items()}
    save_file(heads, directory / HEADS)
    for name in (ADAPTER, HEADS):
        (directory / name).chmod(0o644)  # safetensors writes for the owner alone
    config = {
        "heads": list(HEAD_NAMES),
        "adapter_scale": adapter_config["lora_alpha"] / adapter_config["r"],
        "base_model": {"name": base_model.NAME, "sha256": base_model.SHA256},
        "recipe": {**dataclasses.asdict(recipe), "method": recipe.method.value},
    }
    write_json(directory / CONFIG, config)


def calibrate(directory: Path, development: list[AuthoredPost], about: dict[str, Any]) -> None:
    """Fit the calibration to the files as they will be loaded, and seal the artefact."""
    write_json(directory / CALIBRATION, {})
    write_manifest(directory, about)
    model = load_classifier(read_artefact(directory))
    logits = text_logits(model, base_model.load_tokenizer(), [post.text for post in development])
    targets = from_authored(development).targets[:, : len(HEAD_NAMES)]
    fitted = fit_calibration(logits, targets, np.array(expected_shifts(HEAD_NAMES)))
    write_json(directory / CALIBRATION, fitted.as_json(HEAD_NAMES))
    write_manifest(directory, about)


def main(
    out: Annotated[Path, typer.Option(help="Folder for the artefact.")] = ARTEFACT_DIR,
    public: Annotated[Path | None, typer.Option(help="Folder of the public training sets.")] = None,
    corpus: Annotated[Path, typer.Option(help="Folder of the authored corpus.")] = CORPUS_DIR,
    epochs: Annotated[int, typer.Option(min=1)] = DEFAULTS.epochs,
    seed: Annotated[int, typer.Option()] = DEFAULTS.seed,
    threads: Annotated[int, typer.Option(min=1)] = DEFAULTS.threads,
) -> None:
    """Train and write the artefact. Thresholds are set afterwards, with ``python -m classifiers.evaluate``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parts = split_posts(read_corpus(corpus))
    recipe = Recipe(epochs=epochs, seed=seed, threads=threads)
    examples = training_examples(parts[Split.TRAIN], public, seed=seed)
    sources = Counter(examples.sources)
    log.info("training on %s", dict(sources))
    model = fit(examples, recipe)
    torch.use_deterministic_algorithms(False)
    save_model(model, recipe, out)
    about = {
        "sources": dict(sources),
        "corpus": {
            "sha256": corpus_digest(corpus),
            "posts": {split.value: len(parts[split]) for split in Split},
            "training_batches": sorted({post.batch for post in parts[Split.TRAIN]}),
        },
        "taxonomy": taxonomy.VERSION,
        "normaliser": normalise.VERSION,
    }
    calibrate(out, parts[Split.DEVELOPMENT], about)
    log.info("wrote %s, %d kB", out, sum(path.stat().st_size for path in out.iterdir()) // 1000)


if __name__ == "__main__":
    typer.run(main)
