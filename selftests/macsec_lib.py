# SPDX-License-Identifier: GPL-2.0-only
"""Two ends of a MACsec link in two namespaces, for selftests.

  namespace alice                                    namespace bob
  macsec0 10.9.0.1 -- va ======== wire ======== vb -- macsec0 10.9.0.2
  qkd0 ------------- one seed, two single ends ------------- qkd0

As the ends share a seed, the reference computes every key.
"""
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

import genl                                                 # noqa: E402
import link as links                                        # noqa: E402
from ktap import equal                                      # noqa: E402
from netns import Netns, inside, run, until                 # noqa: E402

GEN = int(os.environ.get('QKD_GEN', '1'))
ETH_P_ALL, ETH_P_ECPRI = 3, 0xaefe


def packet_socket(netns, device, protocol):
    with inside(netns):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sock.bind((device, protocol))
    return sock


class Site(Netns):
    """One end."""

    def __init__(self, name, number, device):
        super().__init__(name)
        self.number, self.device = number, device
        self.mac = f'02:00:00:00:00:{number:02x}'
        self.address = f'10.9.0.{number}'
        self.peer = self.client = self.ifindex = None
        self.lock = threading.Lock()    # one request of the client at a time

    @property
    def sci(self):
        return int(self.mac.replace(':', ''), 16) << 16 | 1

    def become(self, mac):
        """Another address, for devices made from now on."""
        self.mac = mac
        self.ip('link', 'set', self.device, 'address', mac)

    def connect(self):
        with inside(self.name):
            self.client = genl.Qkd()

    def do(self, op, **values):
        with self.lock:
            return self.client.do(op, **values)

    def listen(self):
        """A client that hears events."""
        with inside(self.name):
            client = genl.Qkd()
        client.subscribe()
        return client

    def link_up(self, seed, **more):
        self.client.do('link-new', name='qkd0', type='emu', role=self.name,
                       emu={'seed': seed, 'gen': GEN, 'rate': 20000000}, **more)

    def user_link(self):
        self.qkd('link', 'add', 'qkd0', 'type', 'user', 'role', self.name, 'id',
                 f'site {self.name}', 'peer-id', f'site {self.peer.name}')

    def link_rate(self, rate):
        self.client.do('link-set', name='qkd0', emu={'rate': rate})

    def taken(self, stream):
        """Bytes of a stream that this end has allocated or committed."""
        shown = self.client.do('link-get', name='qkd0')
        return next(s for s in shown['stat'] if s['stream'] == stream)['taken']

    @property
    def tx_stream(self):
        return 'a2b-key' if self.name == 'alice' else 'b2a-key'

    def device_up(self, suite, channel=True, window=32):
        """macsec0, with a channel for the peer or not, and no SA."""
        self.ip('link', 'add', 'link', self.device, 'macsec0', 'type', 'macsec', 'cipher',
                suite, 'encrypt', 'on', 'replay', 'on', 'window', window)
        if channel:
            self.ip('macsec', 'add', 'macsec0', 'rx', 'sci', f'{self.peer.sci:016x}', 'on')
        self.ip('addr', 'add', f'{self.address}/24', 'dev', 'macsec0')
        self.ip('link', 'set', 'macsec0', 'up')
        self.ip('neigh', 'replace', self.peer.address, 'lladdr', self.peer.mac, 'dev',
                'macsec0', 'nud', 'permanent')
        with inside(self.name):
            self.ifindex = socket.if_nametoindex('macsec0')

    def bind(self, link='qkd0', **more):
        self.client.do('macsec-bind', link_name=link, ifindex=self.ifindex, **more)

    def device_down(self):
        self.ip('link', 'del', 'macsec0', check=False)
        until(lambda: not self.client.dump('macsec-dump'), 'the device is unbound')

    def named(self, direction, an):
        more = {'sci': self.peer.sci} if direction == 'in' else {}
        return {'ifindex': self.ifindex, 'dir': direction, 'an': an, **more}

    def add(self, direction, an, key_id=None):
        """Installs an SA; what the module says of it then."""
        more = {'key_id': key_id} if key_id else {}
        number = self.do('macsec-sa-add', **self.named(direction, an), **more)['number']
        found = until(lambda: self.settled(direction, an), 'macsec answers')
        if found['number'] != number:
            raise AssertionError(f'another SA: {found}')
        return found

    def settled(self, direction, an):
        found = self.do('macsec-sa-get', **self.named(direction, an))
        return None if found['state'] in ('pending', 'deleting') else found

    def remove(self, direction, an):
        self.do('macsec-sa-del', **self.named(direction, an))
        until(lambda: self.is_gone(direction, an), 'the SA is gone')

    def is_gone(self, direction, an):
        try:
            self.do('macsec-sa-get', **self.named(direction, an))
        except genl.Refused:
            return True
        return False

    def encode(self, an):
        self.ip('link', 'set', 'macsec0', 'type', 'macsec', 'encodingsa', an)

    def secy(self):
        """What iproute2 says of macsec0: {(dir, an): key identifier in hex}."""
        shown = json.loads(self.ip('-j', 'macsec', 'show', 'macsec0'))[0]
        out = {('out', sa['an']): sa['key'] for sa in shown['sa_list']}
        for channel in shown['rx_sc']:
            out.update({('in', sa['an']): sa['key'] for sa in channel['sa_list']})
        return out


