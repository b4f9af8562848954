"""The formulas of the page, in a real browser, against the library's."""

import numpy as np
import pytest
import torch
from selenium.webdriver import Chrome

from agents.information import (
    cross_entropy,
    effective_actions,
    entropy,
    entropy_from_log,
    information,
    kl_divergence,
)
from tests.experiments.browser import needs_browser

pytestmark = [pytest.mark.slow, needs_browser]


def policies(pairs: int, seed: int) -> list[tuple[list[float], list[float]]]:
    """Random pairs of distributions over two to ten actions; every third p has a zero, some are nearly sure."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(pairs):
        actions = 2 + k % 9
        p, q = rng.dirichlet(np.full(actions, (1.0, 0.05, 5.0)[k % 3])), rng.dirichlet(np.ones(actions))
        if k % 3 == 0:
            p[0] = 0.0
        p, q = p / p.sum(), (q + 1e-6) / (q + 1e-6).sum()
        found.append((p.tolist(), q.tolist()))
    return found


def test_formulas_are_those_of_the_library(page: Chrome) -> None:
    pairs = policies(300, seed=17)
    script = """return arguments[0].map(([p, q]) => [
        formulas.entropy(p), formulas.crossEntropy(p, q), formulas.klDivergence(p, q),
        formulas.effectiveActions(p), formulas.bits(formulas.entropy(p)), formulas.lossTerm(p, 0.3),
        formulas.information(q[0]),
        formulas.klTerms(p, q).reduce((a, b) => a + b), ...formulas.likelihoodRatios(p, q)])"""
    for (p, q), found in zip(pairs, page.execute_script(script, pairs), strict=True):
        kl = kl_divergence(p, q)
        by_library = [
            entropy(p), cross_entropy(p, q), kl, effective_actions(p),
            entropy(p, "bits"), -0.3 * entropy(p), information(q[0]), kl, *(np.array(p) / np.array(q)),
        ]  # fmt: skip
        assert found == pytest.approx(by_library, abs=1e-9, rel=1e-9)


def test_at_the_borders_formulas_keep_their_conventions(page: Chrome) -> None:
    """0 log 0 = 0; KL is infinite where q = 0 < p; the pull is zero in a corner and at the uniform policy."""
    corner, uniform = [1, 0, 0, 0], [0.25] * 4
    assert page.execute_script("return formulas.entropy(arguments[0])", corner) == 0
    assert page.execute_script(
        "return formulas.klDivergence(arguments[0], arguments[1]) === Infinity", uniform, corner
    )
    assert page.execute_script("return formulas.klDivergence(arguments[0], arguments[0])", uniform) == 0
    for policy in (corner, uniform):
        pull = page.execute_script("return formulas.entropyGradient(arguments[0])", policy)
        assert pull == pytest.approx([0.0] * 4, abs=1e-15)


def test_the_pull_on_the_logits_is_the_gradient_of_the_entropy(page: Chrome) -> None:
    for p, _ in policies(60, seed=18):
        if min(p) == 0:
            continue
        logits = torch.tensor(p, dtype=torch.float64).log().requires_grad_()
        entropy_from_log(torch.log_softmax(logits, -1)).backward()
        assert logits.grad is not None
        pull = page.execute_script("return formulas.entropyGradient(arguments[0])", p)
        assert pull == pytest.approx(logits.grad.tolist(), abs=1e-9)


def test_the_classifier_follows_the_gradient_of_the_mean_cross_entropy(page: Chrome) -> None:
    classes = page.execute_script("return page.classes")
    points, targets = (torch.tensor(classes[key], dtype=torch.float64) for key in ("points", "targets"))
    weights = torch.tensor(np.random.default_rng(3).normal(size=(3, 3))).requires_grad_()
    loss = cross_entropy(targets, torch.softmax(points @ weights.T, -1)).mean()
    loss.backward()
    assert weights.grad is not None
    found = page.execute_script(
        "return formulas.classifierGradient(arguments[0], page.classes.points, page.classes.targets)",
        weights.tolist(),
    )
    assert np.array(found) == pytest.approx(weights.grad.numpy(), abs=1e-9)
    assert classes["entropy"] == pytest.approx(entropy(targets).mean().item(), abs=1e-9)


def test_a_moved_probability_leaves_a_distribution_whose_others_keep_their_proportions(page: Chrome) -> None:
    moved = "return formulas.withProbability(arguments[0], arguments[1], arguments[2])"
    for p, _ in policies(60, seed=19):
        found = np.array(page.execute_script(moved, p, 1, 0.37))
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert found[1] == 0.37
        others = np.arange(len(p)) != 1
        assert found[others] * (1 - p[1]) == pytest.approx(0.63 * np.array(p)[others], abs=1e-9)
    assert page.execute_script(moved, [1, 0, 0, 0], 0, 0.7) == pytest.approx([0.7, 0.1, 0.1, 0.1])
