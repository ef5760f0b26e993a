# SPDX-License-Identifier: GPL-2.0-only
"""esp_ping.py COUNT ADDRESS PEER: pings from alice to bob with 0 to 65000 bytes:
the edges of granules, blocks, pages, MTU and IP, and COUNT others at random.
Each answer is compared byte by byte.
"""
import array
import os
import random
import socket
import struct
import sys
import time

import esp_wire as wire

EDGES = [*range(18), 31, 32, 33, 47, 48, 49, 56, 100, 255, 256, *range(1354, 1362), 1372, 1399,
         1400, *range(1412, 1420), 1447, 1448, 1452, *range(1470, 1475), 2000, 4068, 4095, 4096,
         8000, 16000, 32000, 64999, 65000]
ECHO, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
IDENT = os.getpid() & 0xffff


def checksum(data):
    total = sum(array.array('H', data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack('=H', ~total & 0xffff)


def raw_socket(address, version):
    with wire.Namespace('alice'):
        if version == 4:
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        else:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        sock.setsockopt(socket.SOL_SOCKET, wire.SO_RCVBUFFORCE, 8 << 20)
        sock.bind((address, 0))
    sock.settimeout(0.5)
    return sock


def answer(sock, version, seq, seconds=5):
    """The data of the reply to echo request seq, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            packet = sock.recv(70000)
        except TimeoutError:
            continue
        if version == 4:
            packet = packet[(packet[0] & 15) * 4:]
        kind, _, _, ident, number = struct.unpack_from('>BBHHH', packet)
        if (kind, ident, number) == (REPLY[version], IDENT, seq):
            return packet[8:]
    return None


def main():
    count, mine, peer = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    version = 6 if ':' in mine else 4
    sock = raw_socket(mine, version)
    sizes = EDGES + [random.randrange(65001) for _ in range(count)]
    otp = wire.is_otp()
    for seq, size in enumerate(sizes):
        if otp and seq % wire.BURST == 0:
            wire.wait_for_pad()
        data = os.urandom(size)
        head = struct.pack('>BBHHH', ECHO[version], 0, 0, IDENT, seq)
        if version == 4:
            head = head[:2] + checksum(head + data) + head[4:]
        sock.sendto(head + data, (peer, 0))
        got = answer(sock, version, seq)
        if got != data:
            sys.exit(f'ping of {size} bytes: ' + ('no answer' if got is None else 'garbled'))
    print(f'{len(sizes)} pings, {sum(sizes)} bytes')


main()
