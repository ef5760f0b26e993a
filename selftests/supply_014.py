# SPDX-License-Identifier: GPL-2.0-only
"""The selftest supply_014; run by supply_014.sh."""
import base64
import os
import shutil
import signal
import subprocess
import sys
import time

import kme_lib
from supply_lib import (ALICE, BOB, ENDS, fed, pings, problems, take_down, tell, tunnel_down,
                        tunnel_up, until, wire_up)
from ktap import SCALE, equal, run, scaled
from process import memory_of

DIR = '/tmp/supply-kme'


class Kme:
    """kme_server.py, at both ends: their KMEs share keys."""

    def __init__(self):
        self.server = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'kme_server.py')
        subprocess.run([sys.executable, self.server, 'certificates', DIR, 'alice.sae', 'bob.sae',
                        'other.sae'], check=True)
        self.process = None
        self.fault()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, self.server, 'serve', DIR, '--fault', f'{DIR}/fault', '--log',
             f'{DIR}/log', '--record', f'{DIR}/keys', '--most', '20', '--address',
             'alice@127.0.0.1:8443', '--address', 'bob@127.0.0.1:8443'],
            stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def fault(self, text=''):
        with open(f'{DIR}/fault', 'w', encoding='ascii') as file:
            file.write(text)

    def answers(self, text):
        with open(f'{DIR}/log', encoding='ascii') as file:
            return sum(text in line for line in file)

    def keys(self):
        with open(f'{DIR}/keys', encoding='ascii') as file:
            return [bytes.fromhex(line.split()[1]) for line in file]


def section(end, **more):
    """Lines of [kme k]."""
    values = {'type': 'etsi014', 'url': 'https://127.0.0.1:8443', 'ca': f'{DIR}/ca.pem',
              'certificate': f'{DIR}/{end.name}.sae.pem', 'key': f'{DIR}/{end.name}.sae.key',
              'certificate-name': 'kme.example', 'sae': f'{end.name}.sae',
              'peer-sae': f'{end.peer.name}.sae', 'batch': 33, 'timeout': '3s', **more}
    return [f'{key} = {value}' for key, value in values.items()]


def says(end, *texts):
    """All of them, in new lines of its log."""
    new = '\n'.join(end.daemon.new())
    return all(text in new for text in texts)


def mark():
    for end in ENDS:
        end.daemon.mark()


def whole():
    """At rest both ends have the same, and no packet was ever opened with other bytes."""
    fed()
    equal(problems(), [], 'the accounts')
    equal([end.refused() for end in ENDS], [{}, {}], 'packets refused')


def mismatches():
    return [end.json('-s', 'link', 'show', 'qkd0')[0]['refused'].get('mismatch', 0)
            for end in ENDS]


def test_fed():
    """both ends are fed from their KMEs, key and pad, up to twice the low marks"""
    for end in ENDS:
        end.link_up()
        end.configure(section(end))
        end.daemon.start()
    fed()
    asked = kme.answers('enc_keys 200')
    time.sleep(1)
    equal(kme.answers('enc_keys 200'), asked, 'requests when nothing is due')
    equal(kme.answers('enc_keys 200'), kme.answers('dec_keys 200'), 'requests of both ends')
    equal(problems(), [], 'the accounts')
    return f'{asked} blocks'


def test_traffic():
    """packets pass under the one-time pad, over key that came through REST"""
    tunnel_up()
    for _ in range(scaled(10, 1)):
        equal(pings(20), 20, 'answers, to what a pad at its low mark has for')
        fed()
    whole()


def test_key():
    """a key that one end reads the other claims"""
    for end in ENDS:
        name = f'/run/qkd/key.{end.name}'
        ident = end.qkd('key', 'read', 'dev', 'qkd0', 'size', 48, 'to', name).split()[0]
        end.peer.qkd('key', 'claim', 'dev', 'qkd0', 'id', ident, 'size', 48, 'to', name + '.peer')
        with open(name, 'rb') as one, open(name + '.peer', 'rb') as other:
            equal(one.read(), other.read(), 'the key')
        os.remove(name)
        os.remove(name + '.peer')


