"""Makes ed25519-edge.json: signatures in the groups of Wycheproof's set, the twelve cases of "Taming the many EdDSAs"
and the small-order matrix of ZIP 215, from nothing but RFC 8032's formulas and Python's integers.

The verdict is the strict rule of docs/protocol.md, by `verify_strict`; check.py holds every vector to it again. Run
without arguments, it writes the file anew, the same each time.
"""

import hashlib
import json
import pathlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def sha512_int(data):
    return int.from_bytes(hashlib.sha512(data).digest(), "little")


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, g, h, f = f - e, d + c, f + e, d - c
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def mul(scalar, point):
    result = IDENTITY
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def recover_x(y, sign):
    """x, or None; x = 0 with the sign bit is let through, for encodings that are not canonical."""
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if x & 1 != sign and x != 0 else x


def point_of(y, sign):
    x = recover_x(y % P, sign)
    return None if x is None else (x, y % P, 1, x * (y % P) % P)


def decode(data):
    value = int.from_bytes(data, "little")
    return point_of(value & (2**255 - 1), value >> 255)


def encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = point_of(4 * pow(5, P - 2, P), 0)
TORSION8 = decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
SMALL = [mul(i, TORSION8) for i in range(8)]


def is_small(point):
    return same(mul(8, point), IDENTITY)


def verify_strict(key, message, signature):
    """S < L; A and R canonical and of large order; A without torsion; R equals [S]B - [k]A, compared as bytes."""
    if len(key) != 32 or len(signature) != 64:
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    a_point, r_point = decode(key), decode(r)
    if s >= L or a_point is None or r_point is None:
        return False
    if encode(a_point) != key or encode(r_point) != r or is_small(a_point) or is_small(r_point):
        return False
    if not same(mul(L, a_point), IDENTITY):
        return False
    k = sha512_int(r + key + message) % L
    return encode(add(mul(s, BASE), mul(L - k, a_point))) == r


def expand(seed):
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:]


def public_of(seed):
    return encode(mul(expand(seed)[0], BASE))


def sign(seed, message):
    scalar, prefix = expand(seed)
    key = encode(mul(scalar, BASE))
    nonce = sha512_int(prefix + message) % L
    r = encode(mul(nonce, BASE))
    return r + int32((nonce + sha512_int(r + key + message) * scalar) % L)


def int32(value):
    return value.to_bytes(32, "little")


def seed_of(name):
    return hashlib.sha256(f"holdfast ed25519 {name}".encode()).digest()


CASES = []


def case(group, why, key, message, signature):
    CASES.append(
        {
            **{"group": group, "why": why, "key": key.hex(), "message": message.hex(), "signature": signature.hex()},
            "valid": verify_strict(key, message, signature),
        }
    )


SEED = seed_of("main")
KEY = public_of(SEED)
MESSAGE = b"holdfast"
SIGNATURE = sign(SEED, MESSAGE)
R, S = SIGNATURE[:32], int.from_bytes(SIGNATURE[32:], "little")


def valid_ones():
    for length in [*range(0, 40), 63, 64, 65, 111, 112, 127, 128, 129, 255, 256, 512, 1023]:
        seed = seed_of(f"valid {length}")
        message = (hashlib.sha512(seed).digest() * 16)[:length]
        case("valid", f"a message of {length} bytes", public_of(seed), message, sign(seed, message))
    for byte in [0x00, 0x01, 0x7F, 0x80, 0xFF]:
        message = bytes([byte]) * 64
        case("valid", f"64 bytes of {byte:02x}", KEY, message, sign(SEED, message))


