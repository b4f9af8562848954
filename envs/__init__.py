"""Worlds as tables. Importing this package registers the family FourAction/... with Gymnasium."""

import gymnasium

WORLDS = {  # id: (module, class, vector entry point, max_episode_steps)
    "FourAction/Bandit-v0": ("bandits", "Bandit", "bandit_vector", 1),
    "FourAction/TwoRooms-v0": ("gridworlds", "TwoRooms", "two_rooms_vector", 50),
}

for _id, (_module, _world, _vector, _steps) in WORLDS.items():
    gymnasium.register(
        id=_id,
        entry_point=f"envs.{_module}:{_world}",
        vector_entry_point=f"envs.{_module}:{_vector}",
        max_episode_steps=_steps,
    )
