# SPDX-License-Identifier: GPL-2.0-only
"""nokey.py SEED-FILE GENERATION ID-FILE FILE...: no key byte in any of the files.

Computes what the link's streams hold (their heads, the start and end of what
was supplied) and the keys that the IDs name, and looks for any 8 bytes of them
in a row, raw, in hex in either case and in base64 of each alignment. With
"expect" before the files they must be found, each form: the control.

Lines of the ID file: "ID", a key without context; "ID CIPHER SPI NUMBER [FILE]",
an epoch of such an SA, with the external secret in FILE; "file FILE", a secret.
"""
import base64
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'ref'))

import keys                                                 # noqa: E402
import link as links                                        # noqa: E402
from primitives import be, hkdf, len16                      # noqa: E402

RUN = 8
EACH = 4096
CHUNK = 1 << 20


def contents_of(path):
    with open(path, 'rb') as file:
        return file.read()


def epoch(gen, ident, cipher, spi, number, path=None):
    """The key of an epoch (wire-format.md)."""
    context = be(int(cipher), 1) + be(int(spi, 0), 4) + be(int(number), 4)
    key = keys.resolve(gen, ident, 32, 1, context)
    if path is None:
        return key
    fields = keys.unpack(ident)
    stream, klass, offset = fields['stream'], fields['class'], fields['offset'] * links.UNIT
    ikm = gen.read(stream, offset, links.UNIT) + len16(contents_of(path))
    return hkdf(gen.head(stream, offset // links.KEY_SEGMENT), ikm,
                keys.info(gen, stream, klass, offset, 32, 1, context))


def named(gen, words):
    if words[0] == 'file':
        return contents_of(words[1])
    ident = bytes.fromhex(words[0].replace('-', ''))
    if len(words) > 1:
        return epoch(gen, ident, *words[1:])
    return keys.resolve(gen, ident, 32, 0, b'')


def secrets(gen, id_file):
    out = [gen.seed]
    for number in links.STREAMS.values():
        out.append(gen.read(number, 0, EACH))
        out += [gen.head(number, segment) for segment in range(4)]
        out.append(gen.read(number, links.segment_size(number) - EACH, EACH))
    with open(id_file, encoding='ascii') as file:
        out += [named(gen, line.split()) for line in file]
    return out


def needles(secret):
    """Words of the secret in every form that text has."""
    for at in range(0, len(secret) - RUN + 1, RUN):
        word = secret[at:at + RUN]
        yield 'raw', word
        yield 'hex', word.hex().encode()
        yield 'spaced hex', word.hex(' ').encode()
        yield 'paired hex', word.hex(' ', 2).encode()
        yield 'colon hex', word.hex(':').encode()
        for shift in range(3):
            text = base64.b64encode(bytes(shift) + word)
            yield 'base64', text[(shift * 8 + 5) // 6:(shift + RUN) * 8 // 6]


class Table:
    """All needles, by their first bytes."""

    def __init__(self, all_secrets):
        self.starts = {}
        for secret in all_secrets:
            for form, needle in needles(secret):
                self.starts.setdefault(needle[:RUN], []).append((form, needle))

    def search(self, data):
        found = set()
        for text in (data, data.lower()):
            windows = {text[i:i + RUN] for i in range(len(text) - RUN + 1)}
            for start in windows & self.starts.keys():
                found |= {form for form, needle in self.starts[start] if needle in text}
        return found


def contents(path):
    """A file in pieces that overlap; what cannot be read is empty."""
    tail = b''
    try:
        with open(path, 'rb', buffering=0) as file:
            while True:
                piece = file.read(CHUNK)
                if not piece:
                    return
                yield tail + piece
                tail = piece[-64:]
    except OSError:
        return


def main():
    expect = sys.argv[4] == 'expect'
    with open(sys.argv[1], 'rb') as file:
        gen = links.Emulated(file.read(), int(sys.argv[2]))
    table = Table(secrets(gen, sys.argv[3]))
    size, bad = 0, False
    for path in sys.argv[4 + expect:]:
        found = set()
        for piece in contents(path):
            size += len(piece)
            found |= table.search(piece)
        if bool(found) != expect:
            bad = True
            print(f'{path}: {sorted(found) or "nothing found"}')
    print(f'{size} bytes read')
    sys.exit(bad)


main()
