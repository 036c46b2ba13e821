"""Makes reed-solomon.json: stripes of Reed-Solomon parity, by an implementation of its own. Multiplication is the shift and
add of the definition, without tables; inverses come by search. Run by hand: python3 make_reed_solomon.py"""

import hashlib
import json
import pathlib

POLYNOMIAL = 0x11D


def multiply(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= POLYNOMIAL
        b >>= 1
    return product


INVERSE = {a: next(b for b in range(1, 256) if multiply(a, b) == 1) for a in range(1, 256)}


def cauchy(row, column):
    return INVERSE[(128 + row) ^ column]


def coefficient(row, column):
    """The Cauchy matrix with row 0 and column 0 divided away to ones."""
    value = multiply(cauchy(row, column), cauchy(0, 0))
    return multiply(value, INVERSE[multiply(cauchy(row, 0), cauchy(0, column))])


def parity_of(data, count):
    size = max(len(chunk) for chunk in data)
    padded = [chunk + bytes(size - len(chunk)) for chunk in data]
    rows = []
    for row in range(count):
        out = bytearray(size)
        for column, chunk in enumerate(padded):
            factor = coefficient(row, column)
            for i, byte in enumerate(chunk):
                out[i] ^= multiply(factor, byte)
        rows.append(bytes(out))
    return rows


def chunk_of(seed, size):
    """Bytes that the tests make again: SHA-256 of the seed and a counter, one after the other."""
    out = b""
    counter = 0
    while len(out) < size:
        out += hashlib.sha256(f"{seed}/{counter}".encode()).digest()
        counter += 1
    return out[:size]


SCHEMES = [
    ("one chunk: parity is copies of it", [5], 3),
    ("two and one: parity is the exclusive or", [4, 4], 1),
    ("unequal sizes", [1, 7, 4, 12], 2),
    ("ten and six", [64, 61, 64, 1, 32, 63, 64, 64, 2, 33], 6),
    ("the most there may be", [37] * 20, 16),
    ("past a word of four", [1030, 1029, 1028, 1027, 1026], 5),
]

cases = []
for name, sizes, parity in SCHEMES:
    seeds = [f"{name}/{i}" for i in range(len(sizes))]
    data = [chunk_of(seed, size) for seed, size in zip(seeds, sizes)]
    out = parity_of(data, parity)
    cases.append(
        {
            "name": name,
            "data": [{"seed": seed, "hash": hashlib.sha256(d).hexdigest(), "size": len(d)} for seed, d in zip(seeds, data)],
            "parity": [{"hash": hashlib.sha256(p).hexdigest(), "size": len(p), "hex": p[:64].hex()} for p in out],
        }
    )

coefficients = [[coefficient(row, column) for column in range(20)] for row in range(16)]
target = pathlib.Path(__file__).with_name("reed-solomon.json")
target.write_text(json.dumps({"coefficients": coefficients, "cases": cases}, indent=2) + "\n")
