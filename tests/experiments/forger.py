"""Damages a good run folder in one of many ways and then makes its sums right again, as a stranger could.

A case is a function of its number.
"""

import hashlib
import io
import json
import os
import random
import shutil
import struct
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import tomli_w

TEXTS = [
    "", "x", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\x90q", "\u202eesrever", "\u2066", "\r\b\b\b",
    "a\nb", "\x00", "é", "<b>", "[bold]", "../../etc/passwd", "x" * 20_000, "nan", "1e400", "arm", "\u2028",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, 1, -1, 7, 2**31, 2**62, 2**63, 2**64, 10**30, -(10**30), 10**400, 0.5, 1.5, -0.0, 1e-320, 1e308, -1e308,
    float("nan"), float("inf"), float("-inf"), True, False,
]  # fmt: skip


class Forger:
    """Makes cases out of good folders.

    Args:
        good: finished or unfinished run folders, by their kind.
    """

    def __init__(self, good: Mapping[str, Path]) -> None:
        self._good = good

    def forge(self, number: int, folder: Path) -> str:
        """Make case `number` in `folder`; returns in words what it is."""
        rng = random.Random(number)
        kind = rng.choice(sorted(self._good))
        shutil.copytree(self._good[kind], folder)
        damage = []
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            files = sorted(path for path in folder.rglob("*") if _is_plain(path) and path.name != ".lock")
            path = (
                rng.choice(files) if rng.random() < 0.4 else rng.choice([f for f in files if is_read(f, folder)])
            )
            damage.append(f"{path.relative_to(folder)}: {_damage(rng, path, folder)}")
        vouch(folder)
        return f"{kind}: {'; '.join(damage)}"


def is_read(path: Path, folder: Path) -> bool:
    """Whether commands read what the file holds, and do not only add to it."""
    return path.relative_to(folder).parts[0] not in ("tensorboard", "figures", "report.html")


def _damage(rng: random.Random, path: Path, folder: Path) -> str:
    """Damage a file; returns how."""
    if rng.random() < 0.12:
        return _replaced(rng, path, folder)
    if rng.random() < 0.1:
        return _flipped(rng, path)
    ways: dict[str, Callable[[random.Random, Path], str]] = {
        ".json": _json, ".toml": _toml, ".parquet": _table, ".safetensors": _arrays,
    }  # fmt: skip
    way = ways.get(path.suffix, _lines if path.name == "SHA256SUMS" else _flipped)
    try:
        return way(rng, path)
    except Exception:  # it is damaged already
        return _flipped(rng, path)


# --- whole files


def _replaced(rng: random.Random, path: Path, folder: Path) -> str:
    how = rng.choice(
        ["missing", "empty", "folder", "pipe", "dangling link", "loop", "zeros", "vast", "of another"]
    )
    content = rng.choice(sorted(other for other in folder.rglob("*") if _is_plain(other))).read_bytes()
    path.unlink()
    if how == "empty":
        path.touch()
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how in ("dangling link", "loop", "zeros"):
        path.symlink_to({"dangling link": "nowhere", "loop": path.name, "zeros": "/dev/zero"}[how])
    elif how == "vast":
        path.touch()
        os.truncate(path, 1 << 40)  # a terabyte, for all one can see
    elif how == "of another":
        path.write_bytes(content)
    return how


def _flipped(rng: random.Random, path: Path) -> str:
    data = bytearray(path.read_bytes())
    if not data:
        return "nothing"
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
        return _written(path, bytes(data), "cut off")
    tail = rng.random() < 0.5  # of a Parquet file, that is what it says of itself
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(max(0, len(data) - 4000) if tail else 0, len(data))
        data[at] = rng.randrange(256)
    return _written(path, bytes(data), "bytes changed")


def _written(path: Path, data: bytes, how: str) -> str:
    path.write_bytes(data)
    return how


def _lines(rng: random.Random, path: Path) -> str:
    rows = path.read_text().splitlines()
    row = rng.choice([
        rng.choice(rows), f"{'0' * 64}  ../../outside", "0  x", "\x1b]0;title\x07", f"{'f' * 64}  runs.parquet",
        "", "x" * 2_000_000,
    ])  # fmt: skip
    rows.insert(rng.randrange(len(rows) + 1), row)
    return _written(path, "\n".join(rows).encode(), f"a line {row[:80]!r}")


# --- JSON and TOML


def _json(rng: random.Random, path: Path) -> str:
    if rng.random() < 0.1:
        text = rng.choice([
            "[" * 100_000, "{" * 9, "null", "7", '"x"', "[]", "{}", '{"format": 1}', '{"format": 1e400}',
            '{"format":' + "9" * 5000 + "}",
        ])  # fmt: skip
        return _written(path, text.encode(), f"is {text[:20]}")
    content = json.loads(path.read_text())
    how = changed(rng, content)
    return _written(path, json.dumps(content).encode(), how)


