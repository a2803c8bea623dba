"""Training: pairs are learned as pairs, and an interrupted run ends where an uninterrupted one does."""

from pathlib import Path

import pytest
import torch

from classifiers import fitting
from classifiers.corpus import read_corpus
from classifiers.examples import from_authored, shuffled_batches
from classifiers.fitting import fit, pair_loss
from classifiers.recipes import SHIPPED, Recipe, read_recipes

POSTS = read_corpus()[:48]


def test_pair_loss_asks_for_the_order_inside_a_set_only() -> None:
    flagged = torch.tensor([1.0, 0.0, 1.0, 0.0])
    sets = ["a", "a", "b", ""]
    right = pair_loss(torch.tensor([3.0, -3.0, -9.0, 9.0]), flagged, sets)
    wrong = pair_loss(torch.tensor([-3.0, 3.0, -9.0, 9.0]), flagged, sets)

    assert right < 0.01 < 5.0 < wrong
    assert pair_loss(torch.zeros(4), flagged, ["", "", "", ""]) == 0.0


def test_posts_of_a_set_stand_side_by_side() -> None:
    import random

    sets = ["x" if index % 7 == 0 else "" for index in range(40)]

    batches = shuffled_batches(list(range(40)), sets, 8, random.Random(1))

    assert sorted(index for batch in batches for index in batch) == list(range(40))
    order = [sets[index] for batch in sorted(batches, key=min) for index in batch]
    assert sum("x" in {sets[index] for index in batch} for batch in batches) <= 2, order


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft 0.21 with transformers 5
def test_interrupted_run_ends_where_the_uninterrupted_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = from_authored(POSTS)
    recipe = Recipe(epochs=2, batch=16, pairs=1.0, half_precision=False, max_tokens=32)
    whole = fit(examples, recipe, threads=1)
    kept = fitting._Run._keep

    def killed_after_first(run: fitting._Run, epochs_done: int) -> None:
        kept(run, epochs_done)
        if epochs_done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(fitting._Run, "_keep", killed_after_first)
    with pytest.raises(KeyboardInterrupt):
        fit(examples, recipe, threads=1, checkpoint=tmp_path / "first.pt")
    monkeypatch.setattr(fitting._Run, "_keep", kept)

    resumed = fit(examples, recipe, threads=1, checkpoint=tmp_path / "first.pt")

    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_recipes_of_the_shipped_model_can_be_read() -> None:
    assert set(read_recipes(SHIPPED)) == {"first", "second"}


@pytest.mark.parametrize(
    ("line", "message"),
    [('base = "unknown"', "base: 'unknown' is none of"), ("speed = 1", "unknown key 'speed'"), ('method = "x"', "x")],
)
def test_bad_recipe_is_refused_by_name(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "recipes.toml"
    file.write_text(f"[first]\n{line}\n", encoding="utf-8")

    with pytest.raises(ValueError, match=message):
        read_recipes(file)
