"""The one thing that pyproject.toml cannot say: in a wheel, `configs/` is the data of a package of ours."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["agents*", "envs*", "experiments*"]), "experiments.configs"],
    package_dir={"experiments.configs": "configs"},
)
