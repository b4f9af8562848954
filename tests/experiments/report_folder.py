"""A finished run folder with a name that tries to get into the page, and what a page says."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from experiments import load_config
from experiments.session.run import Options, run
from experiments.storage.run_folder import RunFolder

EVIL = "<script>alert('1')</script> & \"quotes\" <img src=x onerror=alert(2)>"


def trained(path: Path, **changes: Any) -> RunFolder:
    """Two small arms in the two rooms, trained into a folder."""
    config: dict[str, Any] = {
        "name": "small",
        "description": f"a small comparison {EVIL}",
        "environment": {"id": "FourAction/TwoRooms-v0", "max_episode_steps": 50, "solved_return": 0.95},
        "agent": {"policy": "tabular", "optimizer": "adam", "learning_rate": 0.05, "discount": 0.97},
        "training": {"seeds": [5, 6, 7, 8], "updates": 30, "episodes_per_update": 4},
        "arms": {"without_entropy": {"entropy_coef": 0.0}, "with_entropy": {"entropy_coef": 0.1}},
        "claims": [
            {
                "statement": f"More solve it {EVIL}",
                "measure": "solved",
                "expect": "with_entropy > without_entropy",
            },
            {
                "statement": "It is more random",
                "measure": "final_entropy_bits",
                "expect": "with_entropy > without_entropy",
                "limit": True,
            },
        ],
    }
    options = Options(path, log_steps=0, tensorboard=False)
    run(load_config(config | changes), options, lambda record: None, lambda line: None)
    return RunFolder(path)


class Page(HTMLParser):
    """The parts of a page that tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.numbers: list[tuple[str, str]] = []  # value, what is shown
        self._value: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.append(dict(attrs))
        if tag == "data":
            self._value = dict(attrs)["value"]

    def handle_data(self, data: str) -> None:
        if self._value is not None:
            self.numbers.append((self._value, data))
            self._value = None

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return [found for name, found in zip(self.tags, self.attributes, strict=True) if name == tag]
