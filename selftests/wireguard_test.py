# SPDX-License-Identifier: GPL-2.0-only
"""The selftest wireguard; run by wireguard.sh.

  namespace alice                                       namespace bob
  wg0 10.6.0.1 -- va 10.7.0.1 ======== 10.7.0.2 vb -- wg0 10.6.0.2
  qkd0 -------------- one seed, two single ends -------------- qkd0
  qkdd -------------- ca ======== wire ======== cb -------------- qkdd
"""
import base64
import contextlib
import os
import signal
import socket
import threading
import time

from macsec_lib import (ALICE, BOB, SITES, Capture, generation, link_anew, links_up,
                        moves, run as command, set_up, tear_down)
from macsec_daemon import DAEMONS, MANAGEMENT, PSK, wire_up
from netns import PATIENCE, inside, namespace, until
from process import memory_of
import psk
from keys import uuid
from ktap import equal, run, scaled

PORT = 51820
KEYS = {}           # by site: private and public, in Base64


def raw(text):
    return base64.b64decode(text)


def other(site):
    """The public key of a site's peer."""
    return KEYS[site.peer][1]


def wg(site, *words, secret=None):
    """wg(8) at a site; @secret comes through a file."""
    if secret is None:
        return site.exec('wg', *words).strip()
    path = f'/run/qkd/{site.name}.wg'
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w',
              encoding='ascii') as file:
        file.write(secret + '\n')
    try:
        return site.exec('wg', *words, path).strip()
    finally:
        os.remove(path)


def device_up(site):
    """wg0 with its peer, and with a preshared key that the other end does not have."""
    site.ip('link', 'add', 'wg0', 'type', 'wireguard')
    wg(site, 'set', 'wg0', 'listen-port', PORT, 'private-key', secret=KEYS[site][0])
    site.exec('wg', 'set', 'wg0', 'peer', other(site), 'endpoint',
              f'10.7.0.{site.peer.number}:{PORT}', 'allowed-ips', f'10.6.0.{site.peer.number}/32')
    wg(site, 'set', 'wg0', 'peer', other(site), 'preshared-key',
       secret=base64.b64encode(os.urandom(32)).decode())
    site.ip('addr', 'add', f'10.6.0.{site.number}/24', 'dev', 'wg0')
    site.ip('link', 'set', 'wg0', 'up')


def device_down(site):
    site.ip('link', 'del', 'wg0', check=False)
    until(lambda: not site.client.dump('wg-dump'), 'the peer is let go')


@contextlib.contextmanager
def devices():
    try:
        for site in SITES:
            device_up(site)
        yield
    finally:
        for site in SITES:
            device_down(site)


def shown(site):
    """What the module says of the peer, or {}."""
    for found in site.client.dump('wg-dump'):
        if found['peer'] == raw(other(site)):
            return {name.replace('-', '_'): uuid(value) if name in ('key-id', 'held') else value
                    for name, value in found.items()}
    return {}


def in_wireguard(site):
    """The preshared key that WireGuard has, in Base64."""
    return wg(site, 'show', 'wg0', 'preshared-keys').split()[1]


def expected(ident):
    """The key of an ID, by the reference."""
    return base64.b64encode(psk.of_id(generation(), bytes.fromhex(ident.replace('-', '')),
                                      raw(KEYS[ALICE][1]), raw(KEYS[BOB][1])).key).decode()


def set_key(site, *words, check=True):
    return site.qkd('wg', 'set', 'wg0', 'peer', other(site), 'dev', 'qkd0', *words, check=check)


def refuses(text, site, *words):
    try:
        set_key(site, *words)
    except OSError as why:
        if text in str(why):
            return
        raise AssertionError(f'said {why}, not "{text}"') from why
    raise AssertionError(f'not refused: {words}')


def by_hand(leader=ALICE, **more):
    """A key at both ends, in the order that loses nothing; its ID."""
    words = [str(word) for pair in more.items() for word in pair]
    set_key(leader, 'hold', *words)
    ident = shown(leader)['held']
    set_key(leader.peer, 'id', ident, *words)
    set_key(leader, 'id', ident)
    for site in SITES:
        equal(shown(site)['key_id'], ident, site.name)
        equal(in_wireguard(site), expected(ident), f'the key at {site.name}')
    return ident