def changed(rng: random.Random, content: Any) -> str:
    """Change one place of nested dictionaries and lists; returns how."""
    places = _places(content)
    inside, key = rng.choice(places)
    way = rng.random()
    if way < 0.15:
        del inside[key]
        return f"without {key!r}"
    if way < 0.3 and isinstance(inside, dict):
        name = rng.choice(TEXTS)[:100]
        inside[name] = inside.pop(key) if rng.random() < 0.5 else rng.choice(TEXTS)
        return f"{key!r} as {name!r}"
    if way < 0.4 and isinstance(inside, list):
        inside.append(inside[key])
        return f"twice {key!r}"
    inside[key] = _any(rng)
    return f"{key!r} = {str(inside[key])[:60]!r}"


def _places(content: Any) -> list[tuple[Any, Any]]:
    if not isinstance(content, dict | list):
        return []
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    return [place for key in keys for place in [(content, key), *_places(content[key])]]


def _any(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(TEXTS)
    if kind < 0.75 or depth > 2:
        return rng.choice(NUMBERS)
    if kind < 0.8:
        deep: Any = []
        for _ in range(500):
            deep = [deep]
        return deep
    if kind < 0.85:
        return None
    inner = [_any(rng, depth + 1) for _ in range(rng.randrange(4))]
    return inner if kind < 0.93 else {rng.choice(TEXTS)[:50]: value for value in inner}


def _toml(rng: random.Random, path: Path) -> str:
    content = tomllib.loads(path.read_text())
    before = json.dumps(content, default=str)
    how = changed(rng, content)
    try:
        text = tomli_w.dumps(content)
    except (TypeError, ValueError, RecursionError):  # there is no null in it
        content = json.loads(before)
        content["description"] = rng.choice(TEXTS)
        how, text = f"description = {content['description']!r}"[:80], tomli_w.dumps(content)
    return _written(path, text.encode(errors="surrogateescape"), how)


# --- tables


def _table(rng: random.Random, path: Path) -> str:
    table = pq.ParquetFile(path).read()
    way = rng.choice([_column, _column, _value, _value, _value, _rows, _rows, _vast])
    table, how = way(rng, table)
    sink = io.BytesIO()
    try:
        pq.write_table(
            table, sink, compression="zstd", row_group_size=rng.choice([1 << 20, 3]) if len(table) < 99 else None
        )
    except (pa.ArrowException, ValueError):
        return "nothing"
    return _written(path, sink.getvalue(), how)


def _column(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    name = rng.choice(table.column_names)
    at, n = table.column_names.index(name), len(table)
    others: list[pa.Array] = [
        pa.nulls(n), pa.array([rng.choice(TEXTS)] * n), pa.array([[1.0]] * n), pa.array([{"a": 1}] * n),
        pa.array([b"\xff"] * n), pa.array([7] * n, pa.int8()), pa.array([2**64 - 1] * n, pa.uint64()),
        pa.array([0.5] * n, pa.float32()), pa.array([True] * n), pa.array([-5] * n), pa.array(["x" * 100_000] * n),
        pa.array([0] * n, pa.timestamp("ns")), pa.array([[[None]]] * n, pa.list_(pa.list_(pa.int64()))),
        pa.array([f"arm_{i}" for i in range(n)]).dictionary_encode(),
    ]  # fmt: skip
    way = rng.randrange(5)
    if way == 0:
        return table.remove_column(at), f"without {name}"
    if way == 1:
        new = rng.choice(TEXTS)[:50]
        return table.rename_columns([new if n == name else n for n in table.column_names]), f"{name} as {new!r}"
    if way == 2:
        return table.append_column(name, table.column(at)), f"{name} twice"
    if way == 3:
        return table.append_column(rng.choice(TEXTS)[:50], rng.choice(others)), "one more column"
    column = rng.choice(others)
    return table.set_column(at, name, column), f"{name} of type {column.type}"


def _value(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    """One number, or a whole column of them."""
    name = rng.choice(table.column_names)
    field, values = table.schema.field(name), table[name].to_pylist()
    if not values:
        return table, "nothing"
    if pa.types.is_dictionary(field.type):
        choices: Sequence[Any] = [*TEXTS, None]
    elif pa.types.is_boolean(field.type):
        choices = [True, False, None]
    elif pa.types.is_integer(field.type):
        choices = [0, -1, 1, 5, 2**31, 2**62, 2**63 - 1, -(2**63), None]
    else:
        choices = [0.0, -1.0, 2.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), -float("inf"), None]
    new, at = rng.choice(choices), rng.randrange(len(values))
    whole = rng.random() < 0.4
    values = [new] * len(values) if whole else [*values[:at], new, *values[at + 1 :]]
    if pa.types.is_list(field.type):
        values = [v if isinstance(v, list) or v is None else [v] * 4 for v in values]
    type_ = pa.string() if pa.types.is_dictionary(field.type) else field.type
    column = pa.array(values, type_)
    how = f"{name}{'' if whole else f'[{at}]'} = {str(new)[:40]!r}"
    return table.set_column(table.column_names.index(name), name, column), how


def _rows(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    n = len(table)
    if n == 0:
        return table, "nothing"
    picks = {
        "none": [], "one": [0], "without the last": range(n - 1), "backwards": range(n - 1, -1, -1),
        "the first twice": [0, *range(n)], "the last twice": [*range(n), n - 1], "all twice": [*range(n)] * 2,
        "shuffled": rng.sample(range(n), n), "one instead of another": [*range(n - 1), rng.randrange(n)],
    }  # fmt: skip
    how = rng.choice(list(picks))
    return table.take(pa.array(picks[how], pa.int64())), f"rows: {how}"


def _vast(rng: random.Random, table: pa.Table) -> tuple[pa.Table, str]:
    """A few kB that decode to a quarter of a GB."""
    if len(table) == 0 or rng.random() < 0.8:
        return _rows(rng, table)
    return table.take(pa.array(np.zeros(2_000_000, np.int64))), "2,000,000 equal rows"


# --- arrays


def _arrays(rng: random.Random, path: Path) -> str:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.get("__metadata__")
    if rng.random() < 0.15:
        how = changed(rng, header)
        text = json.dumps(header).encode()
        return _written(
            path,
            struct.pack("<Q", len(text)) + text + data[8 + int.from_bytes(data[:8], "little") :],
            f"header {how}",
        )
    arrays = safetensors.numpy.load(data)
    how = ""
    if metadata and "about" in metadata and rng.random() < 0.5:
        about = json.loads(metadata["about"])
        how = f"about {changed(rng, about)}"
        metadata = {"about": json.dumps(about)}
    else:
        name = rng.choice(sorted(arrays))
        how = _array(rng, arrays, name)
    return _written(path, safetensors.numpy.save(arrays, metadata), how)


def _array(rng: random.Random, arrays: dict[str, Any], name: str) -> str:
    array = arrays[name]
    way = rng.randrange(7)
    if way == 0:
        del arrays[name]
        return f"without {name}"
    if way == 1:
        new = rng.choice([*TEXTS, name + "x", "0/" + name, name.replace("0", "1")])[:60]
        arrays[new] = arrays.pop(name)
        return f"{name} as {new!r}"
    if way == 2:
        dtype = rng.choice([np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint64, np.bool_])
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(dtype)
        return f"{name} as {dtype.__name__}"
    if way == 3:
        shape = rng.choice([(0,), (1,), array.shape[::-1], (*array.shape, 1), array.shape[1:] or (2,), (3, 0, 2)])
        arrays[name] = np.resize(array, shape)
        return f"{name} of shape {shape}"
    with np.errstate(all="ignore"):
        number = rng.choice(
            [0, 1, -1, 2, 1e30, -1e30, 2**31, 2**62, float("nan"), float("inf"), -float("inf"), 1e-320]
        )
        new_array = array.copy()
        filled = (
            np.asarray(number).astype(array.dtype)
            if number == number and abs(number) < 1e300
            else (np.asarray(number, array.dtype) if array.dtype.kind == "f" else np.zeros((), array.dtype))
        )
        if way == 4 or array.ndim == 0:
            new_array[...] = filled
        elif array.size:
            new_array.flat[rng.randrange(array.size)] = filled
    arrays[name] = new_array
    return f"{name} holds {number}"


# --- sums


def vouch(folder: Path) -> None:
    """Make right what vouches for the files: the sums of results, the sums of parts, the names of checkpoints."""
    _vouch_parts(folder)
    for path in sorted((folder / "checkpoint").glob("update-*")):
        if _is_plain(path):
            stem = path.stem.rpartition("-")[0]
            path.rename(path.with_name(f"{stem}-{_digest(path)[:32]}.safetensors"))
    sums = folder / "SHA256SUMS"
    if not _is_plain(sums):
        return
    lines = []
    for line in sums.read_text(errors="replace").split("\n"):
        digest, gap, name = line.partition("  ")
        path = folder / name
        known = gap and name and len(digest) == 64 and _is_plain(path)
        lines.append(f"{_digest(path)}  {name}" if known else line)
    sums.write_text("\n".join(lines), errors="replace")


def _vouch_parts(folder: Path) -> None:
    for path in (folder / "checkpoint").glob("update-*"):
        try:
            data = path.read_bytes() if _is_plain(path) else b""
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            about = json.loads(header["__metadata__"]["about"])
            for name, parts in about["positions"]["tables"].items():
                for number, _ in enumerate(parts):
                    part = folder / "parts" / f"{name}-{number:06d}.parquet"
                    if _is_plain(part):
                        parts[number] = _digest(part)
            path.write_bytes(safetensors.numpy.save(safetensors.numpy.load(data), {"about": json.dumps(about)}))
        except Exception:  # it is damaged itself, and need not vouch for anything
            continue


def _is_plain(path: Path) -> bool:
    """Whether it is a file, no link, and not vast."""
    return path.is_file() and path.resolve() == path.parent.resolve() / path.name and path.stat().st_size < 1 << 30


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
