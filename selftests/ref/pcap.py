# SPDX-License-Identifier: GPL-2.0-only
"""Reads capture files of tcpdump and puts IP fragments together."""
import struct

ESP, FRAGMENT6 = 50, 44
OPTIONS6 = (0, 43, 60)
# link type: (bytes before the IP header, where the EtherType is)
LINKS = {1: (14, 12), 101: (0, None), 228: (0, None), 229: (0, None),
         113: (16, 14), 276: (20, 0)}


def frames(path):
    """(link type, time, bytes) of each frame."""
    with open(path, 'rb') as file:
        data = file.read()
    if len(data) < 24:
        raise ValueError(f'{path}: too short for a capture')
    magic = data[:4]
    for order in '<>':
        if magic in (struct.pack(order + 'I', 0xa1b2c3d4), struct.pack(order + 'I', 0xa1b23c4d)):
            break
    else:
        raise ValueError(f'{path}: not a pcap file')
    nano = magic == struct.pack(order + 'I', 0xa1b23c4d)
    kind = struct.unpack(order + 'I', data[20:24])[0] & 0xffff
    at = 24
    while at + 16 <= len(data):
        sec, frac, kept, full = struct.unpack(order + '4I', data[at:at + 16])
        if at + 16 + kept > len(data):      # the capture was cut off here
            return
        if kept != full:
            raise ValueError(f'{path}: a frame was cut short, capture with -s 0')
        yield kind, sec + frac / (1e9 if nano else 1e6), data[at + 16:at + 16 + kept]
        at += 16 + kept


def network(kind, frame):
    """The IP packet of a frame, or None."""
    skip, ethertype = LINKS[kind]
    if ethertype is not None:
        proto = int.from_bytes(frame[ethertype:ethertype + 2], 'big')
        if kind == 1 and proto == 0x8100:
            proto, skip = int.from_bytes(frame[16:18], 'big'), 18
        if proto not in (0x0800, 0x86dd):
            return None
    return frame[skip:]


class Reassembly:
    """Fragments that wait for the rest of their packet."""

    def __init__(self):
        self.parts = {}

    def add(self, key, offset, more, data):
        parts, end = self.parts.setdefault(key, ({}, [None]))
        parts[offset] = data
        if not more:
            end[0] = offset + len(data)
        whole, at = b'', 0
        while at in parts and parts[at]:
            whole += parts[at]
            at += len(parts[at])
        if end[0] is None or at != end[0]:
            return None
        del self.parts[key]
        return whole


def transport(packet, reassembly):
    """(source, destination, protocol, payload) of an IP packet, or None while
    fragments are missing."""
    if packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4
        length = int.from_bytes(packet[2:4], 'big')
        flags = int.from_bytes(packet[6:8], 'big')
        offset, more = (flags & 0x1fff) * 8, bool(flags & 0x2000)
        src, dst, proto = packet[12:16], packet[16:20], packet[9]
        data = packet[header:length]
        if offset or more:
            data = reassembly.add((src, dst, proto, packet[4:6]), offset, more, data)
        return data and (src, dst, proto, data)
    length = 40 + int.from_bytes(packet[4:6], 'big')
    src, dst, proto = packet[8:24], packet[24:40], packet[6]
    data = packet[40:length]
    while proto in OPTIONS6:
        proto, data = data[0], data[(data[1] + 1) * 8:]
    if proto == FRAGMENT6:
        proto, field = data[0], int.from_bytes(data[2:4], 'big')
        data = reassembly.add((src, dst, proto, data[4:8]), field & 0xfff8, bool(field & 1),
                              data[8:])
        while data and proto in OPTIONS6:
            proto, data = data[0], data[(data[1] + 1) * 8:]
    return data and (src, dst, proto, data)


def esp_packets(path):
    """(time, source, destination, ESP packet) of a capture, fragments joined;
    ESP in UDP port 4500 too."""
    reassembly = Reassembly()
    for kind, when, frame in frames(path):
        packet = network(kind, frame)
        if not packet or packet[0] >> 4 not in (4, 6):
            continue
        found = transport(packet, reassembly)
        if not found:
            continue
        src, dst, proto, data = found
        if proto == 17 and 4500 in struct.unpack('>2H', data[:4]):
            data = data[8:]
            if len(data) > 8 and data[:4] != bytes(4):
                yield when, src, dst, data
        elif proto == ESP:
            yield when, src, dst, data


def ip_packets(path):
    """Every whole IP packet of a capture; fragments as they are."""
    for kind, _, frame in frames(path):
        packet = network(kind, frame)
        if not packet:
            continue
        if packet[0] >> 4 == 4:
            yield packet[:int.from_bytes(packet[2:4], 'big')]
        elif packet[0] >> 4 == 6:
            yield packet[:40 + int.from_bytes(packet[4:6], 'big')]
