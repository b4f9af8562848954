"""CRC-32C, the checksum of TensorBoard's files, for many rows of bytes at once.

The 32-bit register is linear over GF(2) in its initial value and its input. If it starts at 0, zero bytes leave it
at 0, and its final value is the XOR, over all bytes, of the value that each byte, followed only by zeros, would
leave: one table entry per byte (`byte_registers`).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = np.uint32(0x82F63B78)  # bits reversed (Castagnoli, Bräuer, Herrmann, 1993)
_ALL_ONES = np.frombuffer(b"Td\x1fd", np.uint8)  # takes the register from 0 to all ones, the start of CRC-32C
_CHUNK = 1024


def crc32c(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32C of each row of L bytes, [N, L] -> [N]."""
    count, length = rows.shape
    width = min(_CHUNK, length + 4)
    padded = np.zeros((count, -(-(length + 4) // width) * width), np.uint8)  # leading zeros change nothing
    start = padded.shape[1] - length
    padded[:, start - 4 : start] = _ALL_ONES
    padded[:, start:] = rows
    table = byte_registers(width)[::-1]  # by position in a chunk
    chunks: NDArray[np.uint32]
    chunks = np.bitwise_xor.reduce(
        table[np.arange(width), padded.reshape(count, padded.shape[1] // width, width)], axis=-1
    )
    crc = chunks[:, 0]
    for chunk in chunks.T[1:]:  # the register acts like four bytes added to the next chunk
        crc = np.bitwise_xor.reduce([chunk, *(table[i][crc >> 8 * i & 0xFF] for i in range(4))])
    return ~crc


def masked(crc: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The form in which TFRecord files keep a CRC: rotated, and a constant added (modulo 2^32)."""
    return (crc >> np.uint32(15) | crc << np.uint32(17)) + np.uint32(0xA282EAD8)


def byte_registers(count: int) -> NDArray[np.uint32]:
    """The register, started at 0, after each byte and then 0, 1, ... count - 1 zeros, [count, 256]."""
    return _byte_registers(-(-count // _CHUNK))[:count]


@lru_cache
def _byte_registers(chunks: int) -> NDArray[np.uint32]:
    one, byte = np.uint32(1), np.arange(256, dtype=np.uint32)
    for _ in range(8):
        byte = byte >> one ^ (byte & one) * _POLYNOMIAL
    registers = [byte]
    while len(registers) < chunks * _CHUNK:
        registers.append(byte[registers[-1] & 0xFF] ^ registers[-1] >> 8)
    return np.stack(registers)
