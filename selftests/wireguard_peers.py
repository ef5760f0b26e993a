# SPDX-License-Identifier: GPL-2.0-only
"""The selftest wireguard_peers; run by wireguard_peers.sh.

  namespace alice                                        namespace bob
  wg0 10.6.0.1 ---------------- tunnel 0 --------------- wg0 10.6.0.2
      10.6.1.1 ---------------- tunnel 1 --------------- wg1 10.6.1.2
  qkd0 -------------- one seed, two single ends -------------- qkd0
"""
import base64
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from macsec_lib import ALICE, BOB, SITES, generation, run as command
from macsec_daemon import DAEMONS, MANAGEMENT, PSK
from netns import inside, until
from wireguard_test import Flow, make_keys, raw, run_between_sites, wg
import genl
import psk
from keys import uuid
from ktap import equal, run, scaled

KEYS = {}           # by device: private and public, in Base64


class End:
    """What is at one end of a tunnel: a device, and its peer."""

    def __init__(self, site, device, tunnel):
        self.site, self.device, self.tunnel = site, device, tunnel
        self.key = (site.name, device)

    @property
    def other(self):
        return self.tunnel.bob if self.site is ALICE else self.tunnel.alice

    @property
    def peer(self):
        """The public key of the peer."""
        return KEYS[self.other.key][1]

    @property
    def index(self):
        with inside(self.site.name):
            return socket.if_nametoindex(self.device)

    def add_peer(self):
        """With a preshared key that the other end does not have."""
        number, port = self.tunnel.number, self.other.port
        self.site.exec('wg', 'set', self.device, 'peer', self.peer, 'endpoint',
                       f'10.7.0.{self.site.peer.number}:{port}', 'allowed-ips',
                       f'10.6.{number}.{self.site.peer.number}/32')
        wg(self.site, 'set', self.device, 'peer', self.peer, 'preshared-key',
           secret=base64.b64encode(os.urandom(32)).decode())

    @property
    def port(self):
        return 51820 + int(self.device[-1])

    def shown(self):
        """What the module says of the peer, or {}."""
        for found in self.site.client.dump('wg-dump'):
            if found['peer'] == raw(self.peer) and found['ifindex'] == self.index:
                return {name.replace('-', '_'):
                        uuid(value) if name in ('key-id', 'held') else value
                        for name, value in found.items()}
        return {}

    def in_wireguard(self):
        """The preshared key that WireGuard has for the peer, in Base64, or None."""
        for line in wg(self.site, 'show', self.device, 'preshared-keys').splitlines():
            if line.split()[0] == self.peer:
                return line.split()[1]
        return None

    def set(self, *words):
        self.site.qkd('wg', 'set', self.device, 'peer', self.peer, 'dev', 'qkd0', *words)

    def let_go(self):
        self.site.qkd('wg', 'del', self.device, 'peer', self.peer)


class Tunnel:
    """From alice's only device to one of bob's."""

    def __init__(self, number):
        self.number = number
        self.alice, self.bob = End(ALICE, 'wg0', self), End(BOB, f'wg{number}', self)
        self.ends = (self.alice, self.bob)

    def expected(self, ident):
        """The key of an ID, by the reference."""
        alice, bob = (raw(KEYS[end.key][1]) for end in self.ends)
        return base64.b64encode(psk.of_id(generation(), bytes.fromhex(ident.replace('-', '')),
                                          alice, bob).key).decode()

    def by_hand(self):
        """A key at both ends, in the order that loses nothing; its ID."""
        self.alice.set('hold')
        ident = self.alice.shown()['held']
        self.bob.set('id', ident)
        self.alice.set('id', ident)
        self.has(ident)
        return ident

    def has(self, ident):
        for end in self.ends:
            equal(end.shown()['key_id'], ident, f'tunnel {self.number}: {end.site.name}')
            equal(end.in_wireguard(), self.expected(ident), f'its key at {end.site.name}')

    def passes(self):
        with contextlib.suppress(OSError):
            ALICE.exec('ping', '-q', '-c', '1', '-W', '1', f'10.6.{self.number}.2')
            return True
        return False

    def confirmed(self):
        return all(end.shown().get('confirmed') for end in self.ends)

    def is_up(self):
        until(lambda: self.passes() and self.confirmed(), f'tunnel {self.number}', 60)


TUNNELS = [Tunnel(0), Tunnel(1)]


def device_up(site, device):
    site.ip('link', 'add', device, 'type', 'wireguard')
    wg(site, 'set', device, 'listen-port', 51820 + int(device[-1]), 'private-key',
       secret=KEYS[site.name, device][0])
    for tunnel in TUNNELS:
        for end in tunnel.ends:
            if end.key == (site.name, device):
                end.add_peer()
                site.ip('addr', 'add', f'10.6.{tunnel.number}.{site.number}/24', 'dev', device)
    site.ip('link', 'set', device, 'up')