ALICE, BOB = Site('alice', 1, 'va'), Site('bob', 2, 'vb')
ALICE.peer, BOB.peer = BOB, ALICE
SITES = (ALICE, BOB)
SEEDS = []          # of the link as it is made again and again; the last one counts


def set_up(link=True):
    for site in SITES:
        run('ip', 'netns', 'add', site.name)
        site.exec('sysctl', '-q', 'net.ipv6.conf.all.disable_ipv6=1',
                  'net.ipv6.conf.default.disable_ipv6=1')
    run('ip', 'link', 'add', 'va', 'netns', 'alice', 'address', ALICE.mac, 'type', 'veth',
        'peer', 'name', 'vb', 'netns', 'bob', 'address', BOB.mac)
    for site in SITES:
        site.ip('link', 'set', site.device, 'up')
        site.connect()
    if link:
        links_up()


def links_up(**more):
    """Single ends of a new seed: a module takes a seed and generation once."""
    SEEDS.append(os.urandom(32))
    for site in SITES:
        site.link_up(SEEDS[-1], **more)
    until(lambda: all(has_key(site) for site in SITES), 'both ends have key')


def link_anew(**more):
    for site in SITES:
        site.client.do('link-del', name='qkd0')
    links_up(**more)


def has_key(site):
    return site.client.do('status', link_name='qkd0', class_='rekey',
                          size=32)['available'] > 100


def tear_down():
    for site in SITES:
        if site.client:
            site.client.close()
            site.client = None
        run('ip', 'netns', 'del', site.name, check=False)


def generation():
    return links.Emulated(SEEDS[-1], GEN)


@contextlib.contextmanager
def devices(suite, **more):
    """Both ends' devices, bound."""
    try:
        for site in SITES:
            site.device_up(suite)
            site.bind(**more)
        yield
    finally:
        for site in SITES:
            if site.client:
                site.device_down()


def connect(site, an):
    """An SA from a site to its peer; its key ID."""
    sent = site.add('out', an)
    if sent['state'] != 'installed':
        raise AssertionError(f'not installed: {sent}')
    received = site.peer.add('in', an, sent['key-id'])
    if received['state'] != 'installed':
        raise AssertionError(f'not installed: {received}')
    return sent['key-id']


def rotate(site, an, drain=0.1):
    """The next SA from a site, in the order that loses nothing."""
    old = (an - 1) % 4
    key_id = connect(site, an)
    site.encode(an)
    time.sleep(drain)
    site.remove('out', old)
    site.peer.remove('in', old)
    return key_id


