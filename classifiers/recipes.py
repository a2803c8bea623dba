"""How a reader is trained: ``recipes/*.toml``, one table per reader.

Everything that decides the result, beside the data.
"""

import tomllib
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from classifiers.base_model import BASE_MODELS, MINILM, BaseModel

RECIPES_DIR = Path(__file__).parent / "recipes"
SHIPPED = RECIPES_DIR / "shipped.toml"


class Method(StrEnum):
    """``linear`` and ``mlp`` train heads on a frozen encoder, ``lora`` low-rank adapters, ``full`` every weight."""

    LINEAR = "linear"
    MLP = "mlp"
    LORA = "lora"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One reader's training.

    ``rate`` is the encoder's, ``head_rate`` the heads'; see docs/evaluation.md for the choices.
    """

    base: str = MINILM.name
    method: Method = Method.LORA
    rank: int = 16
    epochs: int = 6
    batch: int = 32
    rate: float = 1e-3
    head_rate: float = 1e-2
    max_tokens: int = 128
    disguised: float = 0.3  # share of posts disguised anew in each epoch
    pairs: float = 0.0  # weight of telling the flagged from the benign posts of one contrast set
    seed: int = 7
    half_precision: bool = True  # twice as fast on processors with bfloat16; slower on others

    @property
    def base_model(self) -> BaseModel:
        return BASE_MODELS[self.base]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "method": self.method.value}


def read_recipes(path: Path) -> dict[str, Recipe]:
    """The recipes of a file by the name of their table.

    Raises:
        ValueError: an unknown key, method or base model; the message names it.
    """
    known = {field.name for field in fields(Recipe)}
    recipes = {}
    for reader, row in tomllib.loads(path.read_text(encoding="utf-8")).items():
        if unknown := set(row) - known:
            raise ValueError(f"{path.name}: [{reader}] has the unknown key {min(unknown)!r}; known are {sorted(known)}")
        recipe = Recipe(**{**row, "method": Method(row.get("method", Method.LORA))})
        if recipe.base not in BASE_MODELS:
            raise ValueError(f"{path.name}: [{reader}] base: {recipe.base!r} is none of {sorted(BASE_MODELS)}")
        recipes[reader] = recipe
    return recipes