def test_secrets():
    """no key is in the daemons' memory or logs, in bytes, hex or Base64"""
    keys = kme.keys()
    keys = keys[:8] + keys[-8:]
    for end in ENDS:
        memory = memory_of(end.daemon.process.pid)
        if b'peer-sae' not in memory and f'{end.peer.name}.sae'.encode() not in memory:
            raise AssertionError('its configuration is not found either')
        log = '\n'.join(end.daemon.lines()).encode()
        for key in keys:
            for form in (key[:16], key[16:], key.hex().encode()[:32],
                         base64.b64encode(key)[:20]):
                if form in memory or form in log:
                    raise AssertionError(f'a key at {end.name}')
    return f'{len(keys)} keys'


def fault(what, end, words, text):
    """A test: while the KME at that end does this, no key comes for what alice sends; that end
    says why; and when it is over key comes again, the same at both ends."""
    def test():
        before = mismatches()
        mark()
        kme.fault(f'@{end.name}.sae {words}')
        try:
            ALICE.drain()
            until(lambda: says(end, text), f'"{text}"')
            ALICE.drain()
            usable = ALICE.usable(ALICE.key_stream)
            time.sleep(0.3)
            equal(ALICE.usable(ALICE.key_stream), usable, 'usable bytes')
        finally:
            kme.fault()
        until(lambda: ALICE.left() > 4, 'key comes again', 90)
        equal(mismatches(), before, 'mismatches')
        for one in ENDS:
            if len([line for line in one.daemon.new() if text in line]) > 2:
                raise AssertionError(f'{one.name} repeats itself')
    test.__doc__ = what
    return test


def test_deviations():
    """what a KME does beside the standard, and harmless, is logged once"""
    mark()
    kme.fault('keys')
    asked = kme.answers('enc_keys 200')
    ALICE.drain()
    until(lambda: kme.answers('enc_keys 200') > asked + 4, 'keys come')
    kme.fault('member')
    ALICE.drain()
    until(lambda: kme.answers('enc_keys 200') > asked + 8, 'keys come')
    kme.fault()
    fed()
    for end in ENDS:
        for text in ('"Keys" for "keys"', 'members that it does not name'):
            equal(end.daemon.said(text), 1, f'{text} at {end.name}')


def test_blocks():
    """both KMEs are killed: traffic goes on, blocks, and resumes when they are back"""
    mark()
    kme.stop()
    lost = False
    for _ in range(20):
        lost = lost or pings(10) == 0
    if not lost:
        raise AssertionError('packets pass without key')
    until(lambda: says(ALICE, 'KME k does not give keys'), 'alice says why')
    kme.start()
    until(lambda: pings(3) == 3, 'traffic resumes', 90)
    until(lambda: says(ALICE, 'gives keys again, after'), 'alice says so')
    whole()


def test_slow():
    """a slow KME is waited for"""
    kme.fault('slow 700')
    usable = ALICE.usable(ALICE.key_stream)
    ALICE.drain()
    until(lambda: ALICE.usable(ALICE.key_stream) > usable, 'key comes')
    kme.fault()
    whole()


def test_other_bytes():
    """KMEs that give different bytes: none is usable, and three blocks end the generation"""
    mark()
    ALICE.drain()
    kme.fault('@bob.sae dec_keys differ')
    until(lambda: all(end.link()['state'] == 'down' for end in ENDS), 'the link is down')
    equal([end.link()['reason'] for end in ENDS], ['mismatch'] * 2, 'why')
    for end in ENDS:
        if not says(end, 'the ends hold a2b-', 'differently: given up'):
            raise AssertionError('no alarm')
    time.sleep(1)
    equal([end.link()['state'] for end in ENDS], ['down'] * 2, 'states')
    equal(pings(2), 0, 'packets without key')
    kme.fault()
    for end in ENDS:
        end.qkd('link', 'set', 'qkd0', 'up')
    fed()
    equal(pings(5), 5, 'answers in the next generation')
    whole()


def drain_until_waits():
    """Alice has no key, and a KME that is slow was asked."""
    waits = kme.answers(' waits')
    ALICE.drain()
    until(lambda: kme.answers(' waits') > waits, 'the KME is asked')


def killed(what, end, words):
    """A test: that end's daemon is killed while a KME is slow with this."""
    def test():
        mark()
        kme.fault(f'{words} slow 600')
        asked = kme.answers('200')
        drain_until_waits()
        end.daemon.stop(signal.SIGKILL)
        kme.fault()
        until(lambda: kme.answers('200') > asked or words.startswith('@alice'), 'the answer')
        end.daemon.start()
        whole()
        equal(pings(3), 3, 'answers')
    test.__doc__ = what
    return test


