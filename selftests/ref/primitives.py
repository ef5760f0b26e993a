# SPDX-License-Identifier: GPL-2.0-only
"""SHA-256, HMAC, HKDF, Poly1305 and ChaCha20, in the forms that the design uses.

All integers on wires and in hashed text are big-endian; a 16-bit length goes
before a string (len16).
"""
import hashlib
import hmac as _hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.poly1305 import Poly1305


def be(value, size):
    """An unsigned integer of `size` bytes."""
    return value.to_bytes(size, 'big')


def len16(text):
    """A string behind its length."""
    return be(len(text), 2) + text


def sha256(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def hmac(key, *parts):
    return _hmac.new(key, b''.join(parts), hashlib.sha256).digest()


def hkdf(salt, ikm, info, length=32):
    """HKDF-SHA-256 of RFC 5869; an empty salt is 32 zero bytes."""
    prk = hmac(salt or bytes(32), ikm)
    okm, block, counter = b'', b'', 0
    while len(okm) < length:
        counter += 1
        block = hmac(prk, block, info, bytes([counter]))
        okm += block
    return okm[:length]


def poly1305(r, s, message):
    """Poly1305 with its key in two halves; r is clamped here."""
    if len(r) != 16 or len(s) != 16:
        raise ValueError('r and s have 16 bytes each')
    return Poly1305.generate_tag(r + s, message)


def poly1305_by_hand(r, s, message):
    """The same from the formula of RFC 8439, to check the library against."""
    rnum = int.from_bytes(r, 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    acc = 0
    for at in range(0, len(message), 16):
        acc += int.from_bytes(message[at:at + 16] + b'\1', 'little')
        acc = acc * rnum % ((1 << 130) - 5)
    return ((acc + int.from_bytes(s, 'little')) & ((1 << 128) - 1)).to_bytes(16, 'little')


def chacha20(key, offset, length):
    """`length` bytes of the ChaCha20 key stream from byte `offset` on: 64-bit
    block counter from 0, 64-bit nonce of zeros."""
    if not length:
        return b''
    skip = offset % 64
    out = b''
    block = offset // 64
    want = skip + length
    while want:
        # The library's counter has 32 bits: one run never crosses its end.
        run = min(want, ((1 << 32) - block % (1 << 32)) * 64)
        nonce = block.to_bytes(8, 'little') + bytes(8)
        out += Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(bytes(run))
        want -= run
        block += run // 64
    return out[skip:]


def chacha20_block_by_hand(key, block):
    """One block from the formula, to check the library's counter against."""
    def quarter(x, a, b, c, d):
        for p, q, r, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xffffffff
            v = x[r] ^ x[p]
            x[r] = (v << turn | v >> (32 - turn)) & 0xffffffff

    text = b'expand 32-byte k' + key + block.to_bytes(8, 'little') + bytes(8)
    start = [int.from_bytes(text[i:i + 4], 'little') for i in range(0, 64, 4)]
    x = list(start)
    for _ in range(10):
        for column in range(4):
            quarter(x, column, column + 4, column + 8, column + 12)
        for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(x, a, b, c, d)
    return b''.join(((v + w) & 0xffffffff).to_bytes(4, 'little') for v, w in zip(x, start))
