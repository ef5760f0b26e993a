# SPDX-License-Identifier: GPL-2.0-only
"""Preshared keys of WireGuard (wire-format.md)."""
import keys
from link import CLASSES, CONTEXTS, UNIT

SIZE = 32


def context(alice, bob):
    """Of the public keys of the link's ends alice and bob."""
    return alice + bob


class Psk:
    """The key from the unit at byte `offset` of a key stream."""

    def __init__(self, gen, stream, offset, alice, bob):
        self.context = context(alice, bob)
        what = (gen, stream, CLASSES['rekey'], offset, SIZE, CONTEXTS['wireguard'],
                self.context)
        self.key, self.ident, self.info = keys.derive(*what), keys.name(*what), keys.info(*what)


def of_id(gen, ident, alice, bob):
    """The key that a key ID names, whose tag must be right."""
    fields = keys.unpack(ident)
    psk = Psk(gen, fields['stream'], fields['offset'] * UNIT, alice, bob)
    if psk.ident != ident:
        raise ValueError('the key ID is of another context or key')
    return psk
