# SPDX-License-Identifier: GPL-2.0-only
"""A stock charon at each end of macsec_lib's wire, with our plugin or without.

  namespace alice                                    namespace bob
  charon 10.9.0.1 -- va ======== wire ======== vb -- charon 10.9.0.2
  lo 10.1.0.1                                        lo 10.2.0.1
  qkd0 ------------- one seed, two single ends ------------- qkd0

Connections are dictionaries as swanctl.conf has them. As the ends share a seed, the
reference computes every key.
"""
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
import uuid

import macsec_lib
from macsec_lib import ALICE, BOB, SITES, run, until
from netns import PATIENCE
from ktap import equal
import ike
import link as links

DIR = '/tmp/qkd-ike'           # charons have a /run of their own
INNER = {'alice': '10.1.0.1', 'bob': '10.2.0.1'}
FQDN = 2                        # type of an identity, RFC 7296, 3.5
PSK = 'no key of QKD is in this one'
BASIC = ('random', 'nonce', 'openssl', 'kernel-netlink', 'socket-default', 'vici')
PROPOSAL = 'aes256-sha256-x25519'


def settings(values, indent=''):
    """A section of swanctl.conf or strongswan.conf."""
    out = ''
    for key, value in values.items():
        if isinstance(value, dict):
            out += f'{indent}{key} {{\n{settings(value, indent + "  ")}{indent}}}\n'
        else:
            out += f'{indent}{key} = {value}\n'
    return out


def connection(site, children=None, **more):
    """Between the sites, with pre-shared keys; `more` as in swanctl.conf."""
    peer = site.peer
    return {'version': 2, 'local_addrs': site.address, 'remote_addrs': peer.address,
            'proposals': PROPOSAL, 'unique': 'never', **more,
            'local': {'auth': 'psk', 'id': f'{site.name}.example'},
            'remote': {'auth': 'psk', 'id': f'{peer.name}.example'},
            'children': {name: {'local_ts': f'{INNER[site.name]}/32',
                                'remote_ts': f'{INNER[peer.name]}/32',
                                'esp_proposals': 'aes256gcm16', **child}
                         for name, child in (children or {'net': {}}).items()}}


def parsed(text):
    """What swanctl --raw prints: name {key=value [list] name {...}}."""
    words = re.findall(r'[{}]|\[[^]]*\]|[^\s{}]+', text)
    at = 0

    def section():
        nonlocal at
        out = {}
        while at < len(words) and words[at] != '}':
            word = words[at]
            at += 1
            if at < len(words) and words[at] == '{':
                at += 1
                out[word] = section()
                at += 1
            elif '=' in word:
                key, value = word.split('=', 1)
                if not value and at < len(words) and words[at].startswith('['):
                    value = words[at].strip('[]').split()
                    at += 1
                out[key] = value
        return out
    return section()


