# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_kme; run by ike_kme.sh."""
import base64
import concurrent.futures
import contextlib
import itertools
import os
import re
import subprocess
import sys
import threading

from ike_lib import (ALICE, BOB, CHARONS, Pinging, SITES, charons, connection, take_down, until,
                     wire_up)
from ktap import equal, run, scaled
from netns import PATIENCE
from process import memory_of, nowhere

DIR = '/tmp/qkd-kme'
TIMEOUT = 4000 * PATIENCE       # ms
SILENT = r'\w+ timed out|no answer in'
INNER = {'alice': '10.1.0.2', 'bob': '10.2.0.2'}


class Kme:
    """kme_server.py, which is the KME of both."""

    def __init__(self):
        server = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kme_server.py')
        subprocess.run([sys.executable, server, 'certificates', DIR, 'alice.sae', 'bob.sae'],
                       check=True)
        self.fault()
        self.process = subprocess.Popen(
            [sys.executable, server, 'serve', DIR, '--fault', f'{DIR}/fault', '--log',
             f'{DIR}/log', '--record', f'{DIR}/keys', '--address', 'alice@127.0.0.1:8443',
             '--address', 'bob@127.0.0.1:8443'], stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def fault(self, text=''):
        with open(f'{DIR}/fault', 'w', encoding='ascii') as file:
            file.write(text)

    def answered(self, call):
        """How often it gave a key."""
        with open(f'{DIR}/log', encoding='ascii') as file:
            return sum(f'/{call} 200' in line for line in file)

    def keys(self):
        with open(f'{DIR}/keys', encoding='ascii') as file:
            return [bytes.fromhex(line.split()[1]) for line in file]

    def stop(self):
        self.process.kill()
        self.process.wait()


def settings():
    """Of the plugin; each end uses the KME of its name."""
    return {'kme': {site.name: {
        'url': 'https://127.0.0.1:8443', 'sae': f'{site.peer.name}.sae', 'ca': f'{DIR}/ca.pem',
        'cert': f'{DIR}/{site.name}.sae.pem', 'key': f'{DIR}/{site.name}.sae.key',
        'certificate_name': 'kme.example', 'timeout': TIMEOUT} for site in SITES}}


def connections(site):
    """With PPKs of the KME, and another one."""
    inner = {'local_ts': INNER[site.name] + '/32', 'remote_ts': INNER[site.peer.name] + '/32'}
    made = {'kme': connection(site, {'kme': inner}, ppk_id=f'qkd:{site.name}'),
            'other': connection(site, {'other': {'rekey_time': 0}}, rekey_time=0)}
    for name, values in made.items():
        values['local']['id'] = f'{name}.{site.name}'
        values['remote']['id'] = f'{name}.{site.peer.name}'
    return made


class Other:
    """The other tunnel: packets all the time, and one rekeying after another. When
    charon 6.0.1 rekeys an IKE_SA and its CHILD_SA at once, now and then the CHILD_SA is
    lost, or charon itself."""

    def __init__(self):
        alice.initiate('other')
        self.over = threading.Event()
        self.ping = Pinging(0.2, '10.1.0.1', '10.2.0.1')
        self.thread = threading.Thread(target=self.rekey)
        self.thread.start()

    def rekey(self):
        for what in itertools.cycle(('--child', '--child', '--ike')):
            if self.over.wait(3 * PATIENCE):
                return
            alice.swanctl('--rekey', what, 'other', check=False)

    def stop(self):
        """Packets that were sent; none was lost."""
        with self.ping:
            self.over.set()
            self.thread.join()
        return self.ping.sent


def ping():
    ALICE.exec('ping', '-q', '-c', 3, '-i', '0.2', '-W', 5, '-I', INNER['alice'], INNER['bob'])


def set_up():
    alice.initiate('kme')
    ping()
    alice.swanctl('--terminate', '--ike', 'kme', '--timeout', 20)


def works():
    return 'completed successfully' in alice.initiate('kme', check=False)


def refusals(charon):
    """What it said of the KME, beside the standard."""
    return [line for line in charon.said('QKD KME') if 'deviates from the standard' not in line]


def test_set_ups():
    """each IKE_SA spends one key, once at each end"""
    count = scaled(100)
    for _ in range(count):
        set_up()
    for call in ('enc_keys', 'dec_keys'):
        equal(kme.answered(call), count, call)
    equal(refusals(alice) + refusals(bob), [], 'refusals')
    return f'{count} keys'


def test_secrets():
    """none of these keys is in the most talkative log or in memory, dumped or not"""
    keys = kme.keys()
    for charon in (alice, bob):
        log, memory = charon.log(), memory_of(charon.pid)
        nowhere(keys, charon.pid, log)
        if b'qkd:' + charon.site.name.encode() not in memory:
            raise AssertionError('its configuration is not found either')
        for key in keys:
            text = base64.b64encode(key)[:20]
            if text in memory or text.decode() in log:
                raise AssertionError(f'Base64 of a key at {charon.site.name}')
    return f'{len(keys)} keys'


def fault(what, charon, text, words):
    """A test: no IKE_SA, in time, and this charon says why in one line; and when it is
    over all is well."""
    def test():
        for each in (alice, bob):
            each.forget()
        kme.fault(words)
        try:
            alice.fails('kme', 20 * PATIENCE)
        finally:
            kme.fault()
        lines = refusals(CHARONS[charon])
        if len(lines) != 1 or not re.search(text, lines[0]):
            raise AssertionError(lines)
        equal([sa for sa in alice.established() if sa['name'] == 'kme'], [], 'IKE_SAs')
        equal(refusals(CHARONS[charon.peer]), [], 'what the other end said')
        until(works, 'it works again')
        ping()
        alice.swanctl('--terminate', '--ike', 'kme', '--timeout', 20)
    test.__doc__ = what
    return test


def test_many():
    """many at once with a KME that hangs: some wait, the others fail at once"""
    alice.forget()
    kme.fault('enc_keys hang')
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: alice.fails('kme', 60 * PATIENCE), range(8)))
    finally:
        kme.fault()
    lines = refusals(alice)
    known = re.compile('no key: (as many threads as may wait|not asked again yet|' + SILENT + ')')
    if len(lines) != 8 or not all(map(known.search, lines)):
        raise AssertionError(lines)
    until(works, 'it works again')


