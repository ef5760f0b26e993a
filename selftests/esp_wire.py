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
NETLINK_XFRM, XFRM_NEWAE, XFRMA_REPLAY_VAL, XFRMA_REPLAY_ESN = 6, 0x1e, 10, 23
BURST = 32
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE = 1, 4, 0x100
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
        sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
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


def counters(name, direction, spi=None):
    """packets and the refusals of an SA, in one flat dict."""
    sa = next(sa for sa in sas(name)
              if sa['dir'] == direction and spi in (None, int(str(sa['spi']), 0)))
    found = {key.replace('-', '_'): value for key, value in sa.get('refused', {}).items()}
    found['packets'] = sa['packets']
    return found


def difference(before, after):
    names = set(before) | set(after)
    return {name: after.get(name, 0) - before.get(name, 0) for name in sorted(names)
            if after.get(name, 0) != before.get(name, 0)}


def wait_difference(name, direction, before, want, seconds=5, spi=None):
    """The difference to `before`, once it is what it should be, or at the end.
    `want` may be a number: of packets, whatever became of them."""
    end = time.monotonic() + seconds
    while True:
        got = difference(before, counters(name, direction, spi))
        if want in (got, sum(got.values())) or time.monotonic() > end:
            return got
        time.sleep(0.05)


def family_of(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def xfrm_address(address):
    return socket.inet_pton(family_of(address), address).ljust(16, b'\0')


def attribute(kind, payload):
    return struct.pack('=HH', 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def xfrm_socket(name, groups=0):
    with Namespace(name):
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
    sock.bind((0, groups))
    return sock


def xfrm_request(name, kind, body, flags=0):
    """A stock XFRM request, and its acknowledgement."""
    head = struct.pack('=IHHII', 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0)
    with xfrm_socket(name) as sock:
        sock.send(head + body)
        error = struct.unpack_from('=i', sock.recv(4096), 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error))


def newae(name, spi, dst, seq, window=0, esn=False):
    """Has an SA believe that packet `seq` was the last: a stock XFRM request. Its
    replay window (0 for an outbound one) is empty then."""
    low, high = seq & 0xffffffff, seq >> 32
    tx, rx = ((0, 0), (low, high)) if window else ((low, high), (0, 0))
    if esn or window > 32:
        words = max(1, (window + 31) // 32)
        state = struct.pack('=6I', words, tx[0], rx[0], tx[1], rx[1], max(1, window))
        kind, state = XFRMA_REPLAY_ESN, state + bytes(4 * words)
    else:
        kind, state = XFRMA_REPLAY_VAL, struct.pack('=3I', tx[0], rx[0], 0)
    body = xfrm_address(dst) + struct.pack('>I', spi)
    body += struct.pack('=HBx', family_of(dst), socket.IPPROTO_ESP) + bytes(24)
    xfrm_request(name, XFRM_NEWAE, body + attribute(kind, state), NLM_F_REPLACE)


def xfrm_stat(name):
    lines = run(name, 'cat', '/proc/net/xfrm_stat').split()
    return dict(zip(lines[::2], map(int, lines[1::2])))


def link(name):
    return json.loads(run(name, 'qkd', '-j', '-s', 'link', 'show', 'qkd0'))[0]


class Lab:
    """A tunnel from alice to bob, and Eve between them.

    A rule of nftables keeps bob from seeing ESP while a packet socket in front
    of it takes the frames: so each case has genuine packets that bob does not
    know yet, and sends them in any shape and order.
    """

    def __init__(self):
        self.alice = udp('alice', '10.2.1.1')
        self.bob = udp('bob', '10.2.2.1', 9)
        self.wire_out = packet_socket('alice', 'va')
        self.wire_in = packet_socket('bob', 'vb')
        self.failed = False

    def hold(self, count, size=100):
        """Frames of so many datagrams, which bob has not seen; and the data."""
        run('bob', 'nft', 'add table inet hold { chain c { type filter hook prerouting '
            'priority -300; meta l4proto esp drop; }; }')
        drain(self.wire_in, 0.1)
        data = [os.urandom(size) for _ in range(count)]
        for text in data:
            self.alice.sendto(text, ('10.2.2.1', 9))
        frames = [f for f in drain(self.wire_in) if is_esp(f)]
        run('bob', 'nft', 'delete table inet hold')
        if len(frames) != count:
            raise RuntimeError(f'{len(frames)} frames captured, not {count}')
        return frames, data

    def inject(self, frames):
        for frame in frames:
            self.wire_out.send(frame)

    def received(self):
        return drain(self.bob)

    def check(self, name, got, want):
        good = got == want
        self.failed |= not good
        if not good:
            print(f'{name}: got {got}, expected {want}')
        print(f"{'ok' if good else 'not ok'} - {name}")

    def refused(self, name, edit, want):
        """A forgery moves one counter and delivers nothing; then the genuine
        packet passes."""
        frames, data = self.hold(1)
        before = counters('bob', 'in')
        esp = edit(bytearray(frames[0][ESP_AT:]))
        self.inject([with_esp(frames[0], esp)])
        got = wait_difference('bob', 'in', before, want)
        self.inject(frames)
        came = self.received()
        self.check(name, [got, came], [want, data])


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