def lengths():
    for length in [0, 1, 31, 32, 33, 48, 62, 63]:
        case("length", f"the signature's first {length} bytes", KEY, MESSAGE, SIGNATURE[:length])
    for extra in [b"\0", b"\xff", b"\0" * 32, KEY, SIGNATURE]:
        case("length", f"{len(extra)} bytes appended, {extra[:1].hex()}…", KEY, MESSAGE, SIGNATURE + extra)
        case("length", f"{len(extra)} bytes prepended, {extra[:1].hex()}…", KEY, MESSAGE, extra + SIGNATURE)
    for at in [0, 31, 32, 63]:
        case("length", f"byte {at} left out", KEY, MESSAGE, SIGNATURE[:at] + SIGNATURE[at + 1 :])
    case("length", "R and S in DER", KEY, MESSAGE, b"\x30\x44\x02\x20" + R + b"\x02\x20" + SIGNATURE[32:])
    case("length", "in hexadecimal", KEY, MESSAGE, SIGNATURE.hex().encode())
    for key in [b"", KEY[:31], KEY + b"\0", b"\0" + KEY, KEY + KEY]:
        case("length", f"a key of {len(key)} bytes, {key[:1].hex()}…", key, MESSAGE, SIGNATURE)


def changes():
    for bit in [0, 1, 7, 8, 127, 128, 253, 254, 255, 256, 257, 263, 384, 500, 507, 508, 509, 510, 511]:
        flipped = (int.from_bytes(SIGNATURE, "little") ^ 1 << bit).to_bytes(64, "little")
        case("change", f"bit {bit} of the signature", KEY, MESSAGE, flipped)
    for bit in [0, 1, 100, 200, 254, 255]:
        flipped = (int.from_bytes(KEY, "little") ^ 1 << bit).to_bytes(32, "little")
        case("change", f"bit {bit} of the key", flipped, MESSAGE, SIGNATURE)
    for message in [b"", b"Holdfast", b"holdfast\0", b"\0holdfast", b"holdfas", MESSAGE * 2]:
        case("change", f"another message, {message!r}", KEY, message, SIGNATURE)
    other = seed_of("other")
    case("change", "another's key", public_of(other), MESSAGE, SIGNATURE)
    case("change", "another's R", KEY, MESSAGE, sign(other, MESSAGE)[:32] + SIGNATURE[32:])
    case("change", "R and S exchanged", KEY, MESSAGE, SIGNATURE[32:] + R)
    case("change", "S negated", KEY, MESSAGE, R + int32(L - S))
    case("change", "R negated", KEY, MESSAGE, R[:31] + bytes([R[31] ^ 0x80]) + SIGNATURE[32:])


def scalars():
    for factor in range(1, 16):
        if S + factor * L < 2**256:
            case("scalar", f"S + {factor} L", KEY, MESSAGE, R + int32(S + factor * L))
    special = {"0": 0, "1": 1, "L - 1": L - 1, "L": L, "L + 1": L + 1, "8 L": 8 * L, "2^252": 2**252}
    special |= {"2^253": 2**253, "2^254": 2**254, "2^255": 2**255, "2^256 - 1": 2**256 - 1, "p": P}
    points = {"0": 0, "1": 1, "p - 1": P - 1, "p": P, "p + 1": P + 1, "2^255 - 1": 2**255 - 1, "2^256 - 1": 2**256 - 1}
    for s_name, s in special.items():
        case("scalar", f"S = {s_name}", KEY, MESSAGE, R + int32(s))
        for r_name, r in points.items():
            case("special", f"R = {r_name}, S = {s_name}", KEY, MESSAGE, int32(r) + int32(s))


def small_encodings():
    """The 14 encodings of the 8 points of small order: canonical, y + p, and x = 0 with the sign bit."""
    found = {encode(point) for point in SMALL}
    for point in SMALL:
        y = int.from_bytes(encode(point), "little") & (2**255 - 1)
        for sign_bit in [0, 1]:
            for value in [y, y + P]:
                encoding = int32(value | sign_bit << 255) if value < 2**255 else None
                if encoding is not None and same(decode(encoding), point):
                    found.add(encoding)
    return sorted(found)


def zip215():
    encodings = small_encodings()
    assert len(encodings) == 14
    for a in encodings:
        for r in encodings:
            case("ZIP 215", f"A = {a.hex()[:4]}…{a.hex()[-2:]}, R = {r.hex()[:4]}…{r.hex()[-2:]}, S = 0", a, b"Zcash", r + int32(0))


