# SPDX-License-Identifier: GPL-2.0-only
"""What esp_xfrm.sh asks of sockets and of XFRM's netlink: esp_xfrm.py CASE
[ARG...], see the functions. Namespaces are those of esp_lib.sh.
"""
import ctypes
import errno
import hashlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import esp_wire as wire

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24
IP_XFRM_POLICY, IPV6_XFRM_POLICY = 17, 35
AF_ALG, SOL_ALG = socket.AF_ALG, 279
XFRM_MIGRATE, XFRM_MAPPING, XFRMA_MIGRATE = 0x21, 0x26, 17
GROUP_MAPPING = 1 << 7
MODES = {'transport': 0, 'tunnel': 1, 'beet': 4}
DIRS = {'in': 0, 'out': 1, 'fwd': 2}
SPI_A2B, SPI_B2A = 0x1001, 0x1002
WINDOW = 1024                   # of esp_xfrm.sh
ENDS = {'alice': ('out', SPI_A2B, 'in', SPI_B2A), 'bob': ('out', SPI_B2A, 'in', SPI_A2B)}


def fail(*words):
    sys.exit(' '.join(map(str, words)))


# NAT traversal

def bypass(sock, direction):
    """Lets what the socket itself sends and gets pass in clear, ESP in UDP too."""
    policy = bytes(40) + struct.pack('=HBBB3xiI', sock.family, 0, 0, 0, 0, 0) + bytes(96)
    policy += struct.pack('=IIBBBB4x', 0, 0, DIRS[direction], 0, 0, 0)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_XFRM_POLICY, policy)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_XFRM_POLICY, policy)


def encap(ready):
    """Holds the sockets that take ESP out of UDP, both families in both
    namespaces, as a key manager does; and the file `ready` while it does."""
    held = []
    for name in ('alice', 'bob'):
        for address in ('0.0.0.0', '::'):
            with wire.Namespace(name):
                sock = socket.socket(wire.family_of(address), socket.SOCK_DGRAM)
                if address == '::':
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address, 4500))
            sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
            bypass(sock, 'in')
            bypass(sock, 'out')
            held.append(sock)
    with open(ready, 'w', encoding='ascii'):
        signal.pause()


def mapping(mine, theirs):
    """What bob's kernel tells key managers of alice's port, once she sends."""
    alice = wire.udp('alice', mine)
    with wire.xfrm_socket('bob', GROUP_MAPPING) as sock:
        sock.settimeout(5)
        alice.sendto(b'x', (theirs, 9))
        message = sock.recv(4096)
    if struct.unpack_from('=H', message, 4)[0] != XFRM_MAPPING:
        fail('not a mapping:', message.hex())
    # xfrm_user_mapping: SA, reqid, old and new address, old and new port
    print(struct.unpack_from('>H', message, 16 + 24 + 4 + 32 + 2)[0])


# Sequence numbers

def sequence(seq, esn, *addresses):
    """Both ends believe that packet `seq` was the last, in both directions.
    Addresses: alice's and bob's outer ones."""
    seq, esn = int(seq, 0), bool(int(esn))
    for name, mine, theirs in (('alice', *addresses), ('bob', *reversed(addresses))):
        _, spi_out, _, spi_in = ENDS[name]
        wire.newae(name, spi_out, theirs, seq, esn=esn)
        wire.newae(name, spi_in, mine, seq, window=WINDOW, esn=esn)


def rewind(times, count, theirs, *addresses):
    """So many pings of bob at a time, all answered, and both ends count from 10
    again after each time."""
    for _ in range(int(times)):
        wire.run('alice', 'ping', '-n', '-q', '-i', '0.01', '-c', count, '-w', '10', '-s', '100',
                 theirs)
        sequence('10', '0', *addresses)


# Extension headers of IPv6 in transport mode

PADN = bytes((1, 4, 0, 0, 0, 0))
RECEIVED = {socket.IPV6_RTHDRDSTOPTS: socket.IPV6_DSTOPTS}
HOP = DST = bytes((0, 0)) + PADN


