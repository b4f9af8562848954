"""Programs that read what a training writes: they find the numbers that we find."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tests.peers.trials import finished_folder, trial

MEANS = "select arm, avg(entropy_bits) as bits from '{}' group by arm order by arm"


def expected(column: str = "entropy_bits") -> dict[str, float]:
    """The mean of a column of updates.parquet in each arm."""
    table = pq.read_table(finished_folder() / "updates.parquet").group_by("arm").aggregate([(column, "mean")])
    return dict(zip(table["arm"].to_pylist(), table[f"{column}_mean"].to_pylist(), strict=True))


def agree(found: dict[str, Any]) -> None:
    assert found.keys() == expected().keys()
    for arm, value in expected().items():
        np.testing.assert_allclose(found[arm], value, rtol=1e-12, atol=0)


@trial("readers", "pandas", "reads the tables; `arm` is a category, `start_policy` a list")
def pandas() -> None:
    import pandas

    updates = pandas.read_parquet(finished_folder() / "updates.parquet")
    agree(updates.groupby("arm", observed=True)["entropy_bits"].mean().to_dict())
    assert isinstance(updates["arm"].dtype, pandas.CategoricalDtype)
    assert len(pandas.read_parquet(finished_folder() / "runs.parquet")["start_policy"][0]) == 4


@trial("readers", "polars", "reads the tables, whole and lazily")
def polars() -> None:
    import polars

    path = finished_folder() / "updates.parquet"
    for table in (polars.read_parquet(path), polars.scan_parquet(path).collect()):
        means = table.group_by(polars.col("arm").cast(polars.String)).agg(polars.col("entropy_bits").mean())
        agree(dict(means.iter_rows()))
    assert polars.read_parquet(finished_folder() / "runs.parquet")["start_policy"].list.len().to_list() == [4] * 8


@trial("readers", "duckdb", "queries the files with SQL")
def duckdb() -> None:
    import duckdb

    agree(dict(duckdb.sql(MEANS.format(finished_folder() / "updates.parquet")).fetchall()))


@trial("readers", "tbparse", "reads every scalar of the event files into a pandas frame")
def tbparse() -> None:
    from tbparse import SummaryReader

    folder = finished_folder()
    found = SummaryReader(str(folder / "tensorboard"), extra_columns={"dir_name"}).scalars
    updates = pq.read_table(folder / "updates.parquet").to_pandas()
    for (arm, seed), rows in updates.groupby(["arm", "seed"], observed=True):
        mine = found[(found["dir_name"] == f"{arm}/seed_{seed}") & (found["tag"] == "policy/entropy_bits")]
        np.testing.assert_allclose(mine["value"], rows["entropy_bits"], rtol=1e-6, atol=0)


@trial(
    "readers",
    "tensorboard-reducer",
    "averages an arm's seeds, with `--lax-tags --lax-steps`: runs differ in length, and two have `featured/` tags",
)
def tensorboard_reducer() -> None:
    import tensorboard_reducer

    folder = finished_folder()
    paths = sorted(map(str, (folder / "tensorboard" / "with_entropy").glob("seed_*")))
    events = tensorboard_reducer.load_tb_events(paths, strict_tags=False, strict_steps=False)
    means = tensorboard_reducer.reduce_events(events, ["mean"])["mean"]["policy/entropy_bits"]
    updates = pq.read_table(folder / "updates.parquet").to_pandas()
    by_update = updates[updates["arm"] == "with_entropy"].groupby("update")["entropy_bits"].mean()
    np.testing.assert_allclose(means, by_update, rtol=1e-6, atol=0)


@trial("readers", "rliable", "computes the interquartile mean that summary.json has")
def rliable() -> None:
    import json

    from rliable import metrics

    folder = finished_folder()
    runs = pq.read_table(folder / "runs.parquet").to_pandas()
    summary = json.loads((folder / "summary.json").read_text())
    for arm, rows in runs.groupby("arm", observed=True):
        found = metrics.aggregate_iqm(rows["final_return"].to_numpy()[:, None])
        ours = summary["arms"][arm]["measures"]["final_return"]["estimate"]
        np.testing.assert_allclose(found, ours, rtol=1e-12, atol=0)