def torsion(why, a_torsion, r_torsion, wanted, a_scalar=None, r_scalar=None):
    """A = aB + T, R = rB + T', S = r + ka; `wanted(k)` picks a message by its challenge."""
    a = expand(seed_of("torsion"))[0] if a_scalar is None else a_scalar
    nonce = sha512_int(b"torsion") % L if r_scalar is None else r_scalar
    key = encode(add(mul(a, BASE), SMALL[a_torsion]))
    r = encode(add(mul(nonce, BASE), SMALL[r_torsion]))
    for count in range(1000):
        message = f"{why} {count}".encode()
        full = sha512_int(r + key + message)
        if wanted(full):
            case("EdDSAs", why, key, message, r + int32((nonce + full % L * a) % L))
            return
    raise AssertionError(why)


def eddsas():
    agree = lambda k: (k % L) % 8 == 0
    differ = lambda k: (k % L) % 8 != 0
    torsion("0: A and R small, S = 0", 1, 7, lambda k: (k % L) % 8 == 1, a_scalar=0, r_scalar=0)
    torsion("1: A small, R mixed, S > 0", 1, 7, lambda k: (k % L) % 8 == 1, a_scalar=0)
    torsion("2: A mixed, R small", 1, 7, lambda k: (k % L) % 8 == 1, r_scalar=0)
    torsion("3: A and R mixed, right with and without the cofactor", 1, 7, lambda k: (k % L) % 8 == 1)
    torsion("4: A and R mixed, right with the cofactor only", 1, 1, differ)
    torsion("5: A mixed, R of prime order, right with the cofactor only", 1, 0, differ)
    torsion("5b: A mixed, R of prime order, right without the cofactor", 1, 0, agree)
    torsion("5c: A of prime order, R mixed, right with the cofactor only", 0, 1, lambda k: True)
    torsion("control: made like these, without torsion", 0, 0, lambda k: True)
    case("EdDSAs", "6: S + L, the next above", KEY, MESSAGE, R + int32(S + L))
    case("EdDSAs", "7: S + 14 L, far above", KEY, MESSAGE, R + int32(S + 14 * L))
    identity_plus = int32(P + 1)
    for why, hashed in [("8: R not canonical, hashed reduced", int32(1)), ("9: R not canonical, hashed as sent", identity_plus)]:
        k = sha512_int(hashed + KEY + MESSAGE) % L
        case("EdDSAs", why, KEY, MESSAGE, identity_plus + int32(k * expand(SEED)[0] % L))
    for why in ["10: A not canonical, small", "11: A not canonical, small, another message"]:
        nonce = sha512_int(why.encode()) % L
        case("EdDSAs", why, identity_plus, why.encode(), encode(mul(nonce, BASE)) + int32(nonce))


def keys():
    for offset in range(19):
        for sign_bit in [0, 1]:
            key = int32(P + offset | sign_bit << 255)
            case("key", f"y = p + {offset}, sign {sign_bit}", key, MESSAGE, SIGNATURE)
    for y in [y for y in range(2, 40) if recover_x(y, 0) is None][:6]:
        case("key", f"y = {y} is on no point", int32(y), MESSAGE, SIGNATURE)
        case("key", f"R with y = {y} is no point", KEY, MESSAGE, int32(y) + SIGNATURE[32:])
    for i, torsion_point in enumerate(SMALL[1:], 1):
        mixed = encode(add(decode(KEY), torsion_point))
        case("key", f"the key with torsion {i}", mixed, MESSAGE, SIGNATURE)
        mixed = encode(add(decode(R), torsion_point))
        case("key", f"R with torsion {i}", KEY, MESSAGE, mixed + SIGNATURE[32:])


def main():
    for make in [valid_ones, lengths, changes, scalars, zip215, eddsas, keys]:
        make()
    source = (
        "test/vectors/make_ed25519.py: the groups of Wycheproof's Ed25519 set, the cases of 'Taming the many EdDSAs' by "
        "their properties, and the matrix of ZIP 215, made anew with RFC 8032's formulas in Python"
    )
    text = json.dumps({"source": source, "cases": CASES}, indent=2, ensure_ascii=False)
    pathlib.Path(__file__).with_name("ed25519-edge.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
