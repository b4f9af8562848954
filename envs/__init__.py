"""Worlds as tables. Importing this package registers the family FourAction/... with Gymnasium."""

import gymnasium

# id: (entry point, vector entry point, max_episode_steps; None: episodes end by themselves)
WORLDS = {
    "FourAction/Bandit-v0": ("envs.bandits:Bandit", "envs.bandits:bandit_vector", 1),
    "FourAction/TwoRooms-v0": ("envs.gridworlds:TwoRooms", "envs.gridworlds:two_rooms_vector", 50),
    "FourAction/FourRooms-v0": ("envs.gridworlds:FourRooms", "envs.gridworlds:four_rooms_vector", 200),
    "FourAction/Trap-v0": ("envs.trap:Trap", "envs.trap:trap_vector", 100),
    "FourAction/Grid-v0": ("envs.gridworlds:Grid", "envs.gridworlds:grid_vector", 100),
    "FourAction/Maze-v0": ("envs.mazes:Maze", "envs.mazes:maze_vector", 50),
    "FourAction/DeepSea-v0": ("envs.deep_sea:DeepSea", "envs.deep_sea:deep_sea_vector", None),
    "FourAction/OneActionMatters-v0": ("envs.probes:OneActionMatters", "envs.probes:one_action_matters_vector", 1),
    "FourAction/ObservationMatters-v0": (
        "envs.probes:ObservationMatters",
        "envs.probes:observation_matters_vector",
        1,
    ),
    "FourAction/TwoState-v0": ("envs.probes:TwoState", "envs.probes:two_state_vector", 2),
}

for _id, (_one, _many, _limit) in WORLDS.items():
    gymnasium.register(_id, _one, vector_entry_point=_many, max_episode_steps=_limit)