def routing_header(address):
    """A segment routing header that has arrived: one segment, none left."""
    return struct.pack('>BBBBBBH', 0, 2, 4, 0, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, address)


def extensions(mine, theirs):
    """UDP behind each kind of extension header. What fits a packet must arrive,
    hidden as XFRM hides it; whether more than that does is XFRM's affair, and
    printed."""
    kinds = {'hop-by-hop': [(socket.IPV6_HOPOPTS, HOP)],
             'destination': [(socket.IPV6_DSTOPTS, DST)],
             'routing': [(socket.IPV6_RTHDR, routing_header(theirs))],
             'all': [(socket.IPV6_HOPOPTS, HOP), (socket.IPV6_RTHDRDSTOPTS, DST),
                     (socket.IPV6_RTHDR, routing_header(theirs)), (socket.IPV6_DSTOPTS, DST)]}
    bob = wire.udp('bob', theirs, 7)
    for option in (socket.IPV6_RECVHOPOPTS, socket.IPV6_RECVDSTOPTS, socket.IPV6_RECVRTHDR):
        bob.setsockopt(socket.IPPROTO_IPV6, option, 1)
    spy = wire.packet_socket('bob', 'vb')
    for name, options in kinds.items():
        for size in (100, 0, 1000, 1400, 5000):
            wire.drain(spy, 0.05)
            text = os.urandom(size)
            came = behind(options, wire.udp('alice', mine), bob, theirs, text)
            if size <= 1000 and not came:
                fail(f'{name}, {size} bytes: did not arrive')
            if size == 100:
                shown(name, spy, text)
            print(name, size, came)


def behind(options, alice, bob, theirs, text):
    """Sends a datagram with these extension headers; does it arrive with them?"""
    for option, header in options:
        alice.setsockopt(socket.IPPROTO_IPV6, option, header)
    alice.sendto(text, (theirs, 7))
    bob.settimeout(5 if len(text) <= 1000 else 0.5)
    try:
        data, found, _, _ = bob.recvmsg(70000, 4096)
    except TimeoutError:
        return False
    got = sorted(kind for _, kind, _ in found)
    want = sorted(RECEIVED.get(kind, kind) for kind, _ in options)
    if (data, got) != (text, want):
        fail(f'{len(text)} bytes: garbled, or ancillary data {got}, expected {want}')
    return True


def shown(name, spy, text):
    """The chain of headers of the packet on the wire ends with ESP."""
    chains = []
    for frame in wire.drain(spy, 0.2):
        if frame[12:14] != b'\x86\xdd' or text in frame:
            fail(f'{name}: this passed in clear: {frame.hex()}')
        chain, proto, at = [], frame[20], 54
        while proto in (0, 43, 60):
            chain.append(proto)
            proto, at = frame[at], at + 8 * (frame[at + 1] + 1)
        chains.append(chain + [proto])
    # XFRM has options for the destination in front of ESP if no routing header is
    want = {'hop-by-hop': [0, 50], 'destination': [60, 50], 'routing': [43, 50],
            'all': [0, 60, 43, 50]}[name]
    if chains != [want]:
        fail(f'{name}: headers {chains}, expected {want}')


# Files over TCP

def exchange(sock, blob):
    """Sends one and returns the digest of what comes meanwhile."""
    def send():
        sock.sendall(blob)
        sock.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=send)
    thread.start()
    digest = hashlib.sha256()
    while data := sock.recv(1 << 16):
        digest.update(data)
    thread.join()
    return digest.digest()


