# SPDX-License-Identifier: GPL-2.0-only
"""Epochs, and ESP packets under the ciphers aes and hybrid (wire-format.md)."""
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import keys
from esp import CIPHERS, ICV, Refused, aad, parse, trailer, untrail
from link import CLASSES, CONTEXTS, KEY_HEAD, KEY_SEGMENT, UNIT, stream_of
from primitives import be, hmac, len16

AES, HYBRID = 2, 3
FIELD = 19                      # bits of the epoch in the IV
BEHIND, AHEAD = 393216, 131071  # units around the end of supply
COUNTERS = 1 << 32
SECRET_MIN = 32


def iv_pack(label, cipher, unit, tag, counter, phase=0):
    """cipher 2, label 2, phase 1, epoch 19, tag 8, counter 32 bits."""
    if counter >= COUNTERS:
        raise ValueError('the epoch is at its end')
    return be(cipher << 62 | (label & 3) << 60 | phase << 59 |
              (unit & ((1 << FIELD) - 1)) << 40 | tag << 32 | counter, 8)


def iv_parse(iv):
    """(cipher, label bits, phase, epoch field, tag, counter)"""
    number = int.from_bytes(iv, 'big')
    return (number >> 62, number >> 60 & 3, number >> 59 & 1,
            number >> 40 & ((1 << FIELD) - 1), number >> 32 & 0xff, number & 0xffffffff)


def expand(field, end):
    """The unit that the epoch of an IV names, for a receiver whose supply ends
    before unit `end`. May be negative, which names nothing."""
    low = end - BEHIND
    return low + (field - low) % (1 << FIELD)


def context(cipher, spi, number, bind=b''):
    return be(cipher, 1) + be(spi, 4) + be(number, 4) + bind


def tag_of(k_seg, spi, unit):
    return hmac(k_seg, b'qkd epoch v1', be(spi, 4), be(unit * UNIT, 8))[0]


def ikm_of(data, cipher, secret):
    return data + len16(secret) if cipher == HYBRID else data


class Epoch:
    """The key of one unit for one SA, and its packets. `secret` is a hybrid
    SA's external secret of this number, `bind` what an aes SA is bound to."""

    def __init__(self, gen, stream, unit, cipher, spi, number=0, secret=b'', bind=b''):
        if cipher not in (AES, HYBRID):
            raise ValueError('not a cipher with epochs')
        if (cipher == AES) != (not number and not secret):
            raise ValueError('hybrid has a numbered secret, aes has none')
        if cipher == HYBRID and (len(secret) < SECRET_MIN or not any(secret)):
            raise ValueError('the external secret is too weak')
        offset = unit * UNIT
        if unit < 0 or offset % KEY_SEGMENT < KEY_HEAD:
            raise Refused("the epoch is a segment's head")
        self.gen, self.stream, self.unit = gen, stream, unit
        self.cipher, self.spi, self.number = cipher, spi, number
        self.context = context(cipher, spi, number, bind)
        k_seg = gen.head(stream, offset // KEY_SEGMENT)
        self.prk = hmac(k_seg, ikm_of(gen.read(stream, offset, UNIT), cipher, secret))
        self.key = hmac(self.prk, self.info(32, b'qkd key v1'), b'\1')
        self.base = hmac(self.prk, self.info(12, b'qkd nonce v1'), b'\1')[:12]
        self.tag = tag_of(k_seg, spi, unit)
        self.gcm = AESGCM(self.key)

    def info(self, size, label):
        return keys.info(self.gen, self.stream, CLASSES['rekey'], self.unit * UNIT, size,
                         CONTEXTS['esp'], self.context, label)

    def ident(self):
        """The key ID."""
        return keys.name(self.gen, self.stream, CLASSES['rekey'], self.unit * UNIT, UNIT,
                         CONTEXTS['esp'], self.context)

    def nonce(self, counter):
        return be(int.from_bytes(self.base, 'big') ^ counter, 12)

    def iv(self, counter):
        return iv_pack(self.gen.label, self.cipher, self.unit, self.tag, counter,
                       self.number & 1)

    def seal(self, counter, seq, payload, next_header, esn=False):
        """The ESP packet, from the SPI to the ICV."""
        iv = self.iv(counter)
        text = payload + trailer(payload, next_header)
        return (be(self.spi, 4) + be(seq & 0xffffffff, 4) + iv +
                self.gcm.encrypt(self.nonce(counter), text, aad(self.spi, seq, esn, iv)))

    def open(self, packet, seq, esn=False):
        """The text of a packet of this epoch."""
        try:
            return self.gcm.decrypt(self.nonce(int.from_bytes(packet[12:16], 'big')),
                                    packet[16:], aad(self.spi, seq, esn, packet[8:16]))
        except InvalidTag:
            raise Refused('bad ICV') from None


def open_(gen, sender, packet, end, cipher=AES, secrets=None, esn=False, high=0):
    """What a receiver of this cipher does with a packet, its supply ending before
    unit `end`: a dict with what the packet says. `secrets`: bytes by number."""
    spi, low, iv, ciphertext, _ = parse(packet)
    kind, label, phase, field, tag, counter = iv_parse(iv)
    if kind != cipher:
        raise Refused(f'cipher {CIPHERS.get(kind, kind)}')
    if label != gen.label & 3:
        raise Refused('of another generation')
    number, secret = secret_of(cipher, phase, secrets or {})
    unit = expand(field, end)
    if unit < 0:
        raise Refused('names no unit')
    if unit >= end:
        raise Refused('ahead of supply')
    stream = stream_of(sender, 'key')
    epoch = Epoch(gen, stream, unit, cipher, spi, number, secret)
    if epoch.tag != tag:
        raise Refused('wrong tag')
    seq = high << 32 | low if esn else low
    payload, next_header = untrail(epoch.open(packet, seq, esn))
    return {'spi': spi, 'seq': seq, 'stream': stream, 'unit': unit, 'number': number,
            'counter': counter, 'key_id': epoch.ident(), 'next_header': next_header,
            'payload': payload, 'text': len(ciphertext)}


def secret_of(cipher, phase, secrets):
    """(number, external secret) that a phase names."""
    if cipher == AES:
        if phase:
            raise Refused('a phase under aes')
        return 0, b''
    found = [n for n in secrets if n & 1 == phase]
    if len(found) != 1:
        raise Refused('no secret of this phase')
    return found[0], secrets[found[0]]


def gcm(key, nonce, text, associated):
    """AES-GCM, for vectors: (ciphertext, tag)"""
    out = AESGCM(key).encrypt(nonce, text, associated)
    return out[:-ICV], out[-ICV:]