class Batch:
    """An ip(8) that waits for commands, and does them at once."""

    def __init__(self, site):
        self.process = subprocess.Popen(['ip', '-n', site.name, '-batch', '-'],
                                        stdin=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        equal(self.process.wait(), 0, 'ip -batch')

    def tell(self, *lines):
        self.process.stdin.write(''.join(line + '\n' for line in lines))
        self.process.stdin.flush()


def moves(site, device, to, meanwhile=None):
    """A device moves to another namespace. At some time of that something else is asked
    for, which the module refuses if the device has gone; RTNL is busy, so that each waits
    for the other between its steps."""
    with Batch(site) as mover, Batch(site) as other:
        if meanwhile:
            other.tell(*['link add busy type dummy', 'link del busy'] * 8)
            time.sleep(random.uniform(0, 0.05))
        mover.tell(f'link set {device} netns {to}')
        if meanwhile:
            time.sleep(random.choice((0, 0.001, 0.003, 0.01, 0.03)))
            with contextlib.suppress(OSError):
                meanwhile()


class Stream:
    """eCPRI-like frames of one site to its peer, numbered, until it is stopped."""

    def __init__(self, site, interval=0.002, size=200, device='macsec0'):
        self.site, self.interval, self.size = site, interval, size
        self.tx = packet_socket(site.name, device, ETH_P_ECPRI)
        self.rx = packet_socket(site.peer.name, device, ETH_P_ECPRI)
        self.rx.settimeout(0.5)
        self.sent, self.numbers, self.running = 0, [], True
        self.threads = [threading.Thread(target=f) for f in (self.send, self.receive)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()
        self.tx.close()
        self.rx.close()

    def send(self):
        os.sched_setaffinity(0, {0})        # a veth keeps the order of one CPU
        head = (bytes.fromhex(self.site.peer.mac.replace(':', '')) +
                bytes.fromhex(self.site.mac.replace(':', '')) + struct.pack('>H', ETH_P_ECPRI))
        while self.running:
            with contextlib.suppress(OSError):      # the device may go
                self.tx.send(head + struct.pack('>Q', self.sent) + bytes(self.size))
            self.sent += 1
            time.sleep(self.interval)

    def receive(self):
        while True:
            try:
                frame = self.rx.recv(2048)
            except TimeoutError:
                if not self.running:
                    return
                continue
            except OSError:
                return
            if frame[12:14] == struct.pack('>H', ETH_P_ECPRI):
                self.numbers.append(struct.unpack_from('>Q', frame, 14)[0])

    def problems(self):
        lost = self.sent - len(set(self.numbers))
        late = sum(b < a for a, b in zip(self.numbers, self.numbers[1:]))
        return lost, late


class Capture:
    """All that passes a device, until it is left."""

    def __init__(self, netns, device, protocol=ETH_P_ALL):
        self.sock = packet_socket(netns, device, protocol)
        self.sock.settimeout(0.2)
        self.frames, self.running = [], True
        self.thread = threading.Thread(target=self.read)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()
        self.sock.close()

    def read(self):
        while True:
            try:
                self.frames.append(self.sock.recv(1 << 16))
            except TimeoutError:
                if not self.running:
                    return


class Macsec:
    """The family "macsec", for SAs that are not ours."""

    ADD_TXSA, DEL_TXSA, UPD_TXSA = 4, 5, 6
    IFINDEX, SA_CONFIG = 1, 3
    AN, ACTIVE, PN, KEY, KEYID = 1, 2, 3, 4, 5

    def __init__(self, site):
        with inside(site.name):
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.bind((0, 0))
        self.ifindex = site.ifindex
        self.family = genl.GENL_CTRL
        reply = self.request(3, genl.attribute(2, b'macsec\0'), version=2)
        self.family = next(struct.unpack('=H', p)[0] for k, p, _ in genl.attributes(reply[20:])
                           if k == 1)

    def close(self):
        self.sock.close()

    def request(self, command, body, version=1):
        """The last message but the acknowledgement, whose errno is .error."""
        body = struct.pack('=BBH', command, version, 0) + body
        self.sock.send(struct.pack('=IHHII', 16 + len(body), self.family, 5, 1, 0) + body)
        reply = b''
        while True:
            data = self.sock.recv(1 << 16)
            if struct.unpack_from('=H', data, 4)[0] == genl.NLMSG_ERROR:
                self.error = -struct.unpack_from('=i', data, 16)[0]
                return reply
            reply = data

    def sa(self, command, an, **attrs):
        body = genl.attribute(self.AN, bytes([an]))
        for name, value in attrs.items():
            body += genl.attribute(getattr(self, name), value)
        self.request(command, genl.attribute(self.IFINDEX, struct.pack('=I', self.ifindex)) +
                     genl.attribute(self.SA_CONFIG | genl.NESTED, body))
        return self.error

    def add(self, an, key):
        return self.sa(self.ADD_TXSA, an, PN=struct.pack('=I', 1), KEYID=bytes(16), KEY=key,
                       ACTIVE=b'\1')

    def remove(self, an):
        self.sa(self.UPD_TXSA, an, ACTIVE=b'\0')
        return self.sa(self.DEL_TXSA, an)
