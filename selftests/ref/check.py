# SPDX-License-Identifier: GPL-2.0-only
"""Checks captured ESP packets against the bytes that their IVs name."""
from collections import Counter

import esp
import pcap
from link import GRANULE, ROLES, STREAM_NAMES


class Capture:
    """What the packets of one or more captures say."""

    def __init__(self, gen, esn=False):
        self.gen, self.esn = gen, esn
        self.high = {}
        self.seen = {}          # (stream, granule) -> packet
        self.opened = []
        self.duplicates = 0
        self.refused = Counter()
        self.notes = []

    def open(self, packet):
        """Tries both directions: the ICV tells which it is."""
        spi, low = esp.parse(packet)[:2]
        last, high = self.high.get(spi, (0, 0))
        highs = [high]
        if self.esn:
            highs = [high + (low < last), high, max(high - 1, 0)]
        reasons = []
        for candidate in highs:
            for role in ROLES.values():
                try:
                    found = esp.open_(self.gen, role, packet, self.esn, candidate)
                except (esp.Refused, ValueError) as why:
                    reasons.append(str(why))
                    continue
                if candidate << 32 | low > high << 32 | last:
                    self.high[spi] = low, candidate
                return found
        other = [r for r in reasons if r != 'bad ICV']
        raise esp.Refused(other[0] if other else 'bad ICV')

    def add(self, packet):
        try:
            found = self.open(packet)
        except esp.Refused as why:
            self.refused[str(why)] += 1
            return
        name = found['stream'], found['granule']
        if self.seen.get(name) == packet:
            self.duplicates += 1
            return
        self.seen[name] = packet
        self.opened.append(found)

    def read(self, path):
        for _, _, _, packet in pcap.esp_packets(path):
            self.add(packet)

    def ranges(self):
        """[stream, first byte, bytes] of each slice, in order."""
        return sorted([f['stream'], f['granule'] * GRANULE, f['slice']] for f in self.opened)

    def reused(self):
        """Slices that overlap the one before: a byte of pad used twice."""
        out, last = [], (None, 0)
        for stream, offset, length in self.ranges():
            if stream == last[0] and offset < last[1]:
                out.append([stream, offset, length])
            last = stream, max(offset + length, last[1] if stream == last[0] else 0)
        return out

    def missing_plain(self, path):
        """How many decrypted tunnel payloads a capture of the plain side lacks."""
        plain = Counter(pcap.ip_packets(path))
        inner = Counter(f['payload'] for f in self.opened if f['next_header'] in (4, 41))
        return sum((inner - plain).values())

    def clear_runs(self):
        """Packets on the wire that show 16 bytes of their own text in clear."""
        count = 0
        for found in self.opened:
            wire = self.seen[found['stream'], found['granule']][16:-16]
            text = found['payload']
            same = esp.xor(wire[:len(text)], text)
            count += bytes(16) in same
        return count

    def summary(self):
        key = Counter()
        for stream, _, length in self.ranges():
            key[STREAM_NAMES[stream]] += length
        return {'packets': len(self.opened), 'duplicates': self.duplicates,
                'refused': dict(self.refused), 'text': sum(f['text'] for f in self.opened),
                'key_bytes': dict(key), 'reused': len(self.reused()),
                'clear': self.clear_runs(),
                'granules_first': {STREAM_NAMES[s]: min(g for t, g in self.seen if t == s)
                                   for s in sorted({t for t, _ in self.seen})}}
