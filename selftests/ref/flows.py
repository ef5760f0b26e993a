# SPDX-License-Identifier: GPL-2.0-only
"""Decrypts captures of SAs of all three ciphers, and counts epochs.

What an SA is comes from a list of dicts (JSON: --sas), each with `spi`, `role`
(the sender's), `cipher`; optional `esn`, `on_empty` (otp with on-empty aes),
`secrets` (hybrid: number -> hex), `rekey_packets` (no epoch has more).
"""
from collections import Counter
from functools import lru_cache

import epoch
import esp
import keys
import pcap
from link import CLASSES, GRANULE, KEY_SEGMENT, ROLES, STREAM_NAMES, UNIT, stream_of

FIRST_LAPS = 16         # of 2^19 units, in which a capture may begin


class Units:
    """A generation whose key streams are read a segment at a time."""

    def __init__(self, gen):
        self.gen = gen
        self.ident, self.label, self.link = gen.ident, gen.label, gen.link
        self.segment = lru_cache(16)(
            lambda stream, n: gen.read(stream, n * KEY_SEGMENT, KEY_SEGMENT))

    def read(self, stream, offset, length):
        at = offset % KEY_SEGMENT
        return self.segment(stream, offset // KEY_SEGMENT)[at:at + length]

    def head(self, stream, segment):
        return self.read(stream, segment * KEY_SEGMENT, UNIT)


class Sa:
    """One SA as its sender has it, and what was seen of it."""

    def __init__(self, spi, role, cipher, esn=False, on_empty=False, secrets=None,
                 rekey_packets=epoch.COUNTERS):
        number = {name: value for value, name in esp.CIPHERS.items()}
        self.spi = int(spi, 0) if isinstance(spi, str) else spi
        self.role = ROLES.get(role, role)
        self.cipher = number[cipher]
        self.ciphers = {self.cipher} | ({epoch.AES} if on_empty else set())
        self.secrets = {int(n): bytes.fromhex(s) if isinstance(s, str) else s
                        for n, s in (secrets or {}).items()}
        self.esn, self.rekey_packets = esn, rekey_packets
        self.last = 0                   # highest sequence number, all 64 bits
        self.packets = Counter()        # by cipher
        self.begun = []                 # units in the order of their first packets

    def seqs(self, low):
        """What the low half may mean, likeliest first."""
        if not self.esn:
            return [low]
        high = self.last >> 32
        near = low - (self.last & 0xffffffff)
        guess = high - (near > 1 << 31) + (near < -(1 << 31))
        highs = dict.fromkeys((guess, high, high + 1, high - 1, 0))
        return [h << 32 | low for h in highs if h >= 0]

    def numbers(self, cipher, phase):
        """The external secrets that a phase may mean; the newest first."""
        if cipher == epoch.AES:
            return [] if phase else [(0, b'')]
        return sorted(((n, s) for n, s in self.secrets.items() if n & 1 == phase), reverse=True)


class Flows:
    def __init__(self, gen, sas):
        self.gen, self.units = gen, Units(gen)
        self.sas = {}
        for entry in sas:
            sa = entry if isinstance(entry, Sa) else Sa(**entry)
            self.sas.setdefault(sa.spi, []).append(sa)
        self.epochs = {}        # (stream, unit) -> Epoch, with .seen: counter -> packet's hash
        self.newest = {}        # stream -> highest unit
        self.slices = []        # (stream, first byte, bytes)
        self.pads = {}          # (stream, granule) -> packet's hash
        self.nonces = set()
        self.inner = None       # Counter of payloads, if someone asks
        self.refused, self.problems = Counter(), Counter()
        self.duplicates = 0

    def read(self, path):
        for when, _, _, packet in pcap.esp_packets(path):
            self.add(packet, when)

    def add(self, packet, when=0):
        """One ESP packet; says whether it verified."""
        why = 'unknown SPI'
        for sa in self.sas.get(int.from_bytes(packet[:4], 'big'), ()):
            try:
                self.add_to(sa, packet, when)
                return True
            except esp.Refused as reason:
                why = str(reason)
        self.refused[why] += 1
        return False

    def add_to(self, sa, packet, when):
        _, low, iv, _, _ = esp.parse(packet)
        cipher, label = iv[0] >> 6, iv[0] >> 4 & 3
        if cipher not in sa.ciphers:
            raise esp.Refused(f'cipher {esp.CIPHERS.get(cipher, cipher)}')
        if label != self.gen.label & 3:
            raise esp.Refused('of another generation')
        for seq in sa.seqs(low):
            try:
                if cipher == 1:
                    payload = self.add_pad(sa, packet, seq)
                else:
                    payload = self.add_epoch(sa, packet, iv, seq, when)
                break
            except esp.Refused as reason:
                why = reason
        else:
            raise why
        if payload is None:
            self.duplicates += 1
            return
        sa.last = max(sa.last, seq)
        sa.packets[cipher] += 1
        if self.inner is not None:
            self.inner[payload] += 1

    def add_pad(self, sa, packet, seq):
        found = esp.open_(self.gen, sa.role, packet, sa.esn, seq >> 32)
        place = found['stream'], found['granule']
        if self.pads.get(place) == hash(packet):
            return None
        self.pads[place] = hash(packet)
        self.slices.append((found['stream'], found['granule'] * GRANULE, found['slice']))
        return found['payload']

    def add_epoch(self, sa, packet, iv, seq, when):
        cipher, _, phase, field, tag, counter = epoch.iv_parse(iv)
        one, text = self.find(sa, packet, cipher, phase, field, tag, seq)
        payload, _ = esp.untrail(text)
        seen = one.seen.get(counter)
        if seen == hash(packet):
            return None
        if seen is not None:
            self.problems['a counter served two packets'] += 1
        one.seen[counter] = hash(packet)
        nonce = one.key + one.nonce(counter)
        if nonce in self.nonces:
            self.problems['a nonce repeats under a key'] += 1
        self.nonces.add(nonce)
        if self.epochs.get((one.stream, one.unit)) is not one:
            self.begin(sa, one, when)
        if counter >= sa.rekey_packets:
            self.problems['an epoch is longer than it should be'] += 1
        return payload

    def begin(self, sa, one, when):
        """An epoch's first packet."""
        place = one.stream, one.unit
        if place in self.epochs:        # under another secret, cipher or SPI
            self.problems['a unit made two keys'] += 1
        self.epochs[place] = one
        one.first = when
        sa.begun.append(one.unit)
        self.newest[one.stream] = max(one.unit, self.newest.get(one.stream, 0))

    def find(self, sa, packet, cipher, phase, field, tag, seq):
        """The epoch that opens a packet, and the text."""
        stream, why = stream_of(sa.role, 'key'), esp.Refused('no secret of this phase')
        for unit in self.candidates(stream, field):
            known = self.epochs.get((stream, unit))
            if known and (known.spi, known.cipher, known.number & 1) == (sa.spi, cipher, phase):
                if known.tag == tag:
                    return known, known.open(packet, seq, sa.esn)
                why = esp.Refused('wrong tag')
                continue
            for number, secret in sa.numbers(cipher, phase):
                try:
                    one = epoch.Epoch(self.units, stream, unit, cipher, sa.spi, number, secret)
                    if one.tag != tag:
                        raise esp.Refused('wrong tag')
                    text = one.open(packet, seq, sa.esn)
                except esp.Refused as reason:
                    why = reason
                    continue
                one.seen, one.sa = {}, sa
                return one, text
        raise why

    def candidates(self, stream, field):
        """Before the first epoch of a stream is known its offset is not either."""
        if stream in self.newest:
            unit = epoch.expand(field, self.newest[stream] + 1)
            return [unit] if unit >= 0 else []
        return [field + (lap << epoch.FIELD) for lap in range(FIRST_LAPS)]

    def ident(self, one):
        return keys.name(self.units, one.stream, CLASSES['rekey'], one.unit * UNIT, UNIT, 1,
                         one.context)

    def overlaps(self):
        """Slices of pad that overlap the one before."""
        out, last = 0, (None, 0)
        for stream, offset, length in sorted(self.slices):
            out += stream == last[0] and offset < last[1]
            last = stream, max(offset + length, last[1] if stream == last[0] else 0)
        return out

    def all_problems(self):
        found = Counter(self.problems)
        if self.overlaps():
            found['a byte of pad served two packets'] = self.overlaps()
        bases = Counter(one.key for one in self.epochs.values())
        if len(bases) != len(self.epochs):
            found['two epochs have one key'] = len(self.epochs) - len(bases)
        return dict(found)

    def of_sa(self, sa):
        ones = [one for one in self.epochs.values() if one.sa is sa]
        sizes = sorted(len(one.seen) for one in ones)
        out = {'spi': f'{sa.spi:#x}', 'role': {v: n for n, v in ROLES.items()}[sa.role],
               'cipher': esp.CIPHERS[sa.cipher],
               'packets': {esp.CIPHERS[c]: n for c, n in sorted(sa.packets.items())},
               'epochs': len(ones), 'last_seq': sa.last}
        if ones:
            newest = max(ones, key=lambda one: one.unit)
            out.update(
                epoch_packets={'min': sizes[0], 'median': sizes[len(sizes) // 2],
                               'max': sizes[-1]},
                holes=sum(max(one.seen) + 1 - len(one.seen) for one in ones),
                backward=sum(b < a for a, b in zip(sa.begun, sa.begun[1:])),
                units=[min(sa.begun), max(sa.begun)], key_id=keys.uuid(self.ident(newest)))
        if sa.secrets:
            out['secrets'] = dict(sorted(Counter(one.number for one in ones).items()))
        return out

    def summary(self):
        sas = [self.of_sa(sa) for many in self.sas.values() for sa in many]
        return {'packets': sum(sum(sa['packets'].values()) for sa in sas),
                'duplicates': self.duplicates, 'refused': dict(self.refused),
                'epochs': len(self.epochs),
                'nonces': len(self.nonces), 'pad_bytes': sum(s[2] for s in self.slices),
                'problems': self.all_problems(), 'sas': sas}

    def epoch_list(self):
        """Each epoch, in the order of units: for comparison with what ends show."""
        return [{'stream': STREAM_NAMES[stream], 'unit': unit, 'spi': f'{one.spi:#x}',
                 'cipher': esp.CIPHERS[one.cipher], 'secret_number': one.number,
                 'packets': len(one.seen), 'first': one.first,
                 'key_id': keys.uuid(self.ident(one))}
                for (stream, unit), one in sorted(self.epochs.items())]

    def ranges(self):
        """[stream, first byte, bytes] of all key spent, for scan-ram."""
        return sorted([*map(list, self.slices)] +
                      [[stream, unit * UNIT, UNIT] for stream, unit in self.epochs])