class Flow:
    """Numbered datagrams of a site to its peer through 10.6.NET.0, until it is stopped."""

    def __init__(self, site, interval=0.01, net=0):
        self.site, self.interval = site, interval
        port = 9000 + 10 * net + site.number
        with inside(site.name):
            self.tx = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tx.connect((f'10.6.{net}.{site.peer.number}', port))
        with inside(site.peer.name):
            self.rx = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.rx.bind(('', port))
        self.rx.settimeout(0.5)
        self.sent, self.numbers, self.running = 0, set(), True
        self.threads = [threading.Thread(target=f) for f in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """How many were lost."""
        self.running = False
        for thread in self.threads:
            thread.join()
        self.tx.close()
        self.rx.close()
        return self.sent - len(self.numbers)

    def send(self):
        while self.running:
            with contextlib.suppress(OSError):      # the device may go
                self.tx.send(self.sent.to_bytes(8, 'big') + bytes(200))
            self.sent += 1
            time.sleep(self.interval)

    def receive(self):
        idle = 0
        while idle < 2:         # what waits for a handshake comes late
            try:
                self.numbers.add(int.from_bytes(self.rx.recv(2048)[:8], 'big'))
            except TimeoutError:
                idle = 0 if self.running else idle + 1


@contextlib.contextmanager
def flowing():
    """Traffic both ways, of which nothing is lost."""
    both = [Flow(site) for site in SITES]
    try:
        yield both
    finally:
        lost = [flow.stop() for flow in both]
    equal(lost, [0, 0], f'lost of {[flow.sent for flow in both]}')


def passes(site=ALICE):
    """Does a ping go through?"""
    with contextlib.suppress(OSError):
        site.exec('ping', '-q', '-c', '1', '-W', '1', f'10.6.0.{site.peer.number}')
        return True
    return False


def confirmed():
    return all(shown(site).get('confirmed') for site in SITES)


@contextlib.contextmanager
def daemons(**more):
    """qkdd at both ends, until a key is confirmed."""
    try:
        for site in SITES:
            DAEMONS[site].wireguard(**more)
            DAEMONS[site].start()
        until(lambda: passes() and confirmed(), 'a confirmed key', 60)
        yield
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


def wireguard_config(self, peer_key=None, rekey_time='5s', max_time='1h'):
    """Of a Daemon: its file."""
    site, peer = self.site, self.site.peer.name
    lines = ['[local]', f'name = {site.name}', f'listen = {MANAGEMENT[site.name][1]}:7676',
             f'[peer {peer}]', f'psk = {PSK}', 'timeout = 3s']
    if site is ALICE:
        lines.append(f'connect = {MANAGEMENT[peer][1]}:7676')
    lines += ['[link qkd0]', f'peer = {peer}', '[wireguard wg0]', 'link = qkd0',
              f'peer = {peer_key or other(site)}', f'rekey-time = {rekey_time}',
              f'max-time = {max_time}']
    with open(self.config, 'w', encoding='ascii') as file:
        file.write('\n'.join(lines) + '\n')


type(DAEMONS[ALICE]).wireguard = wireguard_config


def goes_on(count=1):
    """So many more keys are confirmed at both ends."""
    before = {site: shown(site).get('confirms', 0) for site in SITES}
    until(lambda: all(shown(site).get('confirms', 0) >= before[site] + count or
                      before[site] > shown(site).get('confirms', 0) >= count
                      for site in SITES), 'confirmed keys', 30 + 10 * count)


def test_by_hand():
    """a key of either end by hand: it is the reference's, in use at once, and confirmed"""
    with devices():
        equal(passes(), False, 'control: it passes with two different keys')
        for leader in SITES:
            ident = by_hand(leader)
            until(lambda: passes(leader) and confirmed(), 'a handshake')
            equal(shown(ALICE)['state'], 'confirmed')
        with flowing():
            for _ in range(2):
                last, ident = ident, by_hand()
                until(confirmed, 'a handshake under the next key')
                equal(ident != last, True)
        for site in SITES:
            site.qkd('wg', 'del', 'wg0', 'peer', other(site))
            equal(shown(site), {})
        equal(in_wireguard(ALICE) in (in_wireguard(BOB), expected(ident)), False, 'blocked')
        equal(passes(), False, 'it passes after del')


def test_secrets():
    """no key on netlink as nlmon sees it, while keys are given and handshakes looked for"""
    for site in SITES:
        site.ip('link', 'add', 'nlmon0', 'type', 'nlmon')
        site.ip('link', 'set', 'nlmon0', 'up')
    with devices():
        with Capture('bob', 'nlmon0') as refused:
            lost, refusals = race(scaled(30, 3))
        with Capture('alice', 'nlmon0') as capture:
            idents = []
            for _ in range(2):
                idents.append(by_hand_unseen())
                until(lambda: passes() and confirmed(), 'a handshake')
            text = ALICE.qkd('-s', 'wg', 'show') + ALICE.qkd('-j', '-s', 'wg', 'show')
            for word in ('state confirmed', 'key-id', 'confirmed', 'installed 2', idents[-1]):
                equal(word in text, True, word)
        with Capture('alice', 'nlmon0') as control:
            key = raw(in_wireguard(ALICE))
    for site in SITES:
        site.ip('link', 'del', 'nlmon0')
    heard = b'|'.join(capture.frames + refused.frames)
    equal(key in b'|'.join(control.frames), True, 'control: what wg asks for is heard')
    for ident in idents + lost:
        equal(bytes.fromhex(ident.replace('-', '')) in heard, True, 'the key ID was heard')
    for secret in [raw(expected(ident)) for ident in idents + lost] + [raw(KEYS[ALICE][0])]:
        for at in range(0, 32, 8):
            if secret[at:at + 8] in heard or secret.hex() in text:
                raise AssertionError('a key was heard')
    return f'{len(capture.frames) + len(refused.frames)} messages, {refusals} keys refused'


def race(count):
    """Bob's device goes while the key of an ID is given to it; the IDs, and how often
    WireGuard refused one."""
    idents, refusals = [], 0
    listener = BOB.listen()
    for _ in range(count):
        set_key(ALICE, 'hold')
        ident = shown(ALICE)['held']
        idents.append(ident)
        BOB.client.do('wg-set', link_name='qkd0', ifindex=index(BOB), peer=raw(other(BOB)),
                      key_id=bytes.fromhex(ident.replace('-', '')))
        device_down(BOB)
        refusals += any(event.get('message') == 'WireGuard refused the key'
                        for event in listener.events())
        device_up(BOB)
    listener.close()
    return idents, refusals


def index(site):
    with inside(site.name):
        return socket.if_nametoindex('wg0')


def by_hand_unseen():
    """As by_hand(), but nobody asks alice's WireGuard."""
    set_key(ALICE, 'hold')
    ident = shown(ALICE)['held']
    set_key(BOB, 'id', ident)
    set_key(ALICE, 'id', ident)
    return ident


def test_refused():
    """wrong peer, device, key or ID: said, and the last key stays in use"""
    with devices():
        ident = by_hand()
        until(lambda: passes() and confirmed(), 'a handshake')
        stranger = KEYS['carol'][1]
        for text, words in (
                ('no such peer', ('wg0', 'peer', stranger, 'dev', 'qkd0')),
                ('not a WireGuard device', ('va', 'peer', stranger, 'dev', 'qkd0')),
                ('not a public key', ('wg0', 'peer', stranger[:-2], 'dev', 'qkd0')),
                ('"dev" is needed', ('wg0', 'peer', stranger)),
                ('no such link', ('wg0', 'peer', stranger, 'dev', 'nolink'))):
            try:
                ALICE.qkd('wg', 'set', *words)
            except OSError as why:
                if text not in str(why):
                    raise AssertionError(f'said {why}, not "{text}"') from why
                continue
            raise AssertionError(f'not refused: {words}')
        ALICE.qkd('wg', 'del', 'wg0', 'peer', stranger)
        refuses('taken', BOB, 'id', ident)
        set_key(ALICE, 'hold')
        held = shown(ALICE)['held']
        refuses('bad tag', BOB, 'id', held[:-1] + ('0' if held[-1] != '0' else '1'))
        # bob means another peer by it
        wg(BOB, 'set', 'wg0', 'peer', stranger)
        try:
            BOB.qkd('wg', 'set', 'wg0', 'peer', stranger, 'dev', 'qkd0', 'id', held)
            raise AssertionError('a key of another pair was taken')
        except OSError as why:
            if 'bad tag' not in str(why):
                raise
        BOB.qkd('wg', 'del', 'wg0', 'peer', stranger)
        for site in SITES:
            equal(in_wireguard_of(site, other(site)), expected(ident), 'the key in use')
        equal(passes(), True)
        set_key(BOB, 'id', held)
        set_key(ALICE, 'id', held)
        until(lambda: passes() and confirmed(), 'a handshake')


def in_wireguard_of(site, peer):
    for line in wg(site, 'show', 'wg0', 'preshared-keys').splitlines():
        if line.split()[0] == peer:
            return line.split()[1]
    return None


def test_rotation():
    """qkdd rotates keys under traffic, of which nothing is lost; each is confirmed"""
    count = scaled(20, 2)
    with devices(), daemons():
        seen = set()
        with flowing() as both:
            for _ in range(count):
                goes_on()
                seen.add(shown(ALICE)['key_id'])
        shows = [shown(site) for site in SITES]
        keys = [raw(expected(ident)) for ident in seen]
        named = 0
        for site, now in zip(SITES, shows):
            equal(now['installed'] - now['confirms'] <= 1, True, f'{site.name}: confirmed')
            equal((now['failed'], now['blocks']), (0, 0), site.name)
            memory = memory_of(DAEMONS[site].process.pid)
            # keys go on changing meanwhile
            named += any(bytes.fromhex(ident.replace('-', '')) in memory
                         for ident in seen | {now['key_id'], shown(site)['key_id']})
            for key in keys:
                if key[:16] in memory or key[16:] in memory:
                    raise AssertionError(f'a key in the memory of {site.name}')
        equal(named > 0, True, 'control: the ID of a key that was used is there')
    return f'{len(seen)} keys, {[flow.sent for flow in both]} datagrams, 0 lost'


def test_restart():
    """a daemon is killed and comes back: keys go on to rotate, and nothing is lost"""
    with devices(), daemons(), flowing():
        for site in SITES:
            DAEMONS[site].stop(signal.SIGKILL)
            time.sleep(1)
            DAEMONS[site].start()
            goes_on()


def test_device_goes():
    """a device is deleted and made anew: the module lets the peer go, qkdd gets it a key"""
    with devices(), daemons():
        BOB.ip('link', 'del', 'wg0')
        until(lambda: not BOB.client.dump('wg-dump'), 'the peer is let go')
        device_up(BOB)
        until(lambda: passes() and confirmed(), 'a confirmed key', 60)


def moves_with_no_key(meanwhile=None):
    with devices():
        ident, ifindex = by_hand(), index(ALICE)
        moves(ALICE, 'wg0', 'carol', meanwhile and (lambda: meanwhile(ifindex)))
        until(lambda: not ALICE.client.dump('wg-dump'), 'the peer is let go')
        until(lambda: expected(ident) not in command(
            'ip', 'netns', 'exec', 'carol', 'wg', 'show', 'wg0', 'preshared-keys'),
            'another key')
        command('ip', '-n', 'carol', 'link', 'del', 'wg0')


def test_device_moves():
    """the device moves to another namespace: the key does not go with it"""
    with namespace('carol'):
        moves_with_no_key()


def test_moves_while_let_go():
    """the device moves while its peer is let go: the key does not go with it"""
    with namespace('carol'):
        for _ in range(scaled(80, 8)):
            moves_with_no_key(lambda ifindex: ALICE.client.do(
                'wg-del', ifindex=ifindex, peer=raw(other(ALICE))))


def test_suspend():
    """before the machine sleeps the peers block, and a key that is held goes"""
    if os.path.exists('/sys/kernel/debug/kmemleak'):
        return 'not done: the debug kernel does not wake'
    with devices():
        ident = by_hand()
        set_key(ALICE, 'hold')
        command('bash', '-c', '. ./lib.sh; wake_in 8 && echo mem >/sys/power/state')
        for site in SITES:
            equal((shown(site)['state'], shown(site)['message']),
                  ('blocked', 'the machine sleeps'), site.name)
            equal('held' in shown(site), False, 'a key is held')
        equal(in_wireguard(ALICE) in (in_wireguard(BOB), expected(ident)), False, 'the keys')
    link_anew()
    return None


def test_wrong_peer():
    """the daemons mean different peers: nobody gets a key, and both say so"""
    with devices():
        BOB.exec('wg', 'set', 'wg0', 'peer', KEYS['carol'][1])
        for site in SITES:
            DAEMONS[site].wireguard(peer_key=KEYS['carol'][1] if site is BOB else None)
            DAEMONS[site].start()
        try:
            until(lambda: DAEMONS[ALICE].said('the peer does not have the preshared key'),
                  'alice says it', 60)
            until(lambda: DAEMONS[BOB].said("the peer's preshared key is not installed"), 'bob, too')
        finally:
            for site in SITES:
                DAEMONS[site].stop()
                os.remove(DAEMONS[site].log)
        equal('key_id' in shown(ALICE), False, 'alice has a key')
        equal(passes(), False)


def test_link_gone():
    """the link is deleted: the peer blocks; with another one, qkdd begins again"""
    with devices(), daemons():
        link_anew()
        until(lambda: passes() and confirmed(), 'a confirmed key', 60)
        for site in SITES:
            DAEMONS[site].stop()
        for site in SITES:
            site.client.do('link-del', name='qkd0')
        until(lambda: not any(shown(site) for site in SITES), 'the peers are let go')
        equal(in_wireguard(ALICE) == in_wireguard(BOB), False, 'the keys')
        equal(passes(), False, 'it passes without a link')
    links_up()


def test_max_time():
    """max-time is over and there is no other key: the peer blocks, says why, and can come back"""
    with devices():
        listener = ALICE.listen()
        ident = by_hand(**{'max-time': f'{15 * PATIENCE}s'})
        until(lambda: passes() and confirmed(), 'a handshake')
        until(lambda: all(shown(site)['state'] == 'blocked' for site in SITES), 'both block')
        equal(shown(ALICE)['message'], 'its time is over')
        equal(in_wireguard(ALICE) in (in_wireguard(BOB), expected(ident)), False, 'an unknown key')
        equal(passes(), False, 'it passes')
        kinds = [event['type'] for event in listener.events() if event['type'].startswith('wg-')]
        listener.close()
        equal(kinds, ['wg-new', 'wg-held', 'wg-installed', 'wg-confirmed', 'wg-blocked'], 'events')
        by_hand(**{'max-time': '1h'})
        until(lambda: passes() and confirmed(), 'a handshake')


def test_namespace_goes():
    """a namespace is deleted with a peer and a held key; what is left lets the module go"""
    for site in SITES:
        device_up(site)
    by_hand()
    set_key(ALICE, 'hold')
    ALICE.client.close()
    ALICE.client = None
    command('ip', 'netns', 'del', 'alice')
    until(lambda: 'vb' not in BOB.ip('-o', 'link', 'show'), "the veth's other end goes")
    device_down(BOB)


def make_keys(keys, names):
    """For each of them, private and public."""
    os.makedirs('/run/qkd', exist_ok=True)
    for name in names:
        private = command('wg', 'genkey').strip()
        path = '/run/qkd/wg.key'
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w',
                  encoding='ascii') as file:
            file.write(private)
        keys[name] = (private, command('sh', '-c', f'wg pubkey <{path}').strip())
        os.remove(path)


def run_between_sites(tests):
    try:
        set_up()
        wire_up()
        for end in SITES:
            end.ip('addr', 'add', f'10.7.0.{end.number}/24', 'dev', end.device)
        run(tests)
    finally:
        tear_down()


if __name__ == '__main__':
    make_keys(KEYS, (*SITES, 'carol'))
    run_between_sites([test_by_hand, test_secrets, test_refused, test_rotation, test_restart,
                       test_device_goes, test_device_moves, test_moves_while_let_go,
                       test_wrong_peer, test_link_gone, test_max_time, test_suspend,
                       test_namespace_goes])