def test_unknown_fate():
    """alice's daemon dies when bob has written: both give the block up, and go on"""
    fed()       # no block of pad is due, which could come first
    mark()
    lost = [end.stats()[ALICE.key_stream].get('lost', 0) for end in ENDS]
    kme.fault('@bob.sae dec_keys slow 1500')    # alice's daemon has to be stopped by then
    drain_until_waits()
    supplied = BOB.stats()[ALICE.key_stream]['supplied']
    ALICE.daemon.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: BOB.stats()[ALICE.key_stream]['supplied'] > supplied, 'bob has written')
    finally:
        ALICE.daemon.stop(signal.SIGKILL)
        kme.fault()
        ALICE.daemon.start()
    until(lambda: says(ALICE, 'is given up: only the peer has it'), 'alice follows')
    whole()
    now = [end.stats()[ALICE.key_stream]['lost'] for end in ENDS]
    equal(now[0] - lost[0], now[1] - lost[1], 'bytes lost')
    if now[0] == lost[0]:
        raise AssertionError('nothing was lost: the test has missed its moment')
    return f'{now[0] - lost[0]} bytes lost at both ends'


def test_cut():
    """the cable is cut while bob gets the keys, and mended"""
    mark()
    kme.fault('@bob.sae dec_keys slow 600')
    drain_until_waits()
    ALICE.ip('link', 'set', 'va', 'down')
    until(lambda: all(says(end, 'connection closed: silent') for end in ENDS), 'both notice')
    kme.fault()
    ALICE.ip('link', 'set', 'va', 'up')
    ALICE.ip('route', 'replace', f'{BOB.inner}/32', 'via', BOB.address, 'src', ALICE.inner)
    whole()
    until(lambda: pings(3) == 3, 'traffic resumes')


def test_certificate():
    """other certificates count when the files change, and when SIGHUP says so"""
    for name in ('pem', 'key'):
        shutil.copy(f'{DIR}/alice.sae.{name}', f'{DIR}/kept.{name}')
    mark()
    try:
        for name in ('pem', 'key'):
            shutil.copy(f'{DIR}/other.sae.{name}', f'{DIR}/alice.sae.{name}')
        ALICE.drain()
        until(lambda: says(ALICE, 'it takes us for the SAE other.sae, not alice.sae'), 'new ones')
    finally:
        for name in ('pem', 'key'):
            shutil.copy(f'{DIR}/kept.{name}', f'{DIR}/alice.sae.{name}')
    asked = kme.answers('alice.sae GET')
    ALICE.daemon.reload()
    until(lambda: says(ALICE, 'read again', 'gives keys again'), 'the old ones', 60)
    if kme.answers('alice.sae GET') == asked:
        raise AssertionError('the status was not asked again')
    fed()


def test_extensions():
    """extensions reach the KME, which refuses a mandatory one that it does not know"""
    mark()
    ALICE.configure(section(ALICE, **{'extension-mandatory': '[{"abc_route": "direct"}]'}))
    ALICE.daemon.reload()
    until(lambda: says(ALICE, 'read again'), 'the daemon reads it')
    ALICE.drain()
    until(lambda: says(ALICE, 'not all extension_mandatory parameters are supported'), 'why')
    ALICE.configure(section(ALICE, **{'extension-optional': '[{"abc_route": "direct"}]'}))
    ALICE.daemon.reload()
    fed()


def test_not_configured():
    """a peer without a supplier: no key is spent on it"""
    mark()
    BOB.configure()
    BOB.daemon.reload()
    until(lambda: says(BOB, 'read again'), 'the daemon reads it')
    ALICE.drain()
    until(lambda: says(ALICE, 'the peer does not take keys of KME k'), 'alice says why')
    until(lambda: says(BOB, 'this end has no "supply"'), 'bob says why')
    asked = kme.answers('alice.sae POST /api/v1/keys/bob.sae/enc_keys 200')
    time.sleep(2)
    equal(kme.answers('alice.sae POST /api/v1/keys/bob.sae/enc_keys 200'), asked, 'keys')
    BOB.configure(section(BOB))
    BOB.daemon.reload()
    whole()


