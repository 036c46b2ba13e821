"""Checks the vectors of the chunker, canonical JSON, names and Ed25519 with nothing but Python's standard library.

Written from docs/protocol.md, not from the TypeScript sources. Exits 1 at the first difference.
"""

import hashlib
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import make_ed25519  # noqa: E402

HERE = pathlib.Path(__file__).parent
MIN, NORMAL, MAX = 256 * 1024, 1024 * 1024, 2 * 1024 * 1024


def load(name):
    return json.loads((HERE / name).read_text())


def check(condition, what):
    if not condition:
        sys.exit(f"differs: {what}")


def gear_table():
    digests = (hashlib.sha256(b"holdfast-gear-1" + bytes([i])).digest() for i in range(256))
    return [int.from_bytes(digest[:4], "big") for digest in digests]


def cut(data, start, gear):
    """The end of the chunk that starts at `start`."""
    end = min(len(data), start + MAX)
    if end - start <= MIN:
        return end
    value = 0
    for i in range(start + MIN, end):
        value = (value << 1) + gear[data[i]] & 0xFFFFFFFF
        if value >> (10 if i - start < NORMAL else 14) == 0:
            return i + 1
    return end


def lengths(data, gear):
    found, start = [], 0
    while start < len(data):
        end = cut(data, start, gear)
        found.append(end - start)
        start = end
    return found


def test_data(seed, size):
    blocks = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range((size + 31) // 32))
    return b"".join(blocks)[:size]


def check_chunker():
    vectors, gear = load("chunker.json"), gear_table()
    check(vectors["gear"] == gear[:8], "gear table")
    table = b"".join(entry.to_bytes(4, "big") for entry in gear)
    check(hashlib.sha256(table).hexdigest() == vectors["gearSha256"], "gear table's hash")
    for case in vectors["cases"]:
        data = test_data(case["seed"], case["size"])
        check(hashlib.sha256(data).hexdigest() == case["sha256"], f"data of {case['why']}")
        check(lengths(data, gear) == case["lengths"], f"cut points of {case['why']}")
    check(lengths(bytes(5 * 1024 * 1024), gear) == vectors["zeros5MiB"], "cut points of zeros")


def check_names():
    for case in load("names.json")["valid"]:
        digest = hashlib.sha256(f"{case['domain']}/{case['name']}".encode()).digest()
        check(digest.hex() == case["nameHash"], f"Name Hash of {case['name'][:20]}")
        check(int.from_bytes(digest[:2], "big") >> 6 == case["partition"], f"partition of {case['name'][:20]}")


def check_statements():
    """Statements hold no floats and no keys outside ASCII: there, Python's compact sorted form is RFC 8785's."""
    for name, key in (("versions.json", "id"), ("manifests.json", "hash")):
        for case in load(name)["valid"]:
            text = case["text"]
            again = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            check(again == text, f"canonical form in {name}: {case['why']}")
            check(hashlib.sha256(text.encode()).hexdigest() == case[key], f"hash in {name}: {case['why']}")


def check_signatures():
    for name in ("ed25519.json", "ed25519-edge.json"):
        for case in load(name)["cases"]:
            parts = (bytes.fromhex(case[part]) for part in ("key", "message", "signature"))
            check(make_ed25519.verify_strict(*parts) == case["valid"], f"verdict in {name}: {case['why']}")


def rank_for(name, chunk):
    """lib/overlay/rank.ts, over the words of both hashes, big-endian."""
    words = [hashlib.sha256(name.encode()).digest(), bytes.fromhex(chunk)]
    mixed = high = 0
    for i in range(8):
        name_word, chunk_word = (int.from_bytes(part[4 * i : 4 * i + 4], "big") for part in words)
        mixed = murmur_finaliser(((mixed ^ name_word) * 0x9E3779B1 + chunk_word) & 0xFFFFFFFF)
        high = mixed if i == 6 else high
    return (high << 21) + (mixed >> 11)


def murmur_finaliser(word):
    word ^= word >> 16
    word = word * 0x85EBCA6B & 0xFFFFFFFF
    word ^= word >> 13
    word = word * 0xC2B2AE35 & 0xFFFFFFFF
    return word ^ word >> 16


def check_ranks():
    for case in load("ranks.json")["cases"]:
        check(rank_for(case["name"], case["chunk"]) == case["rank"], f"rank of {case['name'][:20]}")


check_names()
check_ranks()
check_statements()
check_signatures()
check_chunker()
print("vectors agree")
