"""Compare sampled with exact gradients in every finite world, and recompute the numbers of the text.

python -m experiments.verify            everything, one to two minutes
python -m experiments.verify --quick    only the smallest worlds
python -m experiments.verify -v         and every single case

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
from experiments.session.console import Screen
from experiments.session.engines import LocalEngine
from experiments.session.processes import Ended
from experiments.session.waiting import Waiting


@command("experiments.verify")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks and print them; returns the exit status."""
    parser = Parser("experiments.verify", __doc__)
    parser.add_argument("--quick", action="store_true", help="only the smallest worlds")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every case, and remarks")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    wrong = print_numbers(options.verbose)
    wrong += print_gradients(list(tasks(SMALL if options.quick else LARGE | SMALL)), options.verbose)
    if not options.quick:
        print_biased(options.verbose)
    verdict = "nothing disagrees" if not wrong else f"{wrong} disagreements"
    print(f"\n{verdict}, {time.monotonic() - began:.0f} s")
    return int(wrong > 0)


def print_numbers(verbose: bool) -> int:
    """Print the numbers of the text; returns how many of them are wrong."""
    wrong = 0
    print("The numbers of the text\n")
    print(f"{'quantity':<48}{'printed':<18}{'exact':>8}")
    for number in numbers():
        wrong += not number.agrees
        line = f"{number.quantity:<48}{number.printed or '-':<18}{number.exact:>8.6f} {number.unit:<4}"
        remark = "WRONG" if not number.agrees else number.remark if verbose else ""
        print(f"{line}  {remark}".rstrip())
    print("\nMeans of log p(x) / q(x), x from p: the divergence is their expectation.")
    print("(The ratio p(x) / q(x), which the text calls a probability, may exceed 1.)\n")
    for found in likelihood_ratios():
        wrong += abs(found.z) > stats.norm.isf(LEVEL / 4)
        means = [f"{mean:.4f} ({n:,})" for n, mean in zip(found.samples, found.means, strict=True)]
        sizes = "  ".join(means if verbose else means[-1:])
        print(f"{found.quantity} = {found.divergence:.6f} nats: {sizes}; z = {found.z:+.2f}")
    return wrong


def print_gradients(todo: Sequence[Task], verbose: bool) -> int:
    """Print what came out in all cases; returns how many of them disagree.

    Raises:
        Failure: some worlds could not be examined; the message says why.
    """
    rows: list[Row] = []
    failed: dict[str, dict[str, None]] = {}  # why -> worlds, in order
    screen, cases = Screen(), list(enumerate(todo))
    engine = LocalEngine(available_cores(), screen.say)
    with (
        Waiting(screen, "comparing gradients", len(todo), "sets of cases", alone=False) as line,
        closing(engine.each(_examine, cases, lambda case: case[1].world, line.move)) as found,
    ):
        answers = []
        for answer in found:
            answers.append(answer)
            line.advance()
    for (_, task), answer in sorted(answers, key=lambda pair: pair[0][0]):
        if isinstance(answer, Ended):
            failed.setdefault(answer.why, {})[task.world] = None
        else:
            rows += answer
    wrong = print_rows(rows, verbose) if rows else 0
    if failed:
        raise Failure("; ".join(f"{', '.join(worlds)}: {why}" for why, worlds in failed.items()), status=1)
    return wrong


def print_rows(rows: Sequence[Row], verbose: bool) -> int:
    """Print a line per world, and each case that disagrees (`verbose`: every case); returns how many disagree."""
    verdicts = judged(rows)
    print(f"\nMeans of sampled updates ({RUNS} runs of 4 episodes) beside the exact gradient")
    print("(batch_mean: beside 3/4 of the returns' part, and all of the entropy's)\n")
    print(f"{'world':<22}{'cases':>6}{'agree':>7}{'max z':>7}{'smallest p':>12}  exact mode off by")
    for world in dict.fromkeys(row.world for row in rows):
        mine = [(row, *verdict) for row, verdict in zip(rows, verdicts, strict=True) if row.world == world]
        found, agrees, ps = zip(*mine, strict=True)
        print(
            f"{world:<22}{len(mine):>6}{sum(agrees):>7}{max(row.found.z for row in found):>7.2f}{min(ps):>12.2g}  "
            f"{max(row.exact_error for row in found):.0e}"
        )
    print(f"\nAll {2 * len(rows)} tests are corrected together (Holm); limit of p: {LEVEL}")
    shown = [(row, agrees) for row, (agrees, _) in zip(rows, verdicts, strict=True) if verbose or not agrees]
    if shown:
        print_cases(shown)
    return sum(not agrees for agrees, _ in verdicts)


def print_cases(cases: Sequence[tuple[Row, bool]]) -> None:
    """Print single cases, each with whether it agrees."""
    heads = f"{'tested':>6}{'max z':>7}{'p':>8}{'chi2/df':>10}{'p':>8}  exact mode off by"
    print(f"\n{'world':<20}{'options':<62}{heads}")
    for row, agrees in cases:
        found = row.found
        print(
            f"{row.world:<20}{row.options:<62}{found.tested:>6}{found.z:>7.2f}{found.p_z:>8.2g}"
            f"{f'{found.chi_squared:.1f}/{found.degrees}':>10}{found.p_chi_squared:>8.2g}  {row.exact_error:.0e}"
            f"{'' if agrees else '  DISAGREES'}"
        )


def _examine(numbered: tuple[int, Task]) -> list[Row]:
    return examine(numbered[1])


def print_biased(verbose: bool) -> None:
    """Print the options that are biased by design."""
    with Screen().waiting("measuring what is biased by design"):
        rows = list(biased())
    print("\nBiased by design (two rooms, discount 0.9): the mean update beside the gradient\n")
    print(f"{'option':<24}{'max z':>7}{'chi2/df':>12}{'cosine':>8}{'length':>8}{'  why' * verbose}")
    for name, reason, found in rows:
        ratio = f"{found.chi_squared:.0f}/{found.degrees}"
        why = f"  {reason}" * verbose
        print(f"{name:<24}{found.z:>7.1f}{ratio:>12}{found.cosine:>8.3f}{found.ratio:>8.2f}{why}")


if __name__ == "__main__":
    leave(main)