def test_told():
    """SIGUSR1: the state of the supply in one line"""
    mark()
    ALICE.daemon.process.send_signal(signal.SIGUSR1)
    until(lambda: says(ALICE, 'qkd0: supply by KME k: nothing is due; blocks written: a2b-pad '),
          'the line')


def test_real():
    """two qkd-kme in front of other links of this kernel feed it as well"""
    kme.stop()
    kme_lib.certificates()
    ALICE.qkd('link', 'add', 'kma0', 'type', 'emu', 'export', 'export', 'rate', '20mbit',
              'peer', 'name', 'kmb0', 'netns', 'bob')
    servers = [kme_lib.Kme(site) for site in 'ab']
    try:
        for end, server, sae in zip(ENDS, servers, ('a1', 'b1')):
            server.netns = end.name
            server.start()
            end.configure(section(end, **{
                'ca': f'{kme_lib.DIR}/ca.pem', 'certificate': f'{kme_lib.DIR}/{sae}.pem',
                'key': f'{kme_lib.DIR}/{sae}.key', 'sae': sae,
                'peer-sae': 'b1' if sae == 'a1' else 'a1', 'batch': 128}))
            end.daemon.mark()
            end.daemon.reload()
            until(lambda end=end: says(end, 'read again'), 'the daemon reads it')
        written = [end.usable(end.pad_stream) for end in ENDS]
        for _ in range(scaled(10, 2)):
            for end in ENDS:
                end.drain()
            equal(pings(20), 20, 'answers')
            whole()
        for end, before in zip(ENDS, written):
            if end.usable(end.pad_stream) < before + 4096:
                raise AssertionError('no pad came')
        return f'{sum(server.stats()["keys allocated"] for server in servers)} keys'
    finally:
        for server in servers:
            server.stop()
        ALICE.qkd('link', 'del', 'kma0')