@contextlib.contextmanager
def devices():
    """All three, with their peers."""
    try:
        for site, device in KEYS:
            device_up(ALICE if site == 'alice' else BOB, device)
        yield
    finally:
        for site, device in KEYS:
            command('ip', '-n', site, 'link', 'del', device, check=False)
        for site in SITES:
            until(lambda: not site.client.dump('wg-dump'), 'all are let go')


def test_by_hand():
    """two peers of a device: each its own key; one that is let go leaves the other its"""
    first, second = TUNNELS
    with devices():
        idents = [tunnel.by_hand() for tunnel in TUNNELS]
        for tunnel in TUNNELS:
            tunnel.is_up()
        for tunnel, ident in zip(TUNNELS, idents):
            tunnel.has(ident)
        equal(first.expected(idents[0]) == second.expected(idents[1]), False, 'one key')
        # the key of one peer is not the other's
        first.alice.set('hold')
        held = first.alice.shown()['held']
        refuses('bad tag', second.bob, 'id', held)
        equal('held' in second.alice.shown(), False, 'the other peer holds it')
        first.alice.let_go()
        equal(first.alice.shown(), {}, 'it is let go')
        equal(first.alice.in_wireguard() in (None, first.expected(idents[0])), False, 'blocked')
        equal(first.passes(), False, 'it passes')
        second.has(idents[1])
        second.is_up()
        # a peer that somebody removes is nobody else's business, either
        ident = second.by_hand()
        first.by_hand()
        first.is_up()
        ALICE.exec('wg', 'set', 'wg0', 'peer', first.alice.peer, 'remove')
        refuses('no such peer', first.alice)
        second.has(ident)
        second.is_up()


def refuses(text, end, *words):
    try:
        end.set(*words)
    except OSError as why:
        if text in str(why):
            return
        raise AssertionError(f'said {why}, not "{text}"') from why
    raise AssertionError(f'not refused: {words}')


def configure(site, more):
    lines = ['[local]', f'name = {site.name}', f'listen = {MANAGEMENT[site.name][1]}:7676',
             f'[peer {site.peer.name}]', f'psk = {PSK}', 'timeout = 3s']
    if site is ALICE:
        lines.append(f'connect = {MANAGEMENT["bob"][1]}:7676')
    lines += ['[link qkd0]', f'peer = {site.peer.name}']
    for tunnel in TUNNELS:
        end = next(end for end in tunnel.ends if end.site is site)
        lines += [f'[wireguard {end.device}]', 'link = qkd0', f'peer = {end.peer}',
                  f'shared-name = tunnel{tunnel.number}', 'rekey-time = 5s', *more]
    DAEMONS[site].write(lines)


def test_daemons():
    """qkdd rotates the keys of both; what one peer's handshakes do costs the other nothing"""
    with devices():
        try:
            for site in SITES:
                configure(site, [])
                DAEMONS[site].start()
            for tunnel in TUNNELS:
                tunnel.is_up()
            ends = [end for tunnel in TUNNELS for end in tunnel.ends]
            before = [end.shown()['confirms'] for end in ends]
            count = scaled(20, 2)
            flows = [Flow(end.site, 0.05, tunnel.number)
                     for tunnel in TUNNELS for end in tunnel.ends]
            try:
                until(lambda: all(end.shown()['confirms'] >= was + count
                                  for was, end in zip(before, ends)),
                      'confirmed keys', 30 + 15 * count)
            finally:
                lost = [flow.stop() for flow in flows]
            for tunnel in TUNNELS:
                for end in tunnel.ends:
                    now = end.shown()
                    equal((now['failed'], now['blocks']), (0, 0), f'{end.key}')
                    # which daemons go on replacing
                    until(lambda end=end, tunnel=tunnel: end.in_wireguard() ==
                          tunnel.expected(end.shown()['key_id']), f'the key of {end.key}')
            equal(lost, [0] * len(flows), f'lost of {[flow.sent for flow in flows]}')
        except Exception:
            for site in SITES:
                for line in DAEMONS[site].lines()[-12:]:
                    print(f'# {site.name}: {line}')
                print('# ' + site.qkd('-s', 'wg', 'show', check=False).replace('\n', '\n# '))
            raise
        finally:
            for site in SITES:
                DAEMONS[site].stop()
                with contextlib.suppress(FileNotFoundError):
                    os.remove(DAEMONS[site].log)
    return f'{[flow.sent for flow in flows]} datagrams, 0 lost'


