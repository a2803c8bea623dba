"""Fit a classifier to examples: by heads alone on frozen text vectors, by low-rank adapters, or wholly."""

import logging
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from transformers import PreTrainedTokenizerFast

from classifiers.augment import augment
from classifiers.base_model import load_encoder, load_tokenizer
from classifiers.dropout import RandomBytes, replace_dropout
from classifiers.examples import AUXILIARY, COLUMNS, REVIEW_COLUMN, Examples, shuffled_batches
from classifiers.model import REVIEW, URGENT, Classifier, pool
from classifiers.normalise import normalise
from classifiers.recipes import Method, Recipe
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

log = logging.getLogger(__name__)

PROGRESS_EVERY = 60.0  # seconds


def fit(examples: Examples, recipe: Recipe, *, threads: int = 2, checkpoint: Path | None = None) -> Classifier:
    """Train a classifier; its heads hold the auxiliary columns too, after the real ones.

    With ``checkpoint``, every finished epoch is kept there, and a run over the same data with the same recipe goes on
    after the last one; the result is the same as without the interruption.
    """
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # 4 % of a step, for memory that is never read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    tokenizer = load_tokenizer(recipe.base_model)
    model = _new_model(recipe)
    try:
        if recipe.method in (Method.LINEAR, Method.MLP):
            return _fit_heads(model, tokenizer, examples, recipe)
        return _Run(model, tokenizer, examples, recipe, checkpoint).to_the_end()
    finally:
        torch.use_deterministic_algorithms(False)


