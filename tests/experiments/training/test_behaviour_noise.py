"""Uniformly random actions mixed into the policy that acts: what is learnt from them, by hand, in a bandit."""

import numpy as np
import pytest
import torch

from agents.differentiable import mixed_with_uniform
from experiments import Config, ConfigError, load_config, train

REWARDS = np.array([0.8, 1.0, 0.4, 0.2])
PI = np.array([0.9, 0.05, 0.025, 0.025])
EPSILON, STEP = 0.2, 0.5
MIXTURE = (1 - EPSILON) * PI + EPSILON / 4


def bandit(updates: int = 2, **agent: object) -> Config:
    return load_config(
        {
            "name": "noise",
            "description": "a bandit",
            "environment": {"id": "FourAction/Bandit-v0", "kwargs": {"rewards": REWARDS.tolist()}},
            "agent": {
                "policy": "tabular",
                "initial_policy": PI.tolist(),
                "optimizer": "sgd",
                "learning_rate": STEP,
                "gradient": "exact",
                "behaviour_epsilon": EPSILON,
                **agent,
            },
            "training": {"seeds": 1, "updates": updates},
            "arms": {"noisy": {}},
        }
    )


def start_policies(config: Config) -> np.ndarray:
    return np.array(train(config).updates["start_policy"].to_pylist())


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_the_mixture_is_a_distribution_with_a_finite_gradient(epsilon: float) -> None:
    logits = torch.tensor([[0.0, 1.0, -40.0, 3.0]], dtype=torch.float64, requires_grad=True)
    log_pi = torch.log_softmax(logits, -1)
    mixed = mixed_with_uniform(log_pi, epsilon)
    assert torch.allclose(mixed.exp(), (1 - epsilon) * log_pi.exp() + epsilon / 4, atol=1e-12)
    (gradient,) = torch.autograd.grad(mixed[0, 2], logits)
    assert gradient.isfinite().all()


def test_what_acts_and_is_measured_is_the_mixture() -> None:
    config = bandit(gradient="sampled", updates=1)
    assert start_policies(config)[0] == pytest.approx(MIXTURE)
    entropy = train(config).updates["entropy_bits"][0].as_py()
    assert entropy == pytest.approx(-(MIXTURE * np.log2(MIXTURE)).sum())


def stepped(gradient: np.ndarray) -> np.ndarray:
    """The mixture after one step of the logits."""
    logits = np.log(PI) + STEP * gradient
    pi = np.exp(logits) / np.exp(logits).sum()
    return np.asarray((1 - EPSILON) * pi + EPSILON / 4)


def test_the_score_of_the_mixture_gives_the_gradient_of_its_own_return() -> None:
    # J = sum_a ((1 - epsilon) pi_a + epsilon / 4) r_a, and d pi_a / d theta_b = pi_a (1[a = b] - pi_b).
    gradient = (1 - EPSILON) * PI * (REWARDS - PI @ REWARDS)
    assert start_policies(bandit())[1] == pytest.approx(stepped(gradient), rel=1e-12)


def test_the_score_of_the_policy_alone_gives_another_step() -> None:
    # sum_a mixture_a r_a (1[a = b] - pi_b): the actions are the mixture's, the score is the policy's.
    runs, episodes = 10, 100_000  # so many episodes per update are the most that a config may ask for
    gradient = MIXTURE * REWARDS - PI * (MIXTURE @ REWARDS)
    sampled = bandit(gradient="sampled", behaviour_gradient="policy")
    training = {"seeds": runs, "episodes_per_update": episodes}
    config = sampled.model_copy(update={"training": sampled.training.model_copy(update=training)})
    found = start_policies(config)[-runs:].mean(0)  # a step so small is nearly linear in the gradient
    # A step's term is at most 1 in size, so the mean's deviation is at most 1 / sqrt(episodes); five of them.
    most = 5 * STEP / np.sqrt(runs * episodes)
    assert np.abs(found - stepped(gradient)).max() < most
    unbiased = (1 - EPSILON) * PI * (REWARDS - PI @ REWARDS)
    assert np.abs(found - stepped(unbiased)).max() > most


def test_an_exact_gradient_is_that_of_what_acts() -> None:
    with pytest.raises(ConfigError, match="behaviour_gradient"):
        bandit(behaviour_gradient="policy")


def test_the_share_follows_its_schedule() -> None:
    decaying = {"schedule": "exponential", "start": 0.8, "decay": 0.5}
    found = start_policies(bandit(behaviour_epsilon=decaying, learning_rate=1e-9, updates=3))
    shares = np.array([0.8, 0.4, 0.2])
    assert found == pytest.approx((1 - shares)[:, None] * PI + shares[:, None] / 4, rel=1e-6)


def test_after_training_it_is_the_policy_without_the_noise_that_is_reported() -> None:
    runs = train(bandit(learning_rate=1e-9)).runs
    assert runs["start_policy"][0].as_py() == pytest.approx(PI.tolist(), rel=1e-6)


@pytest.mark.parametrize("share", [1.5, {"schedule": "linear", "start": 0.5, "end": 2.0}])
def test_more_than_everything_is_no_share(share: object) -> None:
    with pytest.raises(ConfigError, match="behaviour_epsilon"):
        bandit(behaviour_epsilon=share)


def test_a_world_without_tables_refuses_it() -> None:
    config = {
        "name": "noise",
        "description": "a pole",
        "environment": {"id": "CartPole-v1"},
        "agent": {"policy": "mlp", "behaviour_epsilon": 0.1},
        "training": {"seeds": 1, "updates": 1},
        "arms": {"noisy": {}},
    }
    with pytest.raises(ConfigError, match="behaviour_epsilon needs the tables"):
        train(load_config(config))