def check_config(text, *lines, **more):
    """The configuration of these lines is refused, with that text."""
    ALICE.configure(section(ALICE, **more), lines)
    done = subprocess.run(['qkdd', '--check-config', ALICE.daemon.config], check=False, text=True,
                          stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    if done.returncode != 1 or text not in done.stderr:
        raise AssertionError(f'"{text}" expected: {done.stderr}')


def test_configurations():
    """each mistake in the configuration is named"""
    shutil.copy(f'{DIR}/alice.sae.key', f'{DIR}/open.key')
    os.chmod(f'{DIR}/open.key', 0o644)
    check_config('link "qkd0": there is no [kme other]', 'supply = other', '[link qkd2]',
                 'peer = bob')
    for text, more in (
            ('type "etsi041" is none of', {'type': 'etsi041'}),
            ('the URL must begin with https://', {'url': 'http://127.0.0.1:8443'}),
            ('CA certificate /nowhere: No such file', {'ca': '/nowhere'}),
            ('certificate /nowhere: No such file', {'certificate': '/nowhere'}),
            ('private key /nowhere: No such file', {'key': '/nowhere'}),
            ('its private key cannot be used', {'key': f'{DIR}/open.key'}),
            ('"." cannot be an SAE ID', {'peer-sae': '.'}),
            ('an extension is a JSON array', {'extension-mandatory': '{"a": 1}'}),
            ('an extension is a JSON array', {'extension-optional': '[1'}),
            ('batch "129" is not', {'batch': 129}),
            ('"key-size" is not a multiple of 8', {'key-size': 255}),
            ('are 32 bytes, not 64 to 65552', {'batch': 1}),
            ('are 1048576 bytes, not 64 to 65552', {'batch': 128, 'key-size': 65536}),
            ('timeout "0s" is not a time', {'timeout': '0s'})):
        check_config(text, **more)
    ALICE.configure(section(ALICE))
    said = subprocess.run(['qkdd', '--check-config', ALICE.daemon.config], check=True, text=True,
                          stdout=subprocess.PIPE)
    if 'is good' not in said.stdout:
        raise AssertionError(said.stdout)


GET = 'KME k does not give keys: '
BY_ID = 'KME k does not give the peer\'s keys: '
FAULTS = [
    fault('KME has no key: 503', ALICE, 'enc_keys 503 none left', GET + 'HTTP 503: none left'),
    fault('KME answers malformed JSON', ALICE, 'enc_keys malformed', GET + 'malformed JSON'),
    fault('KME gives keys of another size', ALICE, 'enc_keys short', 'bits, not the 256 asked'),
    fault('KME gives the same key again', ALICE, 'enc_keys repeat', 'before'),
    fault('the peer\'s KME has no key: 503', BOB, 'dec_keys 503', BY_ID + 'HTTP 503'),
    fault('the peer\'s KME refuses it: 401', BOB, 'dec_keys 401', BY_ID + 'HTTP 401'),
    fault('the peer\'s KME gives other keys', BOB, 'dec_keys other-id', 'was not asked for'),
]
FAULTS_LONG = [
    fault('KME hangs', ALICE, 'enc_keys hang', GET),
    fault('the peer\'s KME answers malformed JSON', BOB, 'dec_keys garbage', BY_ID),
    fault('KME is broken: 500', ALICE, 'enc_keys 500', GET + 'HTTP 500'),
    fault('KME refuses us: 401', ALICE, 'enc_keys 401', GET + 'HTTP 401'),
    fault('KME refuses the request: 400', ALICE, 'enc_keys 400 no', GET + 'HTTP 400: no'),
    fault('KME does not know it: 404', ALICE, 'enc_keys 404', GET + 'HTTP 404'),
    fault('KME is in conflict: 409', ALICE, 'enc_keys 409', GET + 'HTTP 409'),
    fault('KME misses something: 412', ALICE, 'enc_keys 412', GET + 'HTTP 412'),
    fault('KME is late: 504', ALICE, 'enc_keys 504', GET + 'HTTP 504'),
    fault('KME has another code: 418', ALICE, 'enc_keys 418', GET + 'HTTP 418'),
    fault('KME closes', ALICE, 'enc_keys reset', GET),
    fault('KME gives no keys', ALICE, 'enc_keys none', '0 keys, not the'),
    fault('KME gives a key twice in one answer', ALICE, 'enc_keys twice', 'there twice'),
    fault('KME gives more keys', ALICE, 'enc_keys more', 'keys, not the'),
    fault('KME gives no UUIDs', ALICE, 'enc_keys no-uuid', 'is no UUID'),
    fault('KME gives what is no Base64', ALICE, 'enc_keys base64', 'is no Base64'),
    fault('KME gives a book', ALICE, 'enc_keys huge', 'the answer is too long'),
    fault('the peer\'s KME is in conflict: 409', BOB, 'dec_keys 409', BY_ID + 'HTTP 409'),
    fault('the peer\'s KME does not have them: 404', BOB, 'dec_keys 404', BY_ID + 'HTTP 404'),
    fault('the peer\'s KME refuses: 400', BOB, 'dec_keys 400 no', BY_ID + 'HTTP 400: no'),
    fault('the peer\'s KME is broken: 500', BOB, 'dec_keys 500', BY_ID + 'HTTP 500'),
    fault('the peer\'s KME is late: 504', BOB, 'dec_keys 504', BY_ID + 'HTTP 504'),
    fault('the peer\'s KME hangs', BOB, 'dec_keys hang', BY_ID),
    fault('the peer\'s KME gives one less', BOB, 'dec_keys fewer', 'keys, not the'),
    fault('the peer\'s KME gives longer keys', BOB, 'dec_keys long', 'has 264 bits'),
]
TESTS = [
    test_fed, test_traffic, test_key, test_secrets, *FAULTS,
    *(FAULTS_LONG if SCALE == 100 else []), test_deviations, test_slow, test_blocks,
    killed('alice\'s daemon is killed while its KME is asked', ALICE, '@alice.sae enc_keys'),
    killed('alice\'s daemon is killed while bob gets the keys', ALICE, '@bob.sae dec_keys'),
    killed('bob\'s daemon is killed while it gets the keys', BOB, '@bob.sae dec_keys'),
    test_unknown_fate, test_cut, test_certificate, test_extensions, test_not_configured,
    test_told, test_other_bytes, test_real, test_configurations,
]

if __name__ == '__main__':
    kme = Kme()
    try:
        wire_up()
        kme.start()
        run(TESTS)
    finally:
        tunnel_down()
        tell()
        kme.stop()
        take_down()
