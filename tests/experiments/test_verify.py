"""The verification passes on the code as it is and fails on each kind of wrong gradient."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from agents.kernels.returns import BASELINES
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
from experiments.training.finite import one_run
from tests.experiments.interpreted import interpret

TASK = Task(
    "Grid",
    SMALL["Grid"],
    "tabular",
    [{"discount": 0.9}, {"discount": 0.9, **WEIGHTED, "baseline": "leave_one_out"}, {"discount": 0.9, **SOFT}],
)


def agreements(task: Task = TASK) -> list[bool]:
    return [agrees for agrees, _ in judged(examine(task))]


def with_fault(monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., Any]) -> None:
    """`wrong`, given the right function and its arguments, in the place of one that the compiled pass calls."""
    right = getattr(one_run, name)
    interpret(monkeypatch, one_run)
    monkeypatch.setattr(one_run, name, lambda *given: wrong(right, *given))


def test_the_code_as_it_is_agrees() -> None:
    assert agreements() == [True] * 3


def test_a_wrong_sign_of_the_entropy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def rewarding_certainty(right: Any, *given: Any) -> None:
        *experience, coefficient, regularizer, gradient = given
        right(*experience, -coefficient, regularizer, gradient)

    with_fault(monkeypatch, "gradient_by_logits", rewarding_certainty)
    assert agreements() == [False] * 3


def test_a_wrong_sign_of_the_policy_term_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def descending(right: Any, score: Any, softmax: Any, epsilon: float, sums: Any, *given: Any) -> None:
        right(score, softmax, epsilon, -sums, *given)

    with_fault(monkeypatch, "gradient_by_logits", descending)
    assert agreements() == [False] * 3


def test_a_one_sample_entropy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """-log pi of an action that was drawn, instead of the sum over all: its expected gradient is zero."""
    rng = np.random.default_rng(0)

    def one_sample(right: Any, score: Any, pi: Any, *given: Any) -> None:
        epsilon, sums, counts, normalizer, coefficient, regularizer, gradient = given
        right(score, pi, epsilon, sums, counts, normalizer, 0.0, regularizer, gradient)
        drawn = (pi.cumsum(1) <= rng.random((len(pi), 1))).sum(1)
        taken = np.eye(pi.shape[1])[np.minimum(drawn, pi.shape[1] - 1)]
        gradient += coefficient * counts[:, None] * (taken - pi) / normalizer

    with_fault(monkeypatch, "gradient_by_logits", one_sample)
    assert agreements() == [False] * 3


def test_a_missing_discount_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def undiscounted(right: Any, steps: Any, discount: float, bonus: Any, returns: Any) -> None:
        right(steps, 1.0, bonus, returns)

    with_fault(monkeypatch, "returns_to_go", undiscounted)
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
    def shifted(right: Any, steps: Any, discount: float, bonus: Any, returns: Any) -> None:
        right(steps, discount, bonus, returns)
        for episode in range(len(steps.lengths)):
            own = np.flatnonzero(steps.episode[: len(returns)] == episode)  # by time
            moved = np.roll(returns[own], shift)
            moved[0 if shift == 1 else -1] = 0.0
            returns[own] = moved

    with_fault(monkeypatch, "returns_to_go", shifted)
    assert agreements()[:2] == [False] * 2


def test_a_baseline_that_knows_the_action_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch mean in the place of leave one out."""
    instead = {BASELINES.index("leave_one_out"): BASELINES.index("batch_mean")}

    def knowing(right: Any, baseline: int, *given: Any) -> None:
        right(instead.get(baseline, baseline), *given)

    with_fault(monkeypatch, "subtract_baseline", knowing)
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
    monkeypatch.setattr(cases, "STEPS", 0)  # as few updates as may be
    monkeypatch.setattr(cases, "UNBIASED", {"tabular": TASK.options})
    monkeypatch.setattr(cases, "STEPPED", {})
    assert verify.main(["--quick"]) == 0
    shown = capsys.readouterr().out
    assert "nothing disagrees" in shown
    assert "DISAGREES" not in shown
    assert "tabular, discount 0.9" not in shown  # a line per world
    assert len(shown.splitlines()) <= 40
    assert max(map(len, shown.splitlines())) <= 80
    assert verify.main(["--quick", "-v"]) == 0
    assert capsys.readouterr().out.count("tabular, discount 0.9") == 2 * len(TASK.options)

    # forked workers inherit the fault
    def negative(right: Any, steps: Any, discount: float, bonus: Any, returns: Any) -> None:
        right(steps, discount, bonus, returns)
        np.negative(returns, out=returns)

    with_fault(monkeypatch, "returns_to_go", negative)
    monkeypatch.setattr(
        cases, "UNBIASED", {"tabular": TASK.options[:1]}
    )  # Python runs the pass: it takes its time
    assert verify.main(["--quick"]) == 1
    assert "DISAGREES" in capsys.readouterr().out


def test_worlds_that_cannot_be_looked_at_are_one_line_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without compiled loops, as NUMBA_DISABLE_JIT leaves them, nothing can be trained."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    monkeypatch.setattr(verify, "print_numbers", lambda verbose: 0)
    assert verify.main([]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("experiments.verify: Taxi, TwoRooms, ")
    assert line.count("NUMBA_DISABLE_JIT") == 1


def test_a_wrong_number_of_the_text_is_a_disagreement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.print_numbers(verbose=False) == 0
    monkeypatch.setattr(verify, "numbers", lambda: [Number("a", "0.61", 0.7, "bits", "")])
    assert verify.print_numbers(verbose=False) == 1
    assert "WRONG" in capsys.readouterr().out


def test_options_are_described_in_full() -> None:
    """No two cases of a world and policy have the same name."""
    for task in tasks(SMALL):
        assert len({describe(options) for options in task.options}) == len(task.options)
