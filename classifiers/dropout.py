"""Dropout from cheap random bytes: PyTorch's own draws number by number, and took 40 % of a training step here."""

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 256


class RandomBytes:
    """A repeatable stream of random bytes that the dropout layers of one network share."""

    def __init__(self, *seed: int) -> None:
        self.restart(*seed)

    def restart(self, *seed: int) -> None:
        """From here on give what a new stream of this seed gives."""
        self._generator = np.random.SFC64(seed)

    def draw(self, count: int) -> Tensor:
        """``count`` bytes, uint8."""
        words = self._generator.random_raw(-(-count // 8))
        return torch.from_numpy(words.view(np.uint8)[:count])


class ByteDropout(nn.Dropout):
    """As its parent, with the rate rounded to a 256th."""

    def __init__(self, rate: float, source: RandomBytes) -> None:
        super().__init__(rate)
        self.dropped = round(rate * LEVELS)
        self.source = source

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return values
        kept = (self.source.draw(values.numel()) >= self.dropped).view(values.shape).to(values.dtype)
        return values * kept.mul_(LEVELS / (LEVELS - self.dropped))


def replace_dropout(network: nn.Module, source: RandomBytes) -> None:
    """Put ``ByteDropout`` in the place of every dropout layer of the network."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Dropout:
                setattr(parent, name, ByteDropout(layer.p, source))