class WireGuard:
    """Removes a peer by the family "wireguard", faster than wg(8)."""

    SET_DEVICE, IFINDEX, PEERS, PUBLIC_KEY, FLAGS, REMOVE_ME = 1, 1, 8, 1, 3, 1

    def __init__(self, end):
        with inside(end.site.name):
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.bind((0, 0))
        reply = self.request(genl.GENL_CTRL, 3, genl.attribute(2, b'wireguard\0'), 2)
        family = next(struct.unpack('=H', p)[0] for k, p, _ in genl.attributes(reply[20:])
                      if k == 1)
        peer = (genl.attribute(self.PUBLIC_KEY, raw(end.peer)) +
                genl.attribute(self.FLAGS, struct.pack('=I', self.REMOVE_ME)))
        self.remove = (family, self.SET_DEVICE, genl.attribute(
            self.IFINDEX, struct.pack('=I', end.index)) + genl.attribute(
                self.PEERS | genl.NESTED, genl.attribute(0 | genl.NESTED, peer)), 1)

    def close(self):
        self.sock.close()

    def request(self, family, command_number, body, version):
        """The last message but the acknowledgement, which must say that it is done."""
        body = struct.pack('=BBH', command_number, version, 0) + body
        self.sock.send(struct.pack('=IHHII', 16 + len(body), family, 5, 1, 0) + body)
        reply = b''
        while True:
            data = self.sock.recv(1 << 16)
            if struct.unpack_from('=H', data, 4)[0] == genl.NLMSG_ERROR:
                equal(struct.unpack_from('=i', data, 16)[0], 0, 'WireGuard')
                return reply
            reply = data

    def remove_peer(self):
        self.request(*self.remove)


def burnt(site):
    return site.client.do('link-get', name='qkd0')['refused']['burnt']


def race(wireguard, delay):
    """Bob's peer goes while it is given a key by its ID. Whether that key was taken,
    or None if it was given in time."""
    alice, bob = TUNNELS[0].ends
    alice.set('hold')
    ident = alice.shown()['held']
    before, failed = burnt(BOB), bob.shown().get('failed', 0)
    BOB.client.do('wg-set', link_name='qkd0', ifindex=bob.index, peer=raw(bob.peer),
                  key_id=bytes.fromhex(ident.replace('-', '')))
    time.sleep(delay)
    wireguard.remove_peer()
    now = until(lambda: bob.shown() if bob.shown()['state'] != 'pending' else None, 'an answer')
    bob.add_peer()
    if now['state'] != 'failed':
        equal((now['state'], now['key_id'], burnt(BOB)), ('installed', ident, before), 'in time')
        return None
    equal((now['message'], now['failed']), ('the device has no such peer', failed + 1), 'said')
    equal(bob.in_wireguard() == TUNNELS[0].expected(ident), False, 'a peer has it')
    taken = burnt(BOB) - before
    if taken:
        equal(taken, 1, 'burnt')
        refuses('taken', bob, 'id', ident)
    else:
        bob.set('id', ident)
        alice.set('id', ident)
        TUNNELS[0].has(ident)
    return bool(taken)


@contextlib.contextmanager
def slow_rtnl():
    """Others hold RTNL all the time, so that the module's work waits between its steps."""
    busy = [subprocess.Popen(
        ['ip', 'netns', 'exec', 'bob', 'sh', '-c',
         f'while :; do ip link add busy{n} type dummy; ip link del busy{n}; done'],
        start_new_session=True) for n in range(3)]
    try:
        yield
    finally:
        for process in busy:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for n in range(3):
            BOB.ip('link', 'del', f'busy{n}', check=False)


def test_refused():
    """a peer goes while it is given a key: said, counted; a key that was taken is spent"""
    seen = {None: 0, False: 0, True: 0}
    with devices():
        wireguard = WireGuard(TUNNELS[0].bob)
        try:
            with slow_rtnl():
                for _ in range(scaled(200, 20)):
                    seen[race(wireguard, random.choice((0, 0, 0.001, 0.003, 0.01)))] += 1
        finally:
            wireguard.close()
        TUNNELS[0].by_hand()
        TUNNELS[0].is_up()
    return f'{seen[True]} keys spent, {seen[False]} not taken, {seen[None]} in time'


def intrude(stop, seen):
    """As bob's root, sends to the module's sockets while they are there: those of no
    protocol that is in use."""
    with inside('bob'), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as sock:
        while not stop.is_set():
            with open('/proc/thread-self/net/netlink', encoding='ascii') as file:
                ports = [int(words[2]) for words in map(str.split, file) if words[1] == '1']
            for port in ports:
                try:
                    sock.sendto(struct.pack('=IHHII', 16, genl.NLMSG_ERROR, 0, 0, 0), (port, 0))
                    seen['taken'] += 1
                except ConnectionRefusedError:
                    seen['refused'] += 1


def test_answers():
    """the module's socket takes answers of the kernel alone, also from root"""
    seen = {'taken': 0, 'refused': 0}
    stop = threading.Event()
    with devices():
        thread = threading.Thread(target=intrude, args=(stop, seen))
        thread.start()
        try:
            with slow_rtnl():
                until(lambda: TUNNELS[0].by_hand() and seen['refused'] + seen['taken'] > 20,
                      'the sockets are seen')
        finally:
            stop.set()
            thread.join()
    equal(seen['taken'], 0, 'messages taken')
    return f"{seen['refused']} refused"


if __name__ == '__main__':
    make_keys(KEYS, (('alice', 'wg0'), ('bob', 'wg0'), ('bob', 'wg1')))
    run_between_sites([test_by_hand, test_refused, test_answers, test_daemons])
