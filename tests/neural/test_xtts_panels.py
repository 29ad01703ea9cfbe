"""Products of many rows with weights of eight bits."""

import numpy as np
import pytest

from voicenode_xtts import panels, tile
from voicenode_xtts.linear import Linear

pytestmark = pytest.mark.skipif(not tile.available(), reason="this processor has no such instructions")


def rounded(numbers: np.ndarray) -> panels.Levels:
    levels = panels.Levels.empty(panels.tiles(len(numbers)), numbers.shape[1])
    for row, each in enumerate(numbers):
        panels.round_row(each, levels, row, 0)
    return levels


def meant(levels: panels.Levels) -> np.ndarray:
    """The numbers that levels stand for."""
    groups = levels.levels.reshape(*levels.scales.shape, panels.GROUP)
    return (groups * levels.scales[..., None].astype(np.float64)).reshape(levels.levels.shape)


@pytest.mark.parametrize("inputs", [64, 512, 576, 4096])
@pytest.mark.parametrize("rows", [1, 6, 13])
def test_products_of_what_was_rounded_are_exact(rows: int, inputs: int) -> None:
    random = np.random.default_rng(0)
    weight = random.integers(-127, 128, (128, inputs)).astype(np.int8)
    linear = Linear(weight, *random.standard_normal((2, 128)).astype(np.float32))
    levels = rounded(random.standard_normal((rows, inputs)).astype(np.float32))
    out = panels.aligned(panels.tiles(rows), 128)
    panels.multiply(levels, linear, out, panels.panel())
    expected = meant(levels) @ weight.T * linear.scale + linear.bias
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("level", [-127, 127])
@pytest.mark.parametrize("weight", [-127, 127])
def test_the_largest_products_do_not_overflow(weight: int, level: int) -> None:
    weights = np.full((64, 64), weight, np.int8)
    linear = Linear(weights, np.ones(64, np.float32), np.zeros(64, np.float32))
    levels = rounded(np.full((1, 64), level, np.float32))
    out = panels.aligned(panels.tiles(1), 64)
    panels.multiply(levels, linear, out, panels.panel())
    assert (out[0] == 64 * weight * level).all()


def test_each_group_of_a_row_is_rounded_by_its_own_largest_number() -> None:
    numbers = np.random.default_rng(0).standard_normal((3, 192)).astype(np.float32)
    numbers[:, 70] = 1000
    numbers[1, :64] = 0
    largest = np.abs(numbers.reshape(3, -1, panels.GROUP)).max(axis=2).repeat(panels.GROUP, axis=1)
    assert (np.abs(meant(rounded(numbers))[:3] - numbers) <= 0.5001 * largest / 127).all()
