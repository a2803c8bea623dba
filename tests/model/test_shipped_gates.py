"""The shipped model passes the gates that a candidate must pass."""

import pytest

from classifiers.gates import judge, measure, read_bounds
from classifiers.pipeline import Pipeline

pytestmark = pytest.mark.model


def test_shipped_model_passes_every_gate() -> None:
    gates = judge(measure(Pipeline.load(threads=2)), read_bounds())

    assert [f"{gate.name}: {gate.measured.value:.3f}" for gate in gates if not gate.open] == []
