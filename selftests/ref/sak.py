# SPDX-License-Identifier: GPL-2.0-only
"""MACsec: SAKs, salts and SSCIs, and frames under them (wire-format.md)."""
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import keys
from link import CLASSES, CONTEXTS, KEY_SEGMENT, UNIT
from primitives import be, hkdf

SUITES = {  # IEEE 802.1AE-2018, table 14-1: number, bytes of a SAK, extended packet numbers
    'gcm-aes-128': (0x0080c20001000001, 16, False),
    'gcm-aes-256': (0x0080c20001000002, 32, False),
    'gcm-aes-xpn-128': (0x0080c20001000003, 16, True),
    'gcm-aes-xpn-256': (0x0080c20001000004, 32, True),
}
ETHERTYPE = b'\x88\xe5'
TCI_SC, TCI_ENCRYPTED = 0x20, 0x0c
ICV = 16


def context(sci, an, suite):
    return be(sci, 8) + be(an, 1) + be(SUITES[suite][0], 8)


class Sak:
    """The key of an SA, from the unit at byte `offset` of its sender's key stream."""

    def __init__(self, gen, stream, offset, sci, an, suite):
        self.suite, self.sci, self.an = suite, sci, an
        _, self.size, self.xpn = SUITES[suite]
        self.context = context(sci, an, suite)
        what = (gen, stream, CLASSES['rekey'], offset, self.size, CONTEXTS['macsec'],
                self.context)
        self.key = keys.derive(*what)
        self.ident = keys.name(*what)
        self.infos = {'key': keys.info(*what)}
        self.salt = self.ssci = b''
        if self.xpn:
            unit = gen.read(stream, offset, UNIT)
            k_seg = gen.head(stream, offset // KEY_SEGMENT)
            for name, size in (('salt', 12), ('ssci', 4)):
                info = keys.info(gen, stream, CLASSES['rekey'], offset, size,
                                 CONTEXTS['macsec'], self.context, b'qkd %s v1' % name.encode())
                self.infos[name] = info
                setattr(self, name, hkdf(k_seg, unit, info, size))

    def nonce(self, pn):
        """Of the frame with this packet number, all bits of it."""
        if not self.xpn:
            return be(self.sci, 8) + be(pn, 4)
        return be(int.from_bytes(self.salt, 'big') ^ int.from_bytes(self.ssci + be(pn, 8), 'big'),
                  12)

    def open(self, frame, high=0):
        """What an encrypted frame of this SA carries, from the Ethertype on; `high`
        are the upper bits of the packet number. ValueError if it does not verify."""
        tci_an, length = frame[14], frame[15] & 0x3f
        if frame[12:14] != ETHERTYPE or tci_an & TCI_ENCRYPTED != TCI_ENCRYPTED:
            raise ValueError('not an encrypted MACsec frame')
        if tci_an & 3 != self.an:
            raise ValueError('of another AN')
        pn = high << 32 | int.from_bytes(frame[16:20], 'big')
        at = 28 if tci_an & TCI_SC else 20
        end = at + length + ICV if length else len(frame)
        try:
            return AESGCM(self.key).decrypt(self.nonce(pn), frame[at:end], frame[:at])
        except InvalidTag:
            raise ValueError('bad ICV') from None


def of_id(gen, ident, sci, an, suite):
    """The SAK that a key ID names, whose tag must be right."""
    fields = keys.unpack(ident)
    sak = Sak(gen, fields['stream'], fields['offset'] * UNIT, sci, an, suite)
    if sak.ident != ident:
        raise ValueError('the key ID is of another context or key')
    return sak
