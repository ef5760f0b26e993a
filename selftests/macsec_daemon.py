# SPDX-License-Identifier: GPL-2.0-only
"""A qkdd at each end of macsec_lib, over a wire of its own.

  namespace alice                                    namespace bob
  qkdd 10.8.0.1 --- ca ======== wire ======== cb --- 10.8.0.2 qkdd
"""
import contextlib
import os
import subprocess

import qkdd_daemon
from macsec_lib import ALICE, SITES, Stream, run, until
from ktap import equal

PSK = '/run/qkd/macsec.psk'
FEED_SEED = '/run/qkd/macsec.seed'
MANAGEMENT = {'alice': ('ca', '10.8.0.1'), 'bob': ('cb', '10.8.0.2')}


def wire_up():
    run('ip', 'link', 'add', 'name', 'ca', 'netns', 'alice', 'type', 'veth', 'peer', 'name', 'cb',
        'netns', 'bob')
    for site in SITES:
        device, address = MANAGEMENT[site.name]
        site.ip('addr', 'add', f'{address}/24', 'dev', device)
        site.ip('link', 'set', device, 'up')
    os.makedirs('/run/qkd', exist_ok=True)
    with open(os.open(PSK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w',
              encoding='ascii') as file:
        file.write(os.urandom(32).hex())
    with open(FEED_SEED, 'wb') as file:
        file.write(os.urandom(32))


class Daemon(qkdd_daemon.Daemon):
    """On the CPU that streams are sent by: see "One frame" of howto-fronthaul.md."""

    def __init__(self, site):
        super().__init__(site, ('taskset', '-c', '0'))

    def configure(self, timeout='3s', **macsec):
        device, address = MANAGEMENT[self.site.name]
        peer = self.site.peer.name
        lines = ['[local]', f'name = {self.site.name}', f'listen = {address}:7676',
                 f'[peer {peer}]', f'psk = {PSK}', f'timeout = {timeout}']
        if self.site is ALICE:
            lines.append(f'connect = {MANAGEMENT[peer][1]}:7676')
        self.write_macsec(lines, peer, macsec)

    def configure_for(self, pki, name, peer, **macsec):
        """With certificates, for a peer that connects."""
        lines = ['[local]', f'name = {name}', f'certificate = {pki}.pem', f'key = {pki}.key',
                 f'ca = {os.path.dirname(pki)}/ca.pem',
                 f'listen = {MANAGEMENT[self.site.name][1]}:7676', f'[peer {peer}]']
        self.write_macsec(lines, peer, macsec)

    def write_macsec(self, lines, peer, macsec):
        lines += ['[link qkd0]', f'peer = {peer}', '[macsec macsec0]', 'link = qkd0']
        lines += [f'{key.replace("_", "-")} = {value}' for key, value in macsec.items()]
        self.write(lines)


class Feed:
    """A supplier of the user link of a site."""

    def __init__(self, site):
        self.site, self.process = site, None

    def start(self, **limit):
        """limit: blocks and size, or none: as much as there is room for."""
        self.stop()
        words = [str(word) for pair in limit.items() for word in pair]
        self.process = subprocess.Popen(
            ['ip', 'netns', 'exec', self.site.name, 'tools/supplier', 'qkd0', FEED_SEED,
             'feed', *words], stdin=subprocess.DEVNULL)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


DAEMONS = {site: Daemon(site) for site in SITES}
FEEDS = [Feed(site) for site in SITES]


def link_of_users(**limit):
    """qkd0 anew, of type user, with a supplier at each end."""
    for site, feed in zip(SITES, FEEDS):
        feed.stop()
        site.qkd('link', 'del', 'qkd0', check=False)
        site.user_link()
        feed.start(**limit)


@contextlib.contextmanager
def flowing(**more):
    """Traffic in both directions, of which nothing is lost or late."""
    both = [Stream(site, **more) for site in SITES]
    for stream in both:
        stream.__enter__()
    try:
        yield both
    finally:
        for stream in both:
            stream.stop()
    for stream in both:
        equal(stream.problems(), (0, 0), f'{stream.site.name}: lost, late of {stream.sent}')
        equal(len(stream.numbers), stream.sent, f'{stream.site.name}: twice')


@contextlib.contextmanager
def daemons(suite, window=32, **macsec):
    """macsec0 and qkdd at both ends, until SAs are there in both directions."""
    try:
        for site in SITES:
            site.device_up(suite, channel=False, window=window)
            DAEMONS[site].configure(**macsec)
            DAEMONS[site].start()
        until(both_send, 'SAs in both directions', 60)
        yield
    except Exception:
        for site in SITES:
            for line in DAEMONS[site].lines()[-12:]:
                print(f'# {site.name}: {line}')
            for words in (('qkd', '-s', 'macsec', 'show'), ('ip', '-s', 'macsec', 'show')):
                print('# ' + site.exec(*words, check=False).rstrip().replace('\n', '\n# '))
        raise
    finally:
        for site in SITES:
            DAEMONS[site].stop()
            with contextlib.suppress(FileNotFoundError):
                os.remove(DAEMONS[site].log)
        for site in SITES:
            site.device_down()


def shown(site):
    """What the command shows of macsec0."""
    found = site.json('-s', 'macsec', 'show')
    return found[0] if found else {'sas': [], 'installed': 0}


def same(sa):
    return sa.get('macsec', {}).get('key') == 'same'


def current(site):
    """Key ID and AN that a site sends under, or None."""
    return next(((sa['key_id'], sa['an']) for sa in shown(site)['sas']
                 if sa['dir'] == 'tx' and same(sa) and sa['macsec'].get('encoding')), None)


def agreed(site):
    """The same, if the peer receives under it."""
    found = current(site)
    if found and any(sa['dir'] == 'rx' and same(sa) and (sa['key_id'], sa['an']) == found
                     for sa in shown(site.peer)['sas']):
        return found
    return None


def both_send():
    return all(agreed(site) for site in SITES)


class Rotations:
    """Key IDs of transmit SAs that the two sites install from here on. The one before
    the last was sent under."""

    def __init__(self):
        self.listeners = {site: site.listen() for site in SITES}
        self.ids = {site: [] for site in SITES}

    def close(self):
        for listener in self.listeners.values():
            listener.close()

    def count(self, site):
        """How many; reads what has been told."""
        for event in self.listeners[site].events():
            if event['type'] == 'macsec-sa-new' and event['dir'] == 'out':
                self.ids[site].append(event['key-id'])
        return len(self.ids[site])


def goes_on(seconds=60):
    """SAKs go on to rotate in both directions."""
    seen = Rotations()
    try:
        until(lambda: all(seen.count(site) >= 3 for site in SITES), 'rotations', seconds)
    finally:
        seen.close()
