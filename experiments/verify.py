"""Compare sampled with exact gradients in every finite world, and recompute the numbers of the text.

python -m experiments.verify            everything, about a minute
python -m experiments.verify --quick    only the smallest worlds

The exit status is 1 if anything disagrees that should agree. Options that are biased by design are listed with
their bias.
"""

from experiments.session.command import begin, command, leave

if __name__ == "__main__":
    begin("experiments.verify")  # before anything else: Ctrl-C is heard from here on

import time
from collections.abc import Sequence
from contextlib import closing

from scipy import stats

from experiments.analysis.text_numbers import likelihood_ratios, numbers
from experiments.config.failures import Failure
from experiments.gradients.cases import LARGE, LEVEL, RUNS, SMALL, Row, Task, biased, examine, judged, tasks
from experiments.session.command_line import Parser, available_cores
from experiments.session.processes import Ended, each_apart


@command("experiments.verify")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks and print them; returns the exit status."""
    parser = Parser("experiments.verify", __doc__)
    parser.add_argument("--quick", action="store_true", help="only the smallest worlds")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    wrong = print_numbers()
    wrong += print_gradients(list(tasks(SMALL if options.quick else LARGE | SMALL)))
    if not options.quick:
        print_biased()
    verdict = "nothing disagrees" if not wrong else f"{wrong} disagreements"
    print(f"\n{verdict}, {time.monotonic() - began:.0f} s")
    return int(wrong > 0)


def print_numbers() -> int:
    """Print the numbers of the text; returns how many of them are wrong."""
    wrong = 0
    print("The numbers of the text\n")
    print(f"{'quantity':<50}{'printed':<20}{'exact':>10}  unit")
    for number in numbers():
        wrong += not number.agrees
        remark = number.remark if number.agrees else "WRONG"
        print(f"{number.quantity:<50}{number.printed or '-':<20}{number.exact:>10.6f}  {number.unit:<6}{remark}")
    print("\nMeans of log p(x) / q(x), x from p: the divergence is the expected log-likelihood ratio.")
    print("(A likelihood ratio, which the text calls a probability, may exceed 1.)\n")
    for found in likelihood_ratios():
        wrong += abs(found.z) > stats.norm.isf(LEVEL / 4)
        sizes = "  ".join(f"{mean:.4f} ({n:,})" for n, mean in zip(found.samples, found.means, strict=True))
        print(f"{found.quantity} = {found.divergence:.6f} nats: {sizes}; z = {found.z:+.2f}")
    return wrong


def print_gradients(todo: Sequence[Task]) -> int:
    """Print the table of all cases; returns how many of them disagree.

    Raises:
        Failure: some worlds could not be examined; the message says why.
    """
    rows: list[Row] = []
    failed: dict[str, dict[str, None]] = {}  # why -> worlds, in order
    with closing(each_apart(_examine, list(enumerate(todo)), available_cores())) as answers:
        for (_, task), answer in sorted(answers, key=lambda pair: pair[0][0]):
            if isinstance(answer, Ended):
                failed.setdefault(answer.why, {})[task.world] = None
            else:
                rows += answer
    wrong = print_rows(rows) if rows else 0
    if failed:
        raise Failure("; ".join(f"{', '.join(worlds)}: {why}" for why, worlds in failed.items()), status=1)
    return wrong


def print_rows(rows: Sequence[Row]) -> int:
    """Print the table of the examined cases; returns how many of them disagree."""
    verdicts = judged(rows)
    print(f"\nMean of many sampled updates ({RUNS} runs, 4 episodes per update) beside the exact gradient")
    print("(batch_mean: beside 3/4 of the part of the returns, and the whole of the entropy's)\n")
    print(
        f"{'world':<20}{'options':<62}{'tested':>6}{'max z':>7}{'p':>8}{'chi2/df':>10}{'p':>8}  exact mode off by"
    )
    for row, (agrees, _) in zip(rows, verdicts, strict=True):
        found = row.found
        print(
            f"{row.world:<20}{row.options:<62}{found.tested:>6}{found.z:>7.2f}{found.p_z:>8.2g}"
            f"{f'{found.chi_squared:.1f}/{found.degrees}':>10}{found.p_chi_squared:>8.2g}  {row.exact_error:.0e}"
            f"{'' if agrees else '  DISAGREES'}"
        )
    smallest = min(p for _, p in verdicts)
    print(f"\nsmallest p, corrected for all {2 * len(rows)} tests (Holm): {smallest:.2g}; limit {LEVEL}")
    return sum(not agrees for agrees, _ in verdicts)


def _examine(numbered: tuple[int, Task]) -> list[Row]:
    return examine(numbered[1])


def print_biased() -> None:
    """Print the options that are biased by design."""
    print("\nBiased by design (two rooms, discount 0.9): the mean update beside the gradient\n")
    print(f"{'option':<24}{'max z':>7}{'chi2/df':>12}{'cosine':>8}{'length':>8}  why")
    for name, reason, found in biased():
        ratio = f"{found.chi_squared:.0f}/{found.degrees}"
        print(f"{name:<24}{found.z:>7.1f}{ratio:>12}{found.cosine:>8.3f}{found.ratio:>8.2f}  {reason}")


if __name__ == "__main__":
    leave(main)