class Charon:
    """At a site."""

    def __init__(self, site):
        self.site, self.process = site, None
        self.dir = f'{DIR}/{site.name}'
        self.uri = f'unix://{self.dir}/run/charon.vici'
        self.logged = 0

    def configure(self, connections, plugin=True, secrets=None, level=1, charon=None, qkd=None,
                  stock=False):
        """`secrets`: sections besides the PSK; `charon` and `qkd`: settings; `stock`: the
        plugins and settings that Debian and we install, with these in addition."""
        os.makedirs(f'{self.dir}/run', exist_ok=True)
        load = {'load': ' '.join(BASIC + (('qkd',) if plugin else ()))}
        own = {'load': 'yes' if plugin else 'no'}
        base = {**({} if stock else load), 'reuse_ikesa': 'no',
                'filelog': {'log': {'path': f'{self.dir}/log', 'default': level,
                                    'flush_line': 'yes', 'time_format': '%s',
                                    'time_precision': 'ms'}},
                'plugins': {'vici': {'socket': self.uri}, 'qkd': {**own, **(qkd or {})}},
                **(charon or {})}
        self.write('strongswan.conf', {'swanctl': {'load': 'random openssl'}, 'charon': base},
                   'include /etc/strongswan.conf\n' if stock else '')
        self.load_with(connections, secrets)

    def load_with(self, connections, secrets=None):
        self.write('swanctl.conf', {'connections': connections, 'secrets': {
            'ike-1': {'secret': f'"{PSK}"'}, **(secrets or {})}})

    def write(self, name, values, before=''):
        with open(f'{self.dir}/{name}', 'w', encoding='ascii') as file:
            file.write(before + settings(values))

    def start(self, starter=''):
        self.process = subprocess.Popen(
            ['ip', 'netns', 'exec', self.site.name, 'sh', '-c',
             f'mount --bind {self.dir}/run /run && exec {starter} /usr/sbin/charon-systemd'],
            env={**os.environ, 'STRONGSWAN_CONF': f'{self.dir}/strongswan.conf'},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.answers(), f'charon of {self.site.name}', 60)
        self.load()

    def answers(self):
        return 'uptime' in self.swanctl('--stats', check=False)

    def stop(self, how=signal.SIGTERM):
        """Its exit status, None if it did not run."""
        status = None
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(how)
            status = self.process.wait(30 * PATIENCE)
            self.process = None
            with contextlib.suppress(FileNotFoundError):
                os.remove(f'{self.dir}/run/charon.vici')
        return status

    def swanctl_words(self, *words):
        return ['env', f'STRONGSWAN_CONF={self.dir}/strongswan.conf', f'SWANCTL_DIR={self.dir}',
                'swanctl', *map(str, words), '--uri', self.uri]

    def swanctl(self, *words, check=True):
        return run(*self.swanctl_words(*words), check=check)

    def load(self):
        self.swanctl('--load-all')

    def initiate(self, child='net', check=True, seconds=60):
        return self.swanctl('--initiate', '--child', child, '--timeout', seconds, check=check)

    def fails(self, child='net', seconds=60):
        """Setting up fails; within that time."""
        start = time.monotonic()
        said = self.initiate(child, check=False, seconds=seconds)
        if 'completed successfully' in said:
            raise AssertionError(f'{child} was set up')
        if time.monotonic() - start >= seconds:
            raise AssertionError(f'{child} did not fail in {seconds} s')

    def sas(self):
        """The IKE_SAs: [{..., 'children': [{...}]}]."""
        found = []
        for line in self.swanctl('--list-sas', '--raw').splitlines():
            for event in parsed(line).values():
                for name, sa in event.items():
                    found.append({'name': name, **sa,
                                  'children': list(sa.get('child-sas', {}).values())})
        return found

    def child_sas(self):
        return [child for sa in self.established() for child in sa['children']]

    def established(self):
        return [sa for sa in self.sas() if sa['state'] == 'ESTABLISHED']

    def terminate(self):
        """All IKE_SAs of this end, and those of the peer's with them."""
        for name in {sa['name'] for sa in self.sas()}:
            self.swanctl('--terminate', '--ike', name, '--timeout', 20, check=False)
        until(lambda: not self.sas(), f'{self.site.name} has no IKE_SAs', 60)

    def log(self):
        """All of it since it was last forgotten."""
        with open(f'{self.dir}/log', encoding='utf-8', errors='replace') as file:
            file.seek(self.logged)
            return file.read()

    def forget(self):
        self.logged = os.path.getsize(f'{self.dir}/log')

    def said(self, text):
        return [line for line in self.log().splitlines() if text in line]

    @property
    def pid(self):
        """Of charon itself, which its starters became."""
        return self.process.pid


CHARONS = {site: Charon(site) for site in SITES}


def wire_up(export=('control',)):
    """The sites, their addresses and the link."""
    macsec_lib.set_up(link=False)
    for site in SITES:
        site.ip('addr', 'add', f'{site.address}/24', 'dev', site.device)
        site.ip('addr', 'add', f'{INNER[site.name]}/32', 'dev', 'lo')
        site.ip('link', 'set', 'lo', 'up')
    macsec_lib.links_up(export=list(export))


def take_down():
    for site in SITES:
        with contextlib.suppress(subprocess.TimeoutExpired):
            CHARONS[site].stop(signal.SIGKILL)
    macsec_lib.tear_down()


