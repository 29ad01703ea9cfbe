import pytest
import torch

from voicenode_f5.solver import noise, times

pytestmark = pytest.mark.neural


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 7, 10, 12, 16, 32, 64])
@pytest.mark.parametrize("sway", [-1.0, 0.0, 0.5])
def test_time_goes_from_0_to_1_in_as_many_steps_as_asked(steps: int, sway: float) -> None:
    time = times(steps, sway)
    assert len(time) == steps + 1
    assert time[0] == 0
    assert float(time[-1]) == pytest.approx(1, abs=1e-6)
    assert (time.diff() > 0).all()


def test_few_steps_are_spent_early_where_pruning_is_known() -> None:
    assert times(7, 0).mul(32).tolist() == [0, 2, 4, 6, 8, 16, 24, 32]
    assert times(8, 0).mul(8).tolist() == list(range(9))


def test_sway_below_0_moves_the_steps_towards_the_beginning() -> None:
    assert (times(32, -1)[1:-1] < times(32, 0)[1:-1]).all()


def test_a_seed_names_its_noise() -> None:
    cpu = torch.device("cpu")
    assert torch.equal(noise(5, 100, 3, cpu), noise(5, 100, 3, cpu))
    assert not torch.equal(noise(5, 100, 3, cpu), noise(5, 100, 4, cpu))
