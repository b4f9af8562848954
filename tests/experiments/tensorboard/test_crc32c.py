"""The checksum against the one in TensorBoard, byte by byte."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

from experiments.tensorboard.crc32c import byte_registers, crc32c, masked


def of(data: bytes) -> np.ndarray:
    return crc32c(np.frombuffer(data, np.uint8)[None])


def test_check_value_of_the_standard() -> None:
    assert of(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4, and every catalogue of CRCs
    assert of(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


@given(st.binary(max_size=64))
@settings(deadline=None, max_examples=100)
def test_agrees_with_tensorboard(data: bytes) -> None:
    assert of(data) == pywrap_tensorflow.crc32c(data)
    assert masked(of(data)) == pywrap_tensorflow.masked_crc32c(data)


@pytest.mark.parametrize("length", [1019, 1020, 1021, 1023, 1024, 1025, 2044, 2045, 5000])
def test_agrees_with_tensorboard_where_chunks_begin(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assert of(data) == pywrap_tensorflow.crc32c(data)


def test_rows_do_not_know_each_other() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (5, 1500), dtype=np.uint8)
    assert crc32c(rows).tolist() == [pywrap_tensorflow.crc32c(row.tobytes()) for row in rows]
    assert crc32c(rows[:0]).tolist() == []


def test_a_changed_byte_adds_its_entry() -> None:
    data = bytearray(np.random.default_rng(1).bytes(1100))
    before = of(bytes(data))
    for position in (0, 500, 1099):
        changed = data.copy()
        changed[position] ^= 0x5A
        entry = byte_registers(len(data))[len(data) - 1 - position, 0x5A]
        assert of(bytes(changed)) == before ^ entry
