"""The README's picture and the numbers beside it, from a finished run of the default experiment.

python train.py --out runs/headline && python -m experiments.headline runs/headline

writes docs/two_rooms.png and docs/two_rooms.json, the run's summary. A test compares the README with the latter
and does not train, since another processor may round differently.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.config import ConfigError
from experiments.curve_figures import draw_curves, fraction_solved
from experiments.inference import iqm_interval
from experiments.plotting import STYLE
from experiments.results import Results, read_results
from experiments.store import StoreError

DOCS = Path(__file__).resolve().parents[1] / "docs"


def draw(results: Results) -> Figure:
    """Entropy and fraction solved over training, side by side, with one legend."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.4), dpi=160, facecolor="white")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        draw_curves(left, results, "entropy_bits", "entropy of the policy, bits", iqm_interval)
        draw_curves(right, results, "solved", "runs that end at the far goal", fraction_solved)
        right.set_ylim(0, 1.02)
        figure.subplots_adjust(left=0.06, right=0.99, top=0.87, bottom=0.15, wspace=0.17)
        figure.legend(*left.get_legend_handles_labels(), loc="upper center", ncols=len(results.curves))
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.headline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a finished run folder of configs/two_rooms.toml")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where to write (default: docs)")
    options = parser.parse_args(arguments)
    try:
        results = read_results(options.folder)
        draw(results).savefig(options.docs / "two_rooms.png", metadata={"Software": None})
        text = json.dumps(results.summary, indent=1) + "\n"
        (options.docs / "two_rooms.json").write_text(text, encoding="utf-8")
    except (StoreError, ConfigError) as error:
        print(f"experiments.headline: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"experiments.headline: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{options.docs / 'two_rooms.png'}\n{options.docs / 'two_rooms.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
