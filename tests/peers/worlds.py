"""Other people's worlds, in which this project trains."""

from functools import partial

from experiments import load_config, train
from tests.peers.trials import trial

MLP = {"policy": "mlp", "hidden_sizes": [8]}


def trained(id: str, limit: int = 20) -> None:
    """Two updates of two runs."""
    environment = {"id": id, "max_episode_steps": limit}
    training = {"seeds": 1, "updates": 2, "episodes_per_update": 2}
    arms = {"without": {}, "with_entropy": {"entropy_coef": 0.1}}
    table = {"name": "peer", "description": "someone else's world", "environment": environment, "agent": MLP}
    assert train(load_config({**table, "training": training, "arms": arms})).updates.num_rows == 4


FITS = {
    "gymnasium": [
        "FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "Taxi-v4", "Blackjack-v1", "CartPole-v1",
        "Acrobot-v1", "MountainCar-v0",
    ],
    "Box2D": ["LunarLander-v3"],
    "highway-env": ["highway_env:highway-fast-v0"],
}  # fmt: skip
REFUSED = {
    "gymnasium": [
        ("Pendulum-v1", "softmax policy needs Discrete"),
        ("MountainCarContinuous-v0", "softmax policy needs Discrete"),
    ],
    "minigrid": [("minigrid:MiniGrid-Empty-5x5-v0", "has the observation space Dict")],
}

for _package, _ids in FITS.items():
    for _id in _ids:
        trial("worlds", _package, f"`{_id}` trains", is_long=_package == "gymnasium")(partial(trained, _id))
for _package, _refusals in REFUSED.items():
    for _id, _why in _refusals:
        trial("worlds", _package, f"`{_id}`", refused=_why)(partial(trained, _id))