def files(size, mine, theirs):
    """A file each way at once over one TCP connection, compared."""
    with wire.Namespace('bob'):
        server = socket.create_server((theirs, 8000), family=wire.family_of(theirs))
    with wire.Namespace('alice'):
        client = socket.create_connection((theirs, 8000), timeout=60, source_address=(mine, 0))
    accepted, _ = server.accept()
    accepted.settimeout(60)
    blobs, got = [os.urandom(int(size)) for _ in range(2)], [None, None]

    def end(number, sock):
        got[number] = exchange(sock, blobs[number])
    threads = [threading.Thread(target=end, args=pair)
               for pair in enumerate((client, accepted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    want = [hashlib.sha256(blob).digest() for blob in reversed(blobs)]
    if got != want:
        fail('the files differ or did not arrive')


# Path MTU

def df_socket(name, address):
    sock = wire.udp(name, address)
    if ':' in address:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
    return sock


def mtu_of(sock):
    if sock.family == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
    return sock.getsockopt(socket.IPPROTO_IP, IP_MTU)


def arrives(sock, bob, size):
    """Does a datagram of this size? None: it was refused as too long."""
    text, mtu, end = os.urandom(size), mtu_of(sock), time.monotonic() + 2
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)     # of the one before
    try:
        sock.send(text)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        return None
    # or its sender hears why not
    while time.monotonic() < end and mtu_of(sock) == mtu:
        if select.select([bob], [], [], 0.05)[0]:
            return bob.recv(70000) == text
    return False


def pmtu(name, mine, theirs, want):
    """Datagrams from `name` that may not be fragmented: too big for the path,
    said so with the size that fits, which then passes; one byte more does not."""
    want, headers = int(want), 48 if ':' in mine else 28
    sock, bob = df_socket(name, mine), wire.udp('bob', theirs, 7)
    sock.connect((theirs, 7))
    for _ in range(5):
        if arrives(sock, bob, 1400 - headers):
            fail('1400 bytes passed')
        if mtu_of(sock) == want:
            break
        time.sleep(0.2)
    got = [mtu_of(sock), arrives(sock, bob, want - headers), arrives(sock, bob, want - headers + 1)]
    if got != [want, True, None]:
        fail(f'MTU, this passes, one byte more does: {got}, expected {[want, True, None]}')


# Migration (MOBIKE)

def selector(src, dst):
    family = wire.family_of(src)
    bits = 128 if family == socket.AF_INET6 else 32
    return (wire.xfrm_address(dst) + wire.xfrm_address(src) + bytes(8) +
            struct.pack('=HBBB3xiI', family, bits, bits, 0, 0, 0))


def migrate_one(name, direction, inner, old, new, mode):
    """XFRM_MSG_MIGRATE of a policy and its SA; pairs of source and destination."""
    pairs = b''.join(wire.xfrm_address(a) for a in (old[1], old[0], new[1], new[0]))
    one = pairs + struct.pack('=BBHIHH', socket.IPPROTO_ESP, MODES[mode], 0, 1,
                              wire.family_of(old[0]), wire.family_of(new[0]))
    body = selector(*inner) + struct.pack('=IB3x', 0, DIRS[direction])
    wire.xfrm_request(name, XFRM_MIGRATE, body + wire.attribute(XFRMA_MIGRATE, one))


def move(inner, old, new, mode='tunnel'):
    """Both ends' SAs, receivers first. Each argument: alice's address and bob's."""
    for name, direction in (('bob', 'in'), ('alice', 'in'), ('alice', 'out'), ('bob', 'out')):
        turn = slice(None) if (name == 'alice') == (direction == 'out') else slice(None, None, -1)
        migrate_one(name, direction, inner[turn], old[turn], new[turn], mode)


class Traffic:
    """Numbered datagrams both ways until it ends."""

    def __init__(self, inner):
        self.socks = [wire.udp('alice', inner[0], 7), wire.udp('bob', inner[1], 7)]
        for sock, peer in zip(self.socks, reversed(inner)):
            sock.connect((peer, 7))
            sock.setblocking(False)
        self.sent, self.got, self.running = 0, [set(), set()], True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.running:
            for sock in self.socks:
                try:
                    sock.send(struct.pack('>I', self.sent) + bytes(96))
                except OSError:         # no route or key just now
                    pass
            self.sent += 1
            while self.take(0):
                pass
            time.sleep(0.005)

    def take(self, seconds):
        ready, _, _ = select.select(self.socks, [], [], seconds)
        for sock in ready:
            self.got[self.socks.index(sock)].add(struct.unpack('>I', sock.recv(200)[:4])[0])
        return ready

    def stop(self):
        self.running = False
        self.thread.join()
        while self.take(0.3):
            pass

    def lost(self, begin, end):
        return [len(set(range(begin, end)) - got) for got in self.got]


def snapshot(with_epoch):
    """Of all four SAs: number and epoch's key ID, which shall stay; packets."""
    found = {(name, sa['dir']): sa for name in ('alice', 'bob') for sa in wire.sas(name)}
    return ({place: (sa['sa'], with_epoch and sa['epoch']['key_id'])
             for place, sa in found.items()},
            {place: sa['packets'] for place, sa in found.items()})


def migrate(count, mode, keep, *addresses):
    """Moves all SAs `count` times to new addresses and back, under traffic, in
    which they keep their numbers and maybe (`keep` is "epoch") their epochs.
    Addresses: the inner ones, the old and the new outer ones."""
    inner, old, new = addresses[:2], addresses[2:4], addresses[4:]
    traffic, problems, gap = Traffic(inner), [], 0
    time.sleep(0.5)
    before, packets = snapshot(keep == 'epoch')
    for turn in range(int(count)):
        begin = traffic.sent
        move(inner, *((old, new) if turn % 2 == 0 else (new, old)), mode)
        after = traffic.sent
        gap += after - begin
        while traffic.sent < after + 60:
            time.sleep(0.05)
        lost = traffic.lost(after + 1, traffic.sent - 20)
        if any(lost):
            problems.append(f'{lost} of {traffic.sent - after} lost after move {turn}')
    traffic.stop()
    after, now = snapshot(keep == 'epoch')
    if after != before:
        problems.append(f'SAs were {before}, are {after}')
    if any(now[place] <= packets[place] for place in packets):
        problems.append(f'packets were {packets}, are {now}')
    print(f'{traffic.sent} datagrams each way, lost {traffic.lost(0, traffic.sent)},'
          f' {gap} were sent during the moves')
    readable('alice', 'bob')
    if problems:
        fail(*problems)


def flood(mine, theirs):
    """Sends from all CPUs until it is killed."""
    sock = wire.udp('alice', mine)
    sock.connect((theirs, 9))
    sock.setblocking(False)
    for cpu in range(os.cpu_count()):
        if not os.fork():
            die_with_parent()
            os.sched_setaffinity(0, {cpu})
            while True:
                try:
                    sock.send(bytes(100))
                except OSError:
                    time.sleep(0.0005)
    signal.pause()


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


def bounce(count, in_a, in_b, alice, bob, other):
    """Moves alice's outbound SA to another address and back."""
    for turn in range(int(count)):
        old, new = (alice, other) if turn % 2 == 0 else (other, alice)
        migrate_one('alice', 'out', (in_a, in_b), (old, bob), (new, bob), 'tunnel')
    if int(count) % 2:
        migrate_one('alice', 'out', (in_a, in_b), (other, bob), (alice, bob), 'tunnel')


def readable(*names):
    """"ip xfrm state" shows each SA's number where a key would be."""
    for name in names:
        known = {int(str(sa['sa']), 0) for sa in wire.sas(name)}
        text = wire.run(name, 'ip', '-d', 'xfrm', 'state')
        found = re.findall(r'^\s+aead (\S+) 0x([0-9a-f]+) (\d+)', text, re.M)
        if len(found) != text.count('src 1') + text.count('src f') or \
                {int(key, 16) for _, key, _ in found} != known or \
                any(len(key) != 32 or bits != '128' for _, key, bits in found) or \
                re.search(r'\b(enc|auth|auth-trunc|comp)\b', text):
            fail(f'{name} has SAs {known}, but:', text)


# Two CPUs

def sender(cpu, name, address, peer, count):
    """A process that sends numbered datagrams on one CPU."""
    sock = wire.udp(name, address)
    sock.connect(peer)
    sock.settimeout(5)
    pid = os.fork()
    if pid:
        return pid
    os.sched_setaffinity(0, {cpu})
    for number in range(count):
        try:
            sock.send(struct.pack('>BI', cpu, number) + bytes(number % 1000))
        except OSError as error:
            print(f'{name}, CPU {cpu}: datagram {number}: {error}')
        # No more than can wait for an epoch if the machine has other things to do.
        if number % 8 == 7:
            time.sleep(0.002)
    os._exit(0)


def softirqs():
    """Packets that each CPU has taken from its backlog or a device."""
    with open('/proc/net/softnet_stat', encoding='ascii') as file:
        return [int(line.split()[0], 16) for line in file]


def cpus(count, mine, theirs):
    """Senders on all CPUs at both ends at once: all arrives, and once."""
    count, ncpu = int(count), os.cpu_count()
    socks = {'alice': wire.udp('alice', mine, 7), 'bob': wire.udp('bob', theirs, 7)}
    for name, address, peer in (('alice', mine, theirs), ('bob', theirs, mine)):
        warm = wire.udp(name, address)          # the first epochs
        warm.sendto(b'', (peer, 9))
    time.sleep(0.3)
    before = softirqs()
    pids = [sender(cpu, name, address, (peer, 7), count) for cpu in range(ncpu)
            for name, address, peer in (('alice', mine, theirs), ('bob', theirs, mine))]
    got, twice = {name: set() for name in socks}, 0
    while True:
        # When all have come: those that come twice.
        rest = any(len(s) != count * ncpu for s in got.values())
        ready, _, _ = select.select(list(socks.values()), [], [], 20 if rest else 0.5)
        if not ready:
            break
        for name, sock in socks.items():
            if sock in ready:
                data = sock.recv(2000)
                twice += data[:5] in got[name]
                got[name].add(data[:5])
    for pid in pids:
        os.waitpid(pid, 0)
    worked = [b - a for a, b in zip(before, softirqs())]
    print(f'{[len(s) for s in got.values()]} of {count * ncpu} came, {twice} twice;'
          f' packets by CPU: {worked}')
    if twice or min(worked) < count or any(len(s) != count * ncpu for s in got.values()):
        fail('not all came, or some twice, or one CPU did all')


# Drivers

def drivers():
    """name -> {field: value} of gcm(aes) in /proc/crypto, by driver."""
    with open('/proc/crypto', encoding='ascii') as file:
        blocks = file.read().split('\n\n')
    found = [dict(re.findall(r'^(\S+)\s*: (.*)$', block, re.M)) for block in blocks]
    return {one['driver']: one for one in found if one.get('name') == 'gcm(aes)'}


def best():
    return max(drivers().values(), key=lambda one: int(one['priority']))


def alg(name):
    sock = socket.socket(AF_ALG, socket.SOCK_SEQPACKET)
    sock.bind(('aead', name))
    return sock


def driver(wrapper, ready):
    """Makes `wrapper` around gcm(aes) the driver of the highest priority, by an
    instance that any user can make; prints its name. The file `ready` is there
    while it is."""
    alg('gcm(aes)').close()
    inner = best()['driver']
    while inner.startswith(('cryptd(', 'pcrypt(')):
        inner = inner[7:-1]
    with alg(f'{wrapper}({inner})'):
        with open(ready, 'w', encoding='ascii') as file:
            print(best()['driver'], file=file)
        signal.pause()


def synchronous():
    """Is the driver of the highest priority one that always answers at once?"""
    alg('gcm(aes)').close()
    if best()['async'] != 'no':
        fail(best())


def users(name):
    """How many hold the driver: epochs of SAs do."""
    print(drivers().get(name, {}).get('refcnt', 0))


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