def test_other():
    """the other tunnel went on all the time, rekeyed and lost nothing"""
    sent = other.stop()
    with open(f'{alice.dir}/log', encoding='utf-8') as file:
        text = file.read()
    children = len(re.findall(r'CHILD_SA other.*established', text))
    ikes = len(re.findall(r'IKE_SA other.*rekeyed', text))
    if children < 5 or ikes < 3:
        raise AssertionError(f'{children} CHILD_SAs, {ikes} IKE_SAs')
    return f'{sent} packets, {children} CHILD_SAs, {ikes} IKE_SAs'


TESTS = [
    test_set_ups, test_secrets,
    fault('KME has no key: 503', ALICE, 'HTTP 503: none left', 'enc_keys 503 none left'),
    fault('KME refuses us: 401', ALICE, 'HTTP 401', 'enc_keys 401'),
    fault('KME is broken: 500', ALICE, 'HTTP 500', 'enc_keys 500'),
    fault('KME hangs', ALICE, SILENT, 'enc_keys hang'),
    fault('KME closes', ALICE, 'unexpected eof', 'enc_keys reset'),
    fault('KME answers malformed JSON', ALICE, 'malformed JSON', 'enc_keys malformed'),
    fault('KME gives a key of another size', ALICE, 'has 128 bits', 'enc_keys short'),
    fault('KME gives the same key again', ALICE, 'before', 'enc_keys repeat'),
    fault('the peer\'s KME has no key: 503', BOB, 'HTTP 503', 'dec_keys 503'),
    fault('the peer\'s KME refuses it: 401', BOB, 'HTTP 401', 'dec_keys 401'),
    fault('the peer\'s KME hangs', BOB, SILENT, 'dec_keys hang'),
    fault('the peer\'s KME answers malformed JSON', BOB, 'malformed JSON', 'dec_keys garbage'),
    fault('the peer\'s KME gives a key of another size', BOB, 'has 264 bits', 'dec_keys long'),
    fault('the peer\'s KME gives another key', BOB, 'was not asked for', 'dec_keys other-id'),
    test_many, test_other,
]

if __name__ == '__main__':
    with contextlib.ExitStack() as stack:
        stack.callback(take_down)
        wire_up()
        for end in SITES:
            end.ip('addr', 'add', f'{INNER[end.name]}/32', 'dev', 'lo')
        kme = Kme()
        stack.callback(kme.stop)
        alice, bob = stack.enter_context(charons(
            connections, qkd=settings(), charon={'dos_protection': 'no'}, level=4))
        other = Other()
        stack.callback(other.over.set)
        run(TESTS)