@contextlib.contextmanager
def charons(connections=None, plugins=(True, True), **more):
    """Both, with what `connections(site)` gives for each; alice's and bob's."""
    try:
        for site, plugin in zip(SITES, plugins):
            made = connections(site) if connections else {'site': connection(site)}
            CHARONS[site].configure(made, plugin=plugin, **more)
            CHARONS[site].start()
            CHARONS[site].forget()
        yield CHARONS[ALICE], CHARONS[BOB]
    finally:
        for site in SITES:
            CHARONS[site].stop()


def taken():
    """Bytes of the four ends of the key streams that are spent: alice's tx and bob's
    rx of one, bob's tx and alice's rx of the other."""
    return {(site.name, stream): site.taken(stream)
            for site in SITES for stream in ('a2b-key', 'b2a-key')}


def spent(before):
    """Keys since then: those of alice and those of bob. Both ends must agree."""
    now = taken()
    keys = {}
    for stream in ('a2b-key', 'b2a-key'):
        counts = {site.name: (now[site.name, stream] - before[site.name, stream]) / links.UNIT
                  for site in SITES}
        if len(set(counts.values())) != 1:
            raise AssertionError(f'{stream}: the ends took {counts} keys')
        keys[stream] = counts['alice']
    return int(keys['a2b-key']), int(keys['b2a-key'])


def ppk_ids(log, what='sending'):
    """IDs of PPKs in a log, in order."""
    return re.findall(rf"{what} PPK_ID '([0-9a-f-]{{36}})'", log)


def ke_ids(log):
    """(initiator's, responder's) IDs of key exchanges in a log."""
    return re.findall(r"of QKD keys '([0-9a-f-]{36})' and '([0-9a-f-]{36})'", log)


def ppk_of(ident, initiator=ALICE):
    return ike.ppk(macsec_lib.generation(), ident, f'{initiator.name}.example'.encode(), FQDN)


def ke_keys(pair, method='qkd'):
    """(initiator's, responder's) keys of an exchange."""
    return [ike.ke_key(macsec_lib.generation(), ident, method) for ident in pair]


def secret_of_qkd(pair):
    values = [uuid.UUID(ident).bytes for ident in pair]
    keys = ke_keys(pair)
    return ike.secret('qkd', values[0], keys[0], values[1], keys[1])


@contextlib.contextmanager
def impair(*words, sites=SITES):
    """netem's words for what leaves these sites, as in impair('delay', '25ms')."""
    for site in sites:
        site.exec('tc', 'qdisc', 'add', 'dev', site.device, 'root', 'netem', *words)
    try:
        yield
    finally:
        for site in sites:
            site.exec('tc', 'qdisc', 'del', 'dev', site.device, 'root')


def counted(said):
    """(sent, received) as ping says."""
    return map(int, re.search(r'(\d+) packets transmitted, (\d+) received', said).groups())


def ping(site=ALICE, count=3):
    """Packets lost through the tunnel."""
    sent, came = counted(site.exec('ping', '-q', '-i', '0.2', '-c', count, '-W', 5, '-I',
                                   INNER[site.name], INNER[site.peer.name], check=False))
    return sent - came


class Pinging:
    """A ping through a tunnel that must lose nothing; then `sent` says of how many.

    An answer that is still on its way at the end is not lost: what a later answer has
    overtaken is.
    """

    def __init__(self, interval=0.05, source=INNER['alice'], to=INNER['bob']):
        self.output = tempfile.TemporaryFile('w+', encoding='ascii')
        self.process = subprocess.Popen(
            ['ip', 'netns', 'exec', 'alice', 'ping', '-n', '-i', str(interval), '-I', source, to],
            stdin=subprocess.DEVNULL, stdout=self.output)
        self.sent = 0

    def answered(self):
        """The numbers of those that were answered."""
        self.output.seek(0)
        return [int(number) for number in re.findall(r'bytes from .*icmp_seq=(\d+) ',
                                                     self.output.read())]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            last = max(self.answered(), default=0)
            until(lambda: max(self.answered(), default=0) > last + 1, 'the tunnel answers', 10)
        finally:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=10)
            came = self.answered()
            self.output.close()
        self.sent = max(came)
        equal(sorted(set(range(1, self.sent)) - set(came)), [], f'lost, of {self.sent}')
