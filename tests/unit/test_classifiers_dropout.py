"""The dropout of training: the right share, the right scale, repeatable, and none when the network judges."""

import pytest
import torch
from torch import nn

from classifiers.dropout import ByteDropout, RandomBytes, replace_dropout


def test_drops_its_share_and_keeps_the_mean() -> None:
    dropped = ByteDropout(0.1, RandomBytes(7))(torch.ones(400, 1000))
    assert (dropped == 0).float().mean().item() == pytest.approx(26 / 256, abs=0.002)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.002)


def test_a_network_that_judges_drops_nothing() -> None:
    values = torch.ones(10, 10)
    assert ByteDropout(0.5, RandomBytes(7)).eval()(values) is values


def test_the_same_seed_drops_the_same_and_another_does_not() -> None:
    source = RandomBytes(7, 0)
    layer, values = ByteDropout(0.3, source), torch.ones(64, 33)
    first, second = layer(values), layer(values)
    source.restart(7, 0)
    assert torch.equal(layer(values), first)
    assert not torch.equal(first, second)


def test_every_dropout_layer_of_a_network_is_replaced() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.2)))
    replace_dropout(network, RandomBytes(7))
    assert [layer.dropped for layer in network.modules() if isinstance(layer, ByteDropout)] == [26, 51]
    assert not any(type(layer) is nn.Dropout for layer in network.modules())
