"""What pyproject.toml cannot say: in a wheel, `configs/` and `docs/` are data of packages of ours."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["agents*", "envs*", "experiments*"]),
        "experiments.configs",
        "experiments.docs",
    ],
    package_dir={"experiments.configs": "configs", "experiments.docs": "docs"},
)
