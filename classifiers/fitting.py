"""Fit a classifier to examples: by heads alone on frozen text vectors, by low-rank adapters, or wholly."""

import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import PreTrainedTokenizerFast

from classifiers.augment import augment, bury
from classifiers.base_model import HIDDEN_SIZE, load_encoder, load_tokenizer
from classifiers.examples import AUXILIARY, COLUMNS, Examples, harmless_texts, shuffled_batches
from classifiers.model import REVIEW, URGENT, Classifier, pool
from classifiers.normalise import normalise
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

log = logging.getLogger(__name__)

ADAPTED_LAYERS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]


class Method(StrEnum):
    LINEAR = "linear"
    MLP = "mlp"
    LORA = "lora"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result of a training run, beside the data."""

    method: Method = Method.LORA
    rank: int = 16
    epochs: int = 6
    batch: int = 32
    rate: float = 1e-3
    head_rate: float = 1e-2
    max_tokens: int = 128
    disguised: float = 0.3
    buried: float = 0.0  # share of posts set among harmless text; docs/evaluation.md, round 2
    seed: int = 7
    threads: int = 2
    half_precision: bool = True  # twice as fast on processors with bfloat16; slower on others


def fit(examples: Examples, recipe: Recipe) -> Classifier:
    """Train a classifier; its heads hold the auxiliary columns too, after the real ones."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    tokenizer = load_tokenizer()
    model = _new_model(recipe)
    if recipe.method in (Method.LINEAR, Method.MLP):
        return _fit_heads(model, tokenizer, examples, recipe)
    return _fit_encoder(model, tokenizer, examples, recipe)


def _new_model(recipe: Recipe) -> Classifier:
    encoder: nn.Module = load_encoder()
    if recipe.method is Method.LORA:
        config = LoraConfig(
            r=recipe.rank, lora_alpha=2 * recipe.rank, lora_dropout=0.1, target_modules=ADAPTED_LAYERS, bias="none"
        )
        encoder = get_peft_model(encoder, config)
    elif recipe.method in (Method.LINEAR, Method.MLP):
        encoder.requires_grad_(False)
    model = Classifier(encoder, COLUMNS)
    if recipe.method is Method.MLP:
        model.heads = nn.Sequential(  # type: ignore[assignment]  # measured only, never shipped
            nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE), nn.GELU(), nn.Dropout(0.3), nn.Linear(HIDDEN_SIZE, len(COLUMNS))
        )
    return model


def _column_weights() -> Tensor:
    """Each group of columns counts as a group: the codes most, then the flag, contexts and the auxiliary ones."""
    groups = {REVIEW: 2.0, URGENT: 0.7}
    shares = {
        **{code: 5.0 / len(SCORED_CODES) for code in SCORED_CODES},
        **{context: 1.0 / len(CONTEXTS) for context in CONTEXTS},
        **{name: 1.0 / len(AUXILIARY) for name in AUXILIARY},
        **groups,
    }
    return torch.tensor([shares[name] for name in COLUMNS])


def _positive_weight(name: str) -> float:
    """Rare labels count more where they are present, or the heads would learn to say no."""
    return 1.0 if name == REVIEW else 3.0


def _positive_weights() -> Tensor:
    return torch.tensor([_positive_weight(name) for name in COLUMNS])


def expected_shifts(names: Sequence[str]) -> list[float]:
    """How far a well fitted head's logit lies too high because of its weight; the prior of the calibration."""
    return [-math.log(_positive_weight(name)) for name in names]


def masked_loss(logits: Tensor, targets: Tensor, weights: Tensor, positive: Tensor) -> Tensor:
    """Binary cross-entropy over the known targets, weighted by column; NaN targets count for nothing."""
    known = ~targets.isnan()
    losses = binary_cross_entropy_with_logits(logits, targets.nan_to_num(0.0), reduction="none", pos_weight=positive)
    per_column = (losses * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)
    return (per_column * weights).sum()


def tokenise(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids of normalised texts, cut to ``max_tokens`` with the two special ones."""
    return list(tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"])


def collate(ids: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in ids)
    inputs = torch.full((len(ids), width), pad, dtype=torch.long)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for index, row in enumerate(ids):
        inputs[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return inputs, mask


def _fit_encoder(
    model: Classifier, tokenizer: PreTrainedTokenizerFast, examples: Examples, recipe: Recipe
) -> Classifier:
    rng = random.Random(recipe.seed)  # noqa: S311 -- repeatable shuffling, not a secret
    encoder_rate = recipe.rate if recipe.method is Method.LORA else recipe.rate / 20
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": encoder_rate},
            {"params": model.heads.parameters(), "lr": recipe.head_rate},
        ],
        weight_decay=0.01,
    )
    steps = recipe.epochs * -(-len(examples) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=[encoder_rate, recipe.head_rate], total_steps=steps, pct_start=0.1
    )
    targets = torch.from_numpy(examples.targets)
    weights, positive = _column_weights(), _positive_weights()
    harmless = harmless_texts(examples)
    for epoch in range(recipe.epochs):
        started, total = time.monotonic(), 0.0
        texts = [augment(text, rng) if rng.random() < recipe.disguised else text for text in examples.texts]
        if recipe.buried:
            texts = [bury(text, harmless, rng) if rng.random() < recipe.buried else text for text in texts]
        ids = tokenise(tokenizer, [normalise(text).text for text in texts], recipe.max_tokens)
        model.train()
        for batch in shuffled_batches([len(row) for row in ids], recipe.batch, rng):
            inputs, mask = collate([ids[i] for i in batch], tokenizer.pad_token_id)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.half_precision):
                logits = model(inputs, mask)
            loss = masked_loss(logits.float(), targets[batch], weights, positive)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        log.info("epoch %d: loss %.3f, %.0f s", epoch + 1, total / len(examples), time.monotonic() - started)
    return model.eval()


def _fit_heads(model: Classifier, tokenizer: PreTrainedTokenizerFast, examples: Examples, recipe: Recipe) -> Classifier:
    """Heads on text vectors computed once; full-batch, so a run takes seconds after the vectors are there."""
    vectors = embed(model, tokenizer, examples.texts, recipe.max_tokens)
    scale = vectors.std()
    vectors = vectors / scale
    targets = torch.from_numpy(examples.targets)
    optimiser = torch.optim.AdamW(model.heads.parameters(), lr=recipe.head_rate, weight_decay=0.01)
    weights, positive = _column_weights(), _positive_weights()
    model.train()
    for _ in range(300 if recipe.method is Method.MLP else 800):
        loss = masked_loss(model.heads(vectors), targets, weights, positive)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    first = next(module for module in model.heads.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        first.weight.div_(scale)  # so that the heads take the vectors as they come
    return model.eval()


@torch.inference_mode()
def embed(model: Classifier, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> Tensor:
    """The pooled vector of every text, in order."""
    ids = tokenise(tokenizer, [normalise(text).text for text in texts], max_tokens)
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    vectors = torch.zeros((len(ids), HIDDEN_SIZE))
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        inputs, mask = collate([ids[row] for row in rows], tokenizer.pad_token_id)
        vectors[rows] = pool(model.token_states(inputs, mask), mask)
    return vectors.clone()
