# SPDX-License-Identifier: GPL-2.0-only
"""IKEv2: PPKs, and the secrets of QKD's key exchange methods (abi/ike.md)."""
import uuid

import keys
from esp import CIPHERS
from link import CLASSES, CONTEXTS, UNIT
from primitives import be, hkdf, len16, sha256

ROLES = {'alice': 1, 'bob': 2}
ON_EMPTY = {'block': 1, 'aes': 2}
METHODS = {'qkd': 1170, 'qkd_mlkem768': 1171, 'qkd_mlkem1024': 1172}


def transcript(value_i, value_r):
    return sha256(be(len(value_i), 4), value_i, be(len(value_r), 4), value_r)


def info(method, value_i, value_r):
    return (b'qkd ike v1\0' + be(METHODS[method], 2) + value_i[:16] + value_r[:16] +
            transcript(value_i, value_r))


def secret(method, value_i, key_i, value_r, key_r, kem=None):
    """The shared secret; `kem` is ML-KEM's, if the method has it."""
    ikm = key_r + (len16(kem) if kem is not None else b'')
    return hkdf(key_i, ikm, info(method, value_i, value_r))


def of_id(gen, ident, kind, context):
    """The key that an ID (text) names, whose tag must be right."""
    ident = uuid.UUID(ident).bytes
    fields = keys.unpack(ident)
    what = (gen, fields['stream'], CLASSES['control'], fields['offset'] * UNIT, UNIT,
            CONTEXTS[kind], context)
    if keys.name(*what) != ident:
        raise ValueError('the key ID is of another context or key')
    return keys.derive(*what)


def statement(gen, role, ciphers, on_empty):
    """The data of N(QKD_SA)."""
    bits = sum(1 << cipher for cipher in CIPHERS if CIPHERS[cipher] in ciphers)
    return (bytes((1, bits, ROLES[role], ON_EMPTY[on_empty])) + be(gen.label, 2) +
            gen.ident[:8] + gen.link)


def ppk(gen, ident, identity, kind):
    """Of an initiator with this identity; `kind` is its type in the IDi payload."""
    return of_id(gen, ident, 'ppk', be(kind, 1) + identity)


def ke_key(gen, ident, method):
    return of_id(gen, ident, 'user', b'ike ke v1' + be(METHODS[method], 2))
