# SPDX-License-Identifier: GPL-2.0-only
"""ESP packets under the cipher otp (DESIGN, "ESP wire format"); epoch.py has the
others."""
import hmac as _hmac

from primitives import be, poly1305

from link import GRANULE, PAD_HEAD, PAD_SEGMENT, stream_of

CIPHERS = {1: 'otp', 2: 'aes', 3: 'hybrid'}
HEADER, IV, ICV = 8, 8, 16


class Refused(Exception):
    """A packet that does not verify, with the reason."""


def iv_pack(label, granule):
    """cipher 2, label 2, pad granule offset 60."""
    if granule >> 60:
        raise ValueError('offset too large')
    return be(1 << 62 | (label & 3) << 60 | granule, 8)


def iv_parse(iv):
    """(cipher, label bits, granule)"""
    number = int.from_bytes(iv, 'big')
    return number >> 62, number >> 60 & 3, number & ((1 << 60) - 1)


def aad(spi, seq, esn, iv):
    """SPI, sequence number (with ESN both halves, the high one first), IV."""
    return be(spi, 4) + (be(seq, 8) if esn else be(seq & 0xffffffff, 4)) + iv


def mac_input(associated, ciphertext):
    def padded(data):
        return data + bytes(-len(data) % 16)

    return (padded(associated) + padded(ciphertext) +
            len(associated).to_bytes(8, 'little') + len(ciphertext).to_bytes(8, 'little'))


def xor(a, b):
    if len(a) != len(b):
        raise ValueError('lengths differ')
    return (int.from_bytes(a, 'big') ^ int.from_bytes(b, 'big')).to_bytes(len(a), 'big')


def slice_length(text):
    """Bytes of pad stream that a text of so many bytes takes."""
    return GRANULE + (text + GRANULE - 1) // GRANULE * GRANULE


def trailer(payload, next_header):
    """The ESP trailer: padding 1, 2, 3, ... to 4 bytes, its length, protocol."""
    pad = -(len(payload) + 2) % 4
    return bytes(range(1, pad + 1)) + bytes([pad, next_header])


def untrail(text):
    """(payload, next header) of a decrypted text."""
    length, next_header = text[-2:]
    if length + 2 > len(text) or text[-2 - length:-2] != bytes(range(1, length + 1)):
        raise Refused('bad trailer')
    return text[:-2 - length], next_header


def keys_at(gen, stream, granule, text):
    """(r, s, pad) of the slice at a granule for a text of so many bytes."""
    offset = granule * GRANULE
    inside = offset % PAD_SEGMENT
    if inside < PAD_HEAD:
        raise Refused("the slice begins in a segment's head")
    if inside + slice_length(text) > PAD_SEGMENT:
        raise Refused('the slice crosses a segment')
    r = gen.head(stream, offset // PAD_SEGMENT)
    data = gen.read(stream, offset, slice_length(text))
    return r, data[:GRANULE], data[GRANULE:GRANULE + text]


def bound(r, bind):
    """Poly1305's r for an SA that is bound, or is not."""
    return xor(r, bind) if bind else r


def seal(gen, role, granule, spi, seq, payload, next_header, esn=False, bind=b''):
    """The ESP packet, from the SPI to the ICV."""
    text = payload + trailer(payload, next_header)
    r, s, pad = keys_at(gen, stream_of(role, 'pad'), granule, len(text))
    iv = iv_pack(gen.label, granule)
    ciphertext = xor(text, pad)
    icv = poly1305(bound(r, bind), s, mac_input(aad(spi, seq, esn, iv), ciphertext))
    return be(spi, 4) + be(seq & 0xffffffff, 4) + iv + ciphertext + icv


def parse(packet):
    """(spi, low half of the sequence number, iv, ciphertext, icv)"""
    if len(packet) < HEADER + IV + 4 + ICV:
        raise Refused('too short')
    return (int.from_bytes(packet[:4], 'big'), int.from_bytes(packet[4:8], 'big'),
            packet[8:16], packet[16:-ICV], packet[-ICV:])


def open_(gen, sender, packet, esn=False, high=0):
    """Verifies and decrypts: a dict with what the packet says. `high` is the
    upper half of the sequence number, which does not travel."""
    spi, low, iv, ciphertext, icv = parse(packet)
    cipher, label, granule = iv_parse(iv)
    if cipher != 1:
        raise Refused(f'cipher {CIPHERS.get(cipher, cipher)}')
    if label != gen.label & 3:
        raise Refused('of another generation')
    stream = stream_of(sender, 'pad')
    r, s, pad = keys_at(gen, stream, granule, len(ciphertext))
    seq = high << 32 | low if esn else low
    want = poly1305(r, s, mac_input(aad(spi, seq, esn, iv), ciphertext))
    if not _hmac.compare_digest(want, icv):
        raise Refused('bad ICV')
    payload, next_header = untrail(xor(ciphertext, pad))
    return {'spi': spi, 'seq': seq, 'stream': stream, 'granule': granule,
            'slice': slice_length(len(ciphertext)), 'next_header': next_header,
            'payload': payload, 'text': len(ciphertext)}
