"""The verification passes on the code as it is and fails on each kind of wrong gradient."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import Tensor

from agents.reinforce import Experience, LossTerms, loss_terms
from agents.returns import returns_to_go
from experiments import verify
from experiments.analysis.text_numbers import Number
from experiments.gradients import cases
from experiments.gradients.cases import (
    POLICIES,
    SMALL,
    SOFT,
    WEIGHTED,
    Setting,
    Task,
    biased,
    describe,
    examine,
    judged,
    tasks,
)
from experiments.training.finite import experience, learning

Loss = Callable[[Tensor, Experience, Tensor], LossTerms]
TASK = Task(
    "Grid",
    SMALL["Grid"],
    "tabular",
    [{"discount": 0.9}, {"discount": 0.9, **WEIGHTED, "baseline": "leave_one_out"}, {"discount": 0.9, **SOFT}],
)


def agreements(task: Task = TASK) -> list[bool]:
    return [agrees for agrees, _ in judged(examine(task))]


def with_loss(monkeypatch: pytest.MonkeyPatch, loss: Loss) -> None:
    monkeypatch.setattr(learning, "loss_terms", loss)


def test_the_code_as_it_is_agrees() -> None:
    assert agreements() == [True] * 3


def test_a_wrong_sign_of_the_entropy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def rewarding_certainty(log_pi: Tensor, seen: Experience, coefficient: Tensor, _: str) -> LossTerms:
        return loss_terms(log_pi, seen, -coefficient)

    with_loss(monkeypatch, rewarding_certainty)
    assert agreements() == [False] * 3


def test_a_wrong_sign_of_the_policy_term_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def descending(log_pi: Tensor, seen: Experience, coefficient: Tensor, _: str) -> LossTerms:
        return loss_terms(log_pi, seen._replace(advantage_sums=-seen.advantage_sums), coefficient)

    with_loss(monkeypatch, descending)
    assert agreements() == [False] * 3


def test_a_one_sample_entropy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """-log pi of an action that was drawn, instead of the sum over all: its expected gradient is zero."""
    generator = torch.Generator().manual_seed(0)

    def one_sample(log_pi: Tensor, seen: Experience, coefficient: Tensor, _: str) -> LossTerms:
        actions = log_pi.shape[-1]
        drawn = torch.multinomial(log_pi.detach().exp().reshape(-1, actions), 1, generator=generator)
        taken = log_pi.gather(-1, drawn.reshape(*log_pi.shape[:-1], 1))[..., 0]
        negative_entropy = (seen.visit_counts * taken).sum(1) / seen.normalizer
        policy_loss = loss_terms(log_pi, seen, coefficient).policy_loss
        loss = policy_loss + coefficient * negative_entropy
        return LossTerms(policy_loss, negative_entropy, negative_entropy, loss)

    with_loss(monkeypatch, one_sample)
    assert agreements() == [False] * 3


def test_a_missing_discount_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def undiscounted(rewards: Any, discount: Any) -> Any:
        return returns_to_go(rewards, np.ones_like(discount))

    monkeypatch.setattr(experience, "returns_to_go", undiscounted)
    assert agreements() == [False] * 3


def test_a_missing_weight_of_later_steps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """gamma^t left out of the samples although it was asked for."""
    honest = Setting._training

    def unweighted(self: Setting, options: Any, runs: int, tables: bool | None = None) -> Any:
        sampled = options.get("gradient") != "exact"
        return honest(self, {**options, "discount_weighting": False} if sampled else options, runs, tables)

    monkeypatch.setattr(Setting, "_training", unweighted)
    assert agreements() == [True, False, True]


@pytest.mark.parametrize("shift", [1, -1])
def test_an_advantage_of_the_step_before_or_after_is_found(monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    def shifted(rewards: Any, discount: Any) -> Any:
        moved = np.roll(returns_to_go(rewards, discount), shift, axis=0)
        moved[0 if shift == 1 else -1] = 0.0
        return moved

    monkeypatch.setattr(experience, "returns_to_go", shifted)
    assert agreements()[:2] == [False] * 2


def test_a_baseline_that_knows_the_action_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch mean in the place of leave one out."""
    monkeypatch.setattr(experience, "leave_one_out", experience.batch_mean)
    assert agreements() == [True, False, True]


def test_the_batch_mean_agrees_with_its_factor_and_with_nothing_else() -> None:
    setting = Setting(SMALL["Grid"], POLICIES["tabular"])
    options = {"discount": 0.9, "entropy_coef": 0.1}
    shrunk = options | {"baseline": "batch_mean"}
    assert min(setting.check(shrunk, 1000, 120_000)[2::4]) > 0.001  # p_z and p_chi_squared
    unshrunk = setting.check(shrunk, 1000, 120_000, reference=setting.exact_step(options))
    assert min(unshrunk.p_z, unshrunk.p_chi_squared) < 1e-6


def test_what_is_biased_by_design_is_seen_to_be() -> None:
    for name, _, found in biased():
        assert min(found.p_z, found.p_chi_squared) < 1e-6, name


@pytest.mark.slow
def test_the_command_ends_with_0_and_with_1_where_something_disagrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "SMALL", {"Grid": SMALL["Grid"], "TwoState": SMALL["TwoState"]})
    monkeypatch.setattr(cases, "UNBIASED", {"tabular": TASK.options})
    monkeypatch.setattr(cases, "STEPPED", {})
    assert verify.main(["--quick"]) == 0
    shown = capsys.readouterr().out
    assert "nothing disagrees" in shown
    assert "DISAGREES" not in shown
    # forked workers inherit the fault
    monkeypatch.setattr(experience, "returns_to_go", lambda rewards, discount: -returns_to_go(rewards, discount))
    assert verify.main(["--quick"]) == 1
    assert "DISAGREES" in capsys.readouterr().out


def test_worlds_that_cannot_be_looked_at_are_one_line_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without compiled loops, as NUMBA_DISABLE_JIT leaves them, nothing can be trained."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert verify.main([]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("experiments.verify: Taxi, TwoRooms, ")
    assert line.count("NUMBA_DISABLE_JIT") == 1


def test_a_wrong_number_of_the_text_is_a_disagreement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.print_numbers() == 0
    monkeypatch.setattr(verify, "numbers", lambda: [Number("a", "0.61", 0.7, "bits", "")])
    assert verify.print_numbers() == 1
    assert "WRONG" in capsys.readouterr().out


def test_options_are_described_in_full() -> None:
    """No two cases of a world and policy have the same name."""
    for task in tasks(SMALL):
        assert len({describe(options) for options in task.options}) == len(task.options)
