# SPDX-License-Identifier: GPL-2.0-only
"""Both ends of a wire and of a tunnel, for the selftests of ESP in Python.

The namespaces are those of esp_lib.sh. Frames are taken from and put on the
wire with packet sockets; ESP begins behind an Ethernet and an IPv4 header.
"""
import json
import os
import socket
import struct
import subprocess
import time

ETH, IP4 = 14, 20
ESP_AT = ETH + IP4
HEADER, IV, ICV = 8, 8, 16
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
CLONE_NEWNET = 0x40000000
BURST = 32
HOME = os.open('/proc/self/ns/net', os.O_RDONLY)


class Namespace:
    """with Namespace(name): sockets opened inside live there."""

    def __init__(self, name):
        self.file = os.open('/run/netns/' + name, os.O_RDONLY)

    def __enter__(self):
        os.setns(self.file, CLONE_NEWNET)

    def __exit__(self, *why):
        os.setns(HOME, CLONE_NEWNET)
        os.close(self.file)


def udp(name, address, port=0):
    with Namespace(name):
        sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET,
                             socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.bind((address, port))
    return sock


def packet_socket(name, device):
    with Namespace(name):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.bind((device, ETH_P_ALL))
    return sock


def is_esp(frame):
    return frame[12:14] == b'\x08\x00' and frame[ETH + 9] == socket.IPPROTO_ESP


def drain(sock, seconds=0.3):
    """What comes until the line is quiet for so long."""
    out = []
    sock.settimeout(seconds)
    while True:
        try:
            out.append(sock.recv(70000))
        except TimeoutError:
            return out


def checksum(header):
    total = sum(struct.unpack('>10H', header))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def with_esp(frame, esp):
    """The frame with another ESP packet in it."""
    header = bytearray(frame[ETH:ESP_AT])
    struct.pack_into('>H', header, 2, IP4 + len(esp))
    struct.pack_into('>H', header, 10, 0)
    struct.pack_into('>H', header, 10, checksum(bytes(header)))
    return frame[:ETH] + bytes(header) + bytes(esp)


def run(name, *command):
    return subprocess.run(['ip', 'netns', 'exec', name, *command], check=True,
                          capture_output=True, text=True).stdout


def sas(name):
    return json.loads(run(name, 'qkd', '-j', '-s', 'esp', 'show') or '[]')


def counters(name, direction):
    """packets and the refusals of an SA, in one flat dict."""
    sa = next(sa for sa in sas(name) if sa['dir'] == direction)
    found = {key.replace('-', '_'): value for key, value in sa.get('refused', {}).items()}
    found['packets'] = sa['packets']
    return found


def difference(before, after):
    names = set(before) | set(after)
    return {name: after.get(name, 0) - before.get(name, 0) for name in sorted(names)
            if after.get(name, 0) != before.get(name, 0)}


def wait_difference(name, direction, before, want, seconds=5):
    """The difference to `before`, once it is what it should be, or at the end."""
    end = time.monotonic() + seconds
    while True:
        got = difference(before, counters(name, direction))
        if got == want or time.monotonic() > end:
            return got
        time.sleep(0.05)


def xfrm_stat(name):
    lines = run(name, 'cat', '/proc/net/xfrm_stat').split()
    return dict(zip(lines[::2], map(int, lines[1::2])))


def link(name):
    return json.loads(run(name, 'qkd', '-j', '-s', 'link', 'show', 'qkd0'))[0]


def spare_pad(name):
    return sum(stream['live'] - stream['pending'] for stream in link(name)['streams']
               if stream['dir'] == 'out' and stream['stream'].endswith('pad'))


def wait_for_pad(seconds=30):
    """Until both ends can send BURST packets of any size under otp: what outruns
    supply is refused."""
    end = time.monotonic() + seconds
    while min(map(spare_pad, ('alice', 'bob'))) < BURST * 70000 and time.monotonic() < end:
        time.sleep(0.1)


def is_otp():
    return any(sa['cipher'] == 'otp' for sa in sas('alice'))
