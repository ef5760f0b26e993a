# SPDX-License-Identifier: GPL-2.0-only
"""Identities, streams and segments (DESIGN 3.3, "Words", "Emulated ends")."""
from primitives import be, chacha20, hkdf, len16, poly1305, sha256

ROLES = {'alice': 1, 'bob': 2}
STREAMS = {'a2b-pad': 0, 'a2b-key': 1, 'b2a-pad': 2, 'b2a-key': 3}
STREAM_NAMES = {number: name for name, number in STREAMS.items()}
CLASSES = {'control': 1, 'rekey': 2, 'export': 3}
CONTEXTS = {'none': 0, 'esp': 1, 'macsec': 2, 'sae': 3, 'ppk': 4, 'user': 5,
            'wireguard': 6}

GRANULE, UNIT = 16, 32
PAD_SEGMENT, KEY_SEGMENT = 1 << 20, 1 << 16
PAD_HEAD, KEY_HEAD = 16, 32


def is_key(stream):
    return bool(stream & 1)


def step(stream):
    return UNIT if is_key(stream) else GRANULE


def segment_size(stream):
    return KEY_SEGMENT if is_key(stream) else PAD_SEGMENT


def head_size(stream):
    return KEY_HEAD if is_key(stream) else PAD_HEAD


def stream_of(role, kind):
    """The stream that an end allocates from: its tx."""
    return 2 * (role == ROLES['bob']) + {'pad': 0, 'key': 1}[kind]


def tx_role(stream):
    """The end that allocates from a stream."""
    return ROLES['bob'] if stream & 2 else ROLES['alice']


def link_hash(id_alice, id_bob):
    """L."""
    return sha256(b'qkd link v1', len16(id_alice.encode()), len16(id_bob.encode()))


def generation(link, nonce_alice, nonce_bob):
    """G*."""
    return sha256(b'qkd gen v1', link, nonce_alice, nonce_bob)


def next_label(label):
    """Successive labels differ by 1 mod 2^16, never 0."""
    return label % 0xffff + 1


class Generation:
    """One life of a link's streams: the ends' identities, G*, the label and
    `read(stream, offset, length)`, which gives bytes."""

    def __init__(self, ids, ident, label, read):
        self.ids, self.ident, self.label, self.read = ids, ident, label, read
        self.link = link_hash(ids['alice'], ids['bob'])

    def head(self, stream, segment):
        """r or k_seg of a segment."""
        return self.read(stream, segment * segment_size(stream), head_size(stream))

    def confirm_r(self, stream, segment):
        """The key r of confirmation tags in a segment."""
        head = self.head(stream, segment)
        if not is_key(stream):
            return head
        return hkdf(b'', head, b'qkd confirm v1' + self.ident + be(stream, 1), 16)

    def confirm_tag(self, stream, offset, length, s, block=None):
        """The tag that the rx end of a stream makes over a supplied block."""
        size = segment_size(stream)
        if offset // size != (offset + length - 1) // size:
            raise ValueError('a block never crosses a segment')
        if block is None:
            block = self.read(stream, offset, length)
        receiver = tx_role(stream)
        sender = ROLES['alice'] + ROLES['bob'] - receiver
        name = (self.ident + be(stream, 1) + be(offset, 8) + be(length, 4) +
                be(sender, 1) + be(receiver, 1) + b'\0')
        return poly1305(self.confirm_r(stream, offset // size), s, name + block)


class Emulated(Generation):
    """The bytes of an emulated link."""

    def __init__(self, seed, label, ident=None):
        name = sha256(b'qkd emu', seed)[:8].hex()
        self.seed = seed
        ids = {'alice': 'alice:' + name, 'bob': 'bob:' + name}
        self.nonces = {role: sha256(b'qkd emu nonce', be(number, 1), seed, be(label, 2))[:16]
                       for role, number in ROLES.items()}
        if ident is None:
            ident = generation(link_hash(ids['alice'], ids['bob']),
                               self.nonces['alice'], self.nonces['bob'])
        super().__init__(ids, ident, label, self.bytes_of)

    def stream_key(self, stream):
        return sha256(b'qkd emu stream v1', self.seed, self.ident, be(stream, 1))

    def bytes_of(self, stream, offset, length):
        return chacha20(self.stream_key(stream), offset, length)


def from_file(path, base):
    """A `read` over a file that holds the bytes of one stream, from `base`
    on."""
    def read(_stream, offset, length):
        with open(path, 'rb') as file:
            file.seek(offset - base)
            data = file.read(length)
        if offset < base or len(data) != length:
            raise ValueError(f'{path} does not hold bytes {offset} to {offset + length}')
        return data
    return read