def _new_model(recipe: Recipe) -> Classifier:
    base = recipe.base_model
    encoder: nn.Module = load_encoder(base).float()
    encoder.requires_grad_(recipe.method is Method.FULL)
    if recipe.method is Method.LORA:
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=2 * recipe.rank,
            lora_dropout=0.1,
            target_modules=list(base.adapted_layers),
            bias="none",
        )
        encoder = get_peft_model(encoder, config)
    model = Classifier(encoder, base.hidden_size, COLUMNS)
    if recipe.method is Method.MLP:
        size = base.hidden_size
        model.heads = nn.Sequential(  # type: ignore[assignment]  # measured only, never shipped
            nn.Linear(size, size), nn.GELU(), nn.Dropout(0.3), nn.Linear(size, len(COLUMNS))
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


def pair_loss(review: Tensor, flagged: Tensor, sets: Sequence[str]) -> Tensor:
    """Logistic loss of every flagged post against every benign post of its contrast set; 0 where there is no such pair.

    ``review`` holds logits, ``flagged`` 0 or 1 (NaN for unknown). It asks only for the order within the set: what the
    posts share cannot lower it, so the model has to find the few words that differ.
    """
    names = {name: number for number, name in enumerate(sorted({name for name in sets if name}))}
    number = torch.tensor([names.get(name, -1) for name in sets])
    same = (number[:, None] == number[None, :]) & (number[:, None] >= 0)
    pairs = same & (flagged[:, None] == 1.0) & (flagged[None, :] == 0.0)
    if not bool(pairs.any()):
        return review.sum() * 0.0
    return softplus(review[None, :] - review[:, None])[pairs].mean()


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


class _Run:
    """One training run of an encoder; its state between two epochs can be written down and taken up again."""

    def __init__(
        self,
        model: Classifier,
        tokenizer: PreTrainedTokenizerFast,
        examples: Examples,
        recipe: Recipe,
        checkpoint: Path | None,
    ) -> None:
        self.model, self.tokenizer, self.examples, self.recipe = model, tokenizer, examples, recipe
        self.checkpoint = checkpoint
        self.dropout = RandomBytes(recipe.seed)
        replace_dropout(model, self.dropout)
        self.rng = random.Random(recipe.seed)  # noqa: S311 -- repeatable shuffling, not a secret
        encoder_rate = recipe.rate if recipe.method is Method.LORA else recipe.rate / 20
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in model.encoder.parameters() if p.requires_grad], "lr": encoder_rate},
                {"params": model.heads.parameters(), "lr": recipe.head_rate},
            ],
            weight_decay=0.01,
        )
        self.steps_per_epoch = -(-len(examples) // recipe.batch)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            max_lr=[encoder_rate, recipe.head_rate],
            total_steps=recipe.epochs * self.steps_per_epoch,
            pct_start=0.1,
        )
        self.targets = torch.from_numpy(examples.targets)
        self.weights, self.positive = _column_weights(), _positive_weights()

    def to_the_end(self) -> Classifier:
        for epoch in range(self._resume(), self.recipe.epochs):
            self._epoch(epoch)
            self._keep(epoch + 1)
        return self.model.eval()

    def _epoch(self, epoch: int) -> None:
        recipe, rng = self.recipe, self.rng
        self.dropout.restart(recipe.seed, epoch)  # so that a run taken up again draws what it would have drawn
        started = said = time.monotonic()
        texts = [augment(text, rng) if rng.random() < recipe.disguised else text for text in self.examples.texts]
        ids = tokenise(self.tokenizer, [normalise(text).text for text in texts], recipe.max_tokens)
        batches = shuffled_batches([len(row) for row in ids], self.examples.sets, recipe.batch, rng)
        self.model.train()
        total = 0.0
        for step, batch in enumerate(batches, 1):
            total += self._step(batch, ids) * len(batch)
            if time.monotonic() - said > PROGRESS_EVERY:
                said = time.monotonic()
                left = (said - started) / step * (len(batches) * (recipe.epochs - epoch) - step)
                log.info("epoch %d, %.0f %%; about %.0f min left", epoch + 1, 100 * step / len(batches), left / 60)
        log.info("epoch %d: loss %.3f, %.0f s", epoch + 1, total / len(self.examples), time.monotonic() - started)

    def _step(self, batch: Sequence[int], ids: Sequence[Sequence[int]]) -> float:
        inputs, mask = collate([ids[i] for i in batch], self.tokenizer.pad_token_id)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.recipe.half_precision):
            logits = self.model(inputs, mask).float()
        targets = self.targets[list(batch)]
        loss = masked_loss(logits, targets, self.weights, self.positive)
        if self.recipe.pairs:
            sets = [self.examples.sets[i] for i in batch]
            loss = loss + self.recipe.pairs * pair_loss(logits[:, REVIEW_COLUMN], targets[:, REVIEW_COLUMN], sets)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        return loss.item()

    def _identity(self) -> dict[str, Any]:
        return {"recipe": self.recipe.as_json(), "data": self.examples.digest()}

    def _keep(self, epochs_done: int) -> None:
        if self.checkpoint is None:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        trained = {name for name, value in self.model.named_parameters() if value.requires_grad}
        state = {
            "of": self._identity(),
            "epochs_done": epochs_done,
            "model": {name: value for name, value in self.model.state_dict().items() if name in trained},
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "torch": torch.get_rng_state(),
            "shuffling": self.rng.getstate(),
        }
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _resume(self) -> int:
        """Take up the last finished epoch of the same run; how many are done."""
        if self.checkpoint is None or not self.checkpoint.is_file():
            return 0
        state = torch.load(self.checkpoint, weights_only=True)
        if state["of"] != self._identity():
            log.info("%s is of another run (other recipe or data): starting anew", self.checkpoint)
            return 0
        self.model.load_state_dict(state["model"], strict=False)
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["torch"])
        version, internal, gauss = state["shuffling"]
        self.rng.setstate((version, tuple(internal), gauss))
        log.info("going on after epoch %d", state["epochs_done"])
        return int(state["epochs_done"])


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
    vectors: list[Tensor] = [torch.empty(0)] * len(ids)
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        inputs, mask = collate([ids[row] for row in rows], tokenizer.pad_token_id)
        for row, vector in zip(rows, pool(model.token_states(inputs, mask), mask), strict=True):
            vectors[row] = vector
    return torch.stack(vectors).clone()
