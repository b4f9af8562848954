"""Each regularizer is what its name says, least at the uniform policy, and blind to what all logits share."""

import math

import pytest
import torch
from torch import Tensor

from agents.information import kl_divergence
from agents.regularizers import Regularizer, regularizer
from agents.reinforce import Experience, loss_terms

NAMES: list[Regularizer] = ["entropy", "kl_from_uniform", "logit_l2"]
LOGITS = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 0.0, 3.0, -3.0]], dtype=torch.float64)


def gradient(name: Regularizer, logits: Tensor) -> Tensor:
    given = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(regularizer(name, torch.log_softmax(given, -1)).sum(), [given])
    return found


def test_each_is_what_its_name_says() -> None:
    log_pi = torch.log_softmax(LOGITS, -1)
    pi, uniform = log_pi.exp(), torch.full((4,), 0.25, dtype=torch.float64)
    for row in range(2):
        assert regularizer("entropy", log_pi)[row] == pytest.approx(float((pi[row] * log_pi[row]).sum()))
        expected = kl_divergence(uniform.tolist(), pi[row].tolist())
        assert regularizer("kl_from_uniform", log_pi)[row] == pytest.approx(expected)
        centred = LOGITS[row] - LOGITS[row].mean()
        assert regularizer("logit_l2", log_pi)[row] == pytest.approx(float((centred**2).sum() / 2))


def test_their_gradients_are_those_of_their_docstring() -> None:
    pi = torch.softmax(LOGITS, -1)
    log_pi = pi.log()
    entropy = -(pi * log_pi).sum(-1, keepdim=True)
    torch.testing.assert_close(gradient("entropy", LOGITS), pi * (log_pi + entropy))
    torch.testing.assert_close(gradient("kl_from_uniform", LOGITS), pi - 0.25)
    torch.testing.assert_close(gradient("logit_l2", LOGITS), LOGITS - LOGITS.mean(-1, keepdim=True))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_least_at_the_uniform_policy_and_moves_there(name: Regularizer) -> None:
    least = regularizer(name, torch.full((4,), -math.log(4), dtype=torch.float64))
    assert least == pytest.approx(-math.log(4) if name == "entropy" else 0.0, abs=1e-12)
    assert (regularizer(name, torch.log_softmax(LOGITS, -1)) > least).all()
    torch.testing.assert_close(gradient(name, torch.zeros(4, dtype=torch.float64)), torch.zeros(4).double())
    after = torch.log_softmax(LOGITS - 0.01 * gradient(name, LOGITS), -1)
    assert (regularizer(name, after) < regularizer(name, torch.log_softmax(LOGITS, -1))).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_all_logits_share_changes_nothing(name: Regularizer) -> None:
    torch.testing.assert_close(gradient(name, LOGITS + 7.0), gradient(name, LOGITS))


@pytest.mark.parametrize("name", NAMES)
def test_the_coefficient_weighs_it_in_the_loss_with_the_scale_of_the_policy_loss(name: Regularizer) -> None:
    log_pi = torch.log_softmax(LOGITS, -1)[None]
    visits = torch.tensor([[3.0, 2.0]], dtype=torch.float64)
    experience = Experience(torch.ones_like(log_pi), visits, torch.tensor([5.0], dtype=torch.float64))
    found = loss_terms(log_pi, experience, torch.tensor([0.3], dtype=torch.float64), name)
    expected = (visits * regularizer(name, log_pi)).sum(1) / 5
    torch.testing.assert_close(found.regularizer, expected)
    torch.testing.assert_close(found.loss, found.policy_loss + 0.3 * expected)
    if name == "entropy":
        assert torch.equal(found.regularizer, found.negative_entropy)
