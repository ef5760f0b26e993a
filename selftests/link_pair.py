# SPDX-License-Identifier: GPL-2.0-only
"""The selftest link_pair; run by link_pair.sh."""
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from link_metrics import FAST, metric_of
from netns import until
from ktap import equal, run, scaled

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tools/qkd-link/qkd-link')
DIR = tempfile.mkdtemp()
BLOCKS = scaled(50, 5)
ENV = {**os.environ, 'NO_COLOR': '1'}


def path(name):
    return os.path.join(DIR, name)


def bootstrap(size=65536, names='ab'):
    key = os.urandom(size)
    for name in names:
        with open(os.open(path(f'key.{name}'), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                  'wb') as file:
            file.write(key)
    return key


def file_limit(size, action):
    """No file of this process gets longer; if it tries, that is done with the signal."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, action)


class End:
    """A process; its log, and its metrics."""

    def __init__(self, name, role, join, words, options=(), address='link', limit=None,
                 key=None):
        self.name, self.log, self.metrics = name, path(f'log.{name}'), path(f'metrics.{name}')
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [PROGRAM, '--dry-run', '--pace', 'fast', '--metrics', self.metrics, *options, role,
                 join, path(address), 'key-file', path(f'key.{key or name}'),
                 *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENV,
                preexec_fn=limit and (lambda: file_limit(*limit)))

    def text(self):
        with open(self.log, encoding='ascii', errors='replace') as file:
            return file.read()

    def said(self, text):
        return self.text().count(text)

    def wait(self, seconds=120):
        status = self.process.wait(seconds)
        if status:
            raise AssertionError(f'{self.name}: exit status {status}: {self.text()}')

    def metric(self, name):
        return metric_of(self.metrics, name)


@contextlib.contextmanager
def pair(words=(), a=(), b=(), alice_words=None, size=65536, address='link'):
    """Bob listens, Alice connects, there or to who stands between."""
    bootstrap(size)
    ends = []
    try:
        ends.append(End('b', 'bob', 'listen', words or FAST, b))
        until(lambda: os.path.exists(path('link')), 'bob listens')
        ends.append(End('a', 'alice', 'connect', alice_words or words or FAST, a, address))
        yield ends[::-1]
    except Exception:
        for end in ends:
            for line in end.text().splitlines()[-10:]:
                print(f'# {end.name}: {line}')
        raise
    finally:
        for end in ends:
            with contextlib.suppress(ProcessLookupError):
                end.process.kill()
            end.process.wait()
        for name in os.listdir(DIR):
            os.remove(path(name))


def report(name='r.html'):
    """Rows of the table of blocks, by what its head says."""
    with open(path(name), encoding='utf-8') as file:
        text = file.read()
    table = text[text.index('id="blocks"'):]
    table = table[:table.index('</table>')]
    rows = [[re.sub('<[^>]*>', '', cell) for cell in re.findall('<t[hd].*?</t[hd]>', row)]
            for row in table.split('<tr')[1:]]
    return [dict(zip(rows[0], row)) for row in rows[1:]]


def whole_run(words, blocks, options=()):
    """Both ends to their end; the blocks."""
    with pair(words, ('--blocks', str(blocks), '--report', path('r.html'), *options),
              ('--blocks', str(blocks), *options)) as (alice, bob):
        alice.wait()
        bob.wait()
        return report()


def test_key():
    """blocks become key, and both ends count the same"""
    with pair() as (alice, bob):
        until(lambda: alice.metric('blocks_total') >= BLOCKS, 'blocks', 200)
        alice.process.send_signal(signal.SIGSTOP)
        kept = bob.metric('secret_bits_total')
        alice.process.send_signal(signal.SIGCONT)
        until(lambda: alice.metric('secret_bits_total') >= kept, 'the same')
        equal(alice.metric('alarm') + bob.metric('alarm'), 0, 'alarms')
        equal(alice.metric('bad_messages_total'), 0, 'bad messages')
        if not kept:
            raise AssertionError('no key')
        said = re.search(r'block \d+ is kept: \d+ pulses, 1\d{5} bits sifted, QBER .* bits of key; '
                         r'finite key, .*, eps_sec 1e-10, eps_cor ', bob.text())
        if not said:
            raise AssertionError(bob.text())
        return f'{kept:.0f} bits'


def test_presets():
    """each preset makes key, with either reconciliation"""
    said = subprocess.run([PROGRAM, '--presets'], check=True, stdout=subprocess.PIPE, text=True)
    names = re.findall(r'^(\w+(?:-\w+)+): ', said.stdout, re.M)
    if len(names) < 9:
        raise AssertionError(said.stdout)
    for name in names:
        # in a warm room little of a small block is secret
        block = 'block=2000000' if name == 'bb84-terahertz' else 'block=500000'
        for recon in ('cascade', 'ldpc') if name == 'bb84-fibre-50km' else ('cascade',):
            row = whole_run(('preset', name, 'set', block), 1, ('--reconcile', recon))[0]
            if row['dropped for'] or int(row['secret, bit']) < 1000:
                raise AssertionError(f'{name}: {row}')
    return f'{len(names)} presets'


def scene(*lines):
    with open(path('scenario'), 'w', encoding='ascii') as file:
        file.write('\n'.join(lines) + '\n')
    return ('--scenario', path('scenario'))


def again(end, *lines):
    scene(*lines)
    count = end.said('read again')
    end.process.send_signal(signal.SIGHUP)
    until(lambda: end.said('read again') > count, 'the scenario is read again', 60)


def test_eve():
    """Eve measures all light: alarms and no key at either end; she goes, and key comes"""
    with pair(a=scene('0 off')) as (alice, bob):
        until(lambda: alice.metric('secret_bits_total'), 'key')
        again(alice, '0 intercept 1')
        for end in (alice, bob):
            until(lambda end=end: end.metric('alarm'), 'the alarm')
            if not 0.2 < end.metric('qber_ratio') < 0.3:
                raise AssertionError(f'QBER {end.metric("qber_ratio")}')
        before = alice.metric('secret_bits_total')
        count = alice.metric('blocks_total')
        until(lambda: alice.metric('blocks_total') >= count + 2, 'blocks')
        equal(alice.metric('secret_bits_total'), before, 'key meanwhile')
        again(alice, '0 off')
        for end in (alice, bob):
            until(lambda end=end: not end.metric('alarm'), 'its end', 60)
            if not end.said('QBER is above') or not end.said('the alarm is over'):
                raise AssertionError(end.text())


def test_split():
    """photons are split: no key, and the alarm is not the QBER's"""
    with pair(a=scene('0 split 1')) as (alice, bob):
        for end in (alice, bob):
            until(lambda end=end: end.said('alarm: block after block has no key'), 'the alarm')
            equal(end.said('QBER is above'), 0, 'said of the QBER')
        again(alice, '0 off')
        for end in (alice, bob):
            until(lambda end=end: end.said('the alarm is over'), 'its end', 60)


def test_blinded():
    """detectors are blinded: key comes as ever, and only the log knows that it is Eve's"""
    with pair(a=scene('0 blind 1')) as (alice, bob):
        until(lambda: alice.metric('secret_bits_total') and bob.metric('secret_bits_total'), 'key')
        equal(alice.metric('alarm') + bob.metric('alarm'), 0, 'alarms')
        equal(alice.said("Eve blinds Bob's detectors: no figure and no alarm shows it"), 1, 'said')


def test_tampered():
    """messages are altered or replayed: blocks are lost, and the link goes on"""
    # a length that was altered is waited for, up to a minute
    for how in ('alter', 'replay'):
        with pair(b=scene(f'0 {how} 0.01')) as (alice, bob):
            until(lambda: alice.metric('bad_messages_total') + bob.metric('bad_messages_total'),
                  f'{how}: bad messages', 180)
            until(lambda: alice.metric('secret_bits_total') > 0, f'{how}: key', 180)


# Of talk.h and join.h.
HELLO, BLOCK, SIFT, SIFTED, RECON, VERIFY, AMPLIFY, FEED = range(1, 9)
TRAIN, FRAME_SIFT = 2, 3


class Between:
    """Who stands between the ends: she has all messages and light in their order, and cuts."""

    def __init__(self):
        self.seen, self.cut, self.lock, self.open = [], None, threading.Lock(), []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path('eve'))
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                alice, bob = self.socket.accept()[0], socket.socket(socket.AF_UNIX)
                try:
                    bob.connect(path('link'))
                except OSError:
                    alice.close()
                    continue
                kind = self.take(alice, 24)
                bob.sendall(kind)
                self.open += (alice, bob)
                for ends in ((alice, bob), (bob, alice)):
                    threading.Thread(target=self.carry, daemon=True,
                                     args=(kind[7:8], *ends, ends[0] is alice)).start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.hang_up()

    def hang_up(self):
        while self.open:
            with contextlib.suppress(OSError):
                self.open.pop().shutdown(socket.SHUT_RDWR)

    @staticmethod
    def take(end, size):
        parts = []
        while size:
            part = end.recv(size)
            if not part:
                raise OSError
            parts.append(part)
            size -= len(part)
        return b''.join(parts)

    def next(self, kind, end, alice):
        """A message, a frame or an answer to one: what it is, and its bytes."""
        if kind == b'T':
            head = self.take(end, 56)
            return ('T', head[8]), head + self.take(end, int.from_bytes(head[12:16], 'big') + 16)
        if not alice:
            return None, self.take(end, 1)
        head = self.take(end, 13)
        return ('L', head[0]), head + self.take(end, int.from_bytes(head[9:], 'big'))

    def carry(self, kind, end, other, alice):
        with contextlib.suppress(OSError):
            while True:
                what, data = self.next(kind, end, alice)
                with self.lock:
                    if what:
                        self.seen.append(what)
                    if what and what == self.cut:
                        self.cut = None
                        self.hang_up()
                        return
                other.sendall(data)
        for one in (end, other):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def between(**more):
    eve = Between()
    try:
        with pair(address='eve', **more) as (alice, bob):
            yield eve, alice, bob
    finally:
        eve.close()


def test_sifting():
    """nobody says anything of a basis before the last light of the block was sent"""
    with between(a=('--blocks', '2'), b=('--blocks', '2')) as (eve, alice, bob):
        alice.wait()
        bob.wait()
        seen = [what for what in eve.seen if what in
                (('L', TRAIN), ('L', FRAME_SIFT), ('T', BLOCK), ('T', SIFT), ('T', SIFTED))]
    trains = 0
    while seen:
        equal(seen.pop(0), ('T', BLOCK), 'a block begins')
        count = seen.index(('L', FRAME_SIFT))
        equal(set(seen[:count]), {('L', TRAIN)}, 'while there is light')
        equal(seen[count + 1:3 * count + 1], count * [('T', SIFT), ('T', SIFTED)], 'afterwards')
        seen = seen[3 * count + 1:]
        trains += count
    if trains < 8:
        raise AssertionError(f'{trains} trains')
    return f'{trains} trains'


def test_vanished():
    """an end is gone at any step: the block is lost, the ends meet again, and key comes"""
    with between() as (eve, alice, bob):
        for cut in (('T', HELLO), ('T', BLOCK), ('L', TRAIN), ('L', FRAME_SIFT), ('T', SIFT),
                    ('T', SIFTED), ('T', RECON), ('T', VERIFY), ('T', AMPLIFY), ('T', FEED)):
            if cut[1] == HELLO:
                eve.hang_up()
            eve.cut = cut
            until(lambda: not eve.cut, f'{cut} comes', 60)
            before = [end.metric('secret_bits_total') for end in (alice, bob)]
            for end, bits in zip((alice, bob), before):
                until(lambda end=end, bits=bits: end.metric('secret_bits_total') > bits,
                      f'{end.name}: key behind {cut}', 60)
        equal(alice.metric('bad_messages_total') + bob.metric('bad_messages_total'), 0, 'bad')


def test_satellite():
    """a satellite: nothing between two passes, which take no time at full speed"""
    rows = whole_run(('preset', 'bb84-satellite', 'set', 'period=600'), 4)
    times = [float(row['time, s']) for row in rows]
    keys = [int(row['secret, bit']) for row in rows]
    if not any(keys) or times[-1] < 600:
        raise AssertionError(f'{times} {keys}')
    return f'{len(rows)} blocks in {times[-1]:.0f} s'


def test_pace():
    """the link's clock is never ahead of the wall's, at its pace"""
    for factor in (1, 0.1):
        with pair(a=('--pace', str(factor))) as (alice, _):
            until(lambda alice=alice: alice.metric('blocks_total') >= 2, 'blocks', 60)
            link, wall = alice.metric('clock_seconds_total'), alice.metric('wall_seconds_total')
            if link > wall * factor:
                raise AssertionError(f'{link} s in {wall} s')


def test_bootstrap():
    """the bootstrap key is gone when it was read; another one is taken by SIGHUP"""
    with pair() as (alice, bob):
        until(lambda: alice.metric('secret_bits_total'), 'key')
        equal([os.path.exists(path(f'key.{name}')) for name in 'ab'], [False, False], 'the files')
        bootstrap()
        for end in (bob, alice):
            end.process.send_signal(signal.SIGHUP)
            until(lambda end=end: end.said('a new bootstrap key was taken'), 'taken', 30)
        before = alice.metric('secret_bits_total')
        until(lambda: alice.metric('secret_bits_total') > before, 'key again', 60)


def ends_with(end, status, text):
    equal(end.process.wait(60), status, f'{end.name}: its exit status')
    if not end.said(text):
        raise AssertionError(f'{end.name}: {end.text()}, not "{text}"')


@contextlib.contextmanager
def somebody():
    """Takes calls, and says nothing."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path('link'))
        one.listen()
        yield
    os.remove(path('link'))


@contextlib.contextmanager
def ends_of(*ends):
    try:
        yield ends
    finally:
        for end in ends:
            end.process.kill()
            end.process.wait()


def test_unreached():
    """who finds nobody says so, once, sounds an alarm after a while, and keeps the key"""
    bootstrap()
    with ends_of(End('a', 'alice', 'connect', FAST), End('b', 'bob', 'listen', FAST, address='x')) as (
            alice, bob):
        until(lambda: alice.said(f'cannot meet the other end at {path("link")}: No such file'),
              'it is said', 30)
        until(lambda: alice.metric('alarm') and bob.metric('alarm'), 'alarms', 60)
        equal(alice.said('cannot meet'), 1, 'times that it is said')
        equal([os.stat(path(f'key.{name}')).st_size for name in 'ab'], [65536] * 2, 'the keys')
        equal(bob.said('cannot meet'), 0, 'said of who is not called')
        bob.process.kill()
        bob.process.wait()
        with ends_of(End('b', 'bob', 'listen', FAST)):
            until(lambda: alice.said('connected to the other end'), 'they meet', 60)
            equal(alice.said('cannot meet'), 1, 'times that it is said, now that they met')
        os.remove(path('link'))


def test_unequal():
    """numbers of blocks that differ: the other end goes, and says why"""
    with pair(a=('--blocks', '1'), b=('--blocks', '2')) as (alice, bob):
        alice.wait()
        bob.wait()
        equal(bob.said('the other end makes no more blocks'), 1, 'said')


def test_kept():
    """SIGHUP with a wrong key file: it is said, and the connection stays"""
    with pair() as (alice, bob):
        until(lambda: alice.metric('secret_bits_total'), 'key')
        bootstrap(100)
        alice.process.send_signal(signal.SIGHUP)
        until(lambda: alice.said('not a bootstrap key'), 'it is said', 30)
        before = alice.metric('secret_bits_total')
        until(lambda: alice.metric('secret_bits_total') > before, 'key goes on', 60)
        equal(bob.said('connected'), 1, 'connections')


def test_unmeasured():
    """a block that is lost on its way has no QBER: the last one that was measured is shown"""
    with between() as (eve, alice, bob):
        for end in (alice, bob):
            until(lambda end=end: end.metric('qber_ratio'), 'a QBER', 60)
        eve.cut = ('T', RECON)
        for end in (alice, bob):
            until(lambda end=end: end.said('is dropped: the connection was lost\n'), 'one is lost', 60)
            if not end.metric('qber_ratio'):
                raise AssertionError(f'{end.name}: no QBER is shown')


def test_spent():
    """a key file is there whole, or not at all: killed while it is wiped, read twice, or wrong"""
    bootstrap()
    with somebody():
        ends_with(End('a', 'alice', 'connect', FAST, limit=(4096, signal.SIG_DFL)),
                  -signal.SIGXFSZ, '')
        equal(os.path.exists(path('key.a')), False, 'the file')
        bootstrap()
        with ends_of(*(End(name, 'alice', 'connect', FAST, key='a') for name in 'cd')) as two:
            until(lambda: {end.process.poll() for end in two} == {None, 1},
                  'one of two goes on', 60)
    with pair() as (_, bob):
        bootstrap(names='c')
        ends_with(End('c', 'bob', 'listen', FAST), 1, 'Address already in use')
        equal(os.stat(path('key.c')).st_size, 65536, 'the key of who cannot listen')
        equal(bob.process.poll(), None, 'who listened before')
    with open(os.open(path('key.a'), os.O_WRONLY | os.O_CREAT, 0o600), 'wb') as file:
        file.write(b'dear diary')
    ends_with(End('a', 'alice', 'connect', FAST), 1, 'not a bootstrap key')
    equal(os.stat(path('key.a')).st_size, 10, 'another file')
    bootstrap()
    os.link(path('key.a'), path('again'))
    with somebody():
        ends_with(End('a', 'alice', 'connect', FAST), 1, 'Too many links')
    equal(os.stat(path('again')).st_size, 65536, 'a file of two names')
    for name in os.listdir(DIR):
        os.remove(path(name))


def test_no_room():
    """a report that finds no room is one line, and leaves nothing"""
    # of which the key's file takes less
    bootstrap(12400)
    blocks, ends = ('--blocks', '1'), []
    try:
        ends.append(End('b', 'bob', 'listen', FAST, blocks))
        ends.append(End('a', 'alice', 'connect', FAST, (*blocks, '--report', path('r.html')),
                        limit=(16384, signal.SIG_IGN)))
        ends_with(ends[1], 1, ': File too large')
        equal([name for name in os.listdir(DIR) if name.startswith('r.html')], [], 'files')
    finally:
        for end in ends:
            end.process.kill()
            end.process.wait()


def test_drained():
    """blocks without key use up that of the tags: at the low mark none begins, until there is more"""
    # so small that what reconciliation tells is more than is secret
    words = ('preset', 'bb84-fibre-50km', 'set', 'block=50000')
    with pair(words, size=12400) as (alice, bob):
        until(lambda: alice.said('is at its low mark') or bob.said('is at its low mark'),
              'it stops', 120)
        until(lambda: alice.metric('alarm') and bob.metric('alarm'), 'alarms')
        equal(alice.metric('secret_bits_total'), 0, 'key')
        count, used = (alice.metric(name) for name in
                       ('blocks_total', 'auth_key_used_bytes_total'))
        time.sleep(2)
        equal(alice.metric('blocks_total'), count, 'blocks')
        equal(alice.metric('auth_key_used_bytes_total'), used, 'key of tags')
        bootstrap()
        for end in (bob, alice):
            end.process.send_signal(signal.SIGHUP)
        until(lambda: alice.metric('blocks_total') > count, 'blocks again', 60)


def goes(alice, bob):
    """Alice's end is gone, and Bob has a new key."""
    alice.process.kill()
    alice.process.wait()
    key = bootstrap()
    bob.process.send_signal(signal.SIGHUP)
    until(lambda: bob.said('a new bootstrap key was taken'), 'bob takes it', 60)
    return key


@contextlib.contextmanager
def another(words=FAST):
    """An end of Alice's that begins anew."""
    with ends_of(End('a', 'alice', 'connect', words)) as (other,):
        yield other


def test_lost():
    """an end that goes and comes again with a new key, and strangers who call"""
    with pair() as (alice, bob):
        until(lambda: alice.metric('secret_bits_total'), 'key')
        for text in (b'', b'GET / HTTP/1.0\r\n\r\n', b'qkdlinkT' + bytes(16)):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(path('link'))
                stranger.sendall(text)
        goes(alice, bob)
        with another() as other:
            until(lambda: other.metric('secret_bits_total'), 'key again', 60)


class Crowd:
    """Strangers who keep connections open, and come again and again."""

    def __init__(self, pool):
        head = b'QKDLINK' + bytes((1, HELLO, 0, 0, 0))
        self.said = (
            b'',
            # a message that never ends, one that is too long, and one with a false tag
            head,
            head + b'\x03\xff\xff\xff' + bytes(40),
            head + b'\0\0\1\0' + b'\0\0\0\3' + pool + pool + bytes(28 + 256 + 16))
        self.count, self.open, self.over = 0, [], False
        self.thread = threading.Thread(target=self.come, daemon=True)
        self.thread.start()

    def come(self):
        while not self.over:
            name = os.urandom(16)
            for text in (b'qkdlinkT' + name + self.said[self.count % 4], b'qkdlinkL' + name):
                one = socket.socket(socket.AF_UNIX)
                self.open.append(one)
                with contextlib.suppress(OSError):
                    one.settimeout(1)
                    one.connect(path('link'))
                    one.sendall(text)
            self.count += 1
            while len(self.open) > 200:
                self.open.pop(0).close()
            time.sleep(0.02)

    def go(self):
        self.over = True
        self.thread.join()
        for one in self.open:
            one.close()


def test_strangers():
    """strangers hold connections open, again and again: no key is used, and Alice joins"""
    with pair() as (alice, bob):
        crowd = Crowd(goes(alice, bob)[:4])
        try:
            until(lambda: bob.metric('bad_messages_total'), 'a false tag', 30)
            equal(bob.metric('auth_key_used_bytes_total'), 0, 'key that they used')
            with another() as other:
                until(lambda: other.said('connected to the other end'), 'alice joins', 5)
                until(lambda: other.metric('secret_bits_total'), 'key', 60)
        finally:
            crowd.go()
        equal(bob.said('not authentic'), 1, 'said of strangers')
        return f'{crowd.count} strangers'


def test_expected():
    """an end that begins anew expects another QBER than the one that did not: they agree"""
    words = 'preset b92-fibre-2km set efficiency=90% set length=1km set block=50000'.split()
    with pair(words, a=scene('0 intercept 0.2')) as (alice, bob):
        until(lambda: bob.metric('qber_ratio') > 0.02, 'errors', 60)
        before = bob.metric('qber_ratio')
        goes(alice, bob)
        with another(words) as other:
            until(lambda: 0 < other.metric('qber_ratio') < before / 2, 'blocks again', 60)
            until(lambda: other.metric('secret_bits_total'), 'key', 60)


def test_failed():
    """frames that LDPC cannot correct are counted, at both ends"""
    words = 'preset b92-fibre-2km set efficiency=90% set length=1km set block=50000'.split()
    ldpc = ('--reconcile', 'ldpc')
    with pair(words, a=(*scene('0 noise 0.01'), *ldpc), b=ldpc) as ends:
        for end in ends:
            until(lambda end=end: end.metric('failed_frames_total'), f'{end.name} counts', 60)


def test_differ():
    """ends that were told different things do not begin, and say what differs"""
    other = [word.replace('mu=0.5', 'mu=0.4') for word in FAST]
    for text, more in (
            ('another model: mu 0.4', {'alice_words': other}),
            ('another model: reconcile ldpc', {'a': ('--reconcile', 'ldpc')})):
        with pair(**more) as (alice, bob):
            until(lambda bob=bob, text=text: bob.said(text), text, 20)
            equal(alice.metric('blocks_total'), 0, 'blocks')
    with pair() as (alice, bob):
        alice.process.kill()
        alice.process.wait()
        bootstrap(names='a')
        with another():
            until(lambda: bob.said('not authentic'), 'another key', 60)


def refuses(text, *words, status=2):
    done = subprocess.run([PROGRAM, *words], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENV,
                          timeout=30)
    if done.returncode != status or text not in done.stdout:
        raise AssertionError(f'{words}: {done.returncode} {done.stdout}, not "{text}"')


def test_words():
    """wrong words are refused with what would do, and the bootstrap key stays"""
    bootstrap()
    good = ('--dry-run', 'alice', 'connect', '127.0.0.1:7677', 'key-file', path('key.a'))
    for text, words in (
            ('neither alice nor bob', ('carol',)),
            ('connect: what of it?', ('alice', 'connect')),
            ('is none of listen, connect', ('alice', 'call', 'me')),
            ('listen or connect is missing', ('alice',)),
            ('key-file is missing', ('alice', 'connect', '127.0.0.1:1')),
            ('dev, the link that is fed', good[1:]),
            *(('is not ADDRESS:PORT', ('--dry-run', 'alice', word, where, 'key-file', 'k'))
              for word, where in (('connect', 'there'), ('connect', 'there:'), ('listen', ':7677'),
                                  ('listen', '127.0.0.1:99999'), ('connect', '::1:7677'))),
            ('there is one of listen and connect', (*good, 'listen', '127.0.0.1:1')),
            ('should end in .html or .svg', ('--report', 'r.pdf', *good)),
            ('metrics "here" is not', ('--metrics', 'here', *good)),
            ('one word too many', ('--presets', 'all')),
            ('there is no preset "x"', (*good, 'preset', 'x')),
            ('is not FIGURE=VALUE', (*good, 'set', 'mu')),
            ('no figure has this name', (*good, 'set', 'mi=1')),
            ('mu "x"', (*good, 'set', 'mu=x')),
            ('nu1 must be above nu2', (*good, 'set', 'nu1=0')),
            ('block is more than', (*good, 'set', 'block=1000000000')),
            ('neither cascade nor ldpc', ('--reconcile', 'x', *good)),
            ('is not real, fast or a factor', ('--pace', '-1', *good)),
            ('is not a number, 1 or more', ('--blocks', '0', *good)),
            ('is not FROM,TO', ('--distance', '5'))):
        refuses(text, *words)
    with open(path('bad'), 'w', encoding='ascii') as file:
        file.write('0 off\n1 explode\n')
    refuses('bad:2:', '--scenario', path('bad'), *good, status=1)
    equal(os.stat(path('key.a')).st_size, 65536, 'the key')
    os.chmod(path('key.a'), 0o640)
    refuses('others than its owner', *good, status=1)
    os.chmod(path('key.a'), 0o600)
    bootstrap(100)
    refuses('not a bootstrap key', *good, status=1)
    equal(os.stat(path('key.a')).st_size, 100, 'what is no key')
    refuses('No such file', *good[:-1], path('nothing'), status=1)


CONFIG = f'''[link qkd0]
role = alice
connect = 127.0.0.1:7677
key-file = {DIR}/key.a
pace = fast
reconcile = ldpc
[model bb84-fibre-50km]
length = 60 km
'''


def test_configuration():
    """a configuration is read; each mistake is named, with its line"""
    bootstrap()

    def check(text, said, status=1):
        with open(path('conf'), 'w', encoding='ascii') as file:
            file.write(text)
        refuses(said, '--check-config', path('conf'), status=status)
    check(CONFIG, 'is good', 0)
    check(CONFIG.replace('role = alice', ''), 'role is missing')
    check(CONFIG.replace('fast', 'slow'), ':5: pace "slow" is not real')
    check(CONFIG + 'mu = 0\n', 'the model does not hold together')
    for line, said in (('report = x.pdf', 'should end in'), ('metrics = bar', 'metrics "bar" is not'),
                       ('scenario = /nothing', '/nothing')):
        check(CONFIG.replace('pace', f'{line}\npace'), said)
    check(CONFIG + '[model bb84-metro]\n', ':9: there is one model')
    with open(path('conf'), 'w', encoding='ascii') as file:
        file.write(CONFIG + 'mu = 0\n')
    refuses('the model does not hold together', '-c', path('conf'), status=1)
    for line, said in (('role = carol', ':9: role "carol"'), ('colour = red', 'no key "colour"'),
                       ('[link qkd1]', 'there is one link'), ('loss = 5 miles', 'loss'),
                       ('[sky]', 'section "sky"')):
        check(CONFIG.replace('[model', f'{line}\n[model') if line.startswith('colour') else
              CONFIG + line,
              said.replace(':9: role "carol"', '[model] has no key "role"'))
    check(CONFIG.replace('50km', '51km'), 'no preset "bb84-fibre-51km"')
    check(CONFIG.replace('alice', 'carol'), ':2: role "carol" is neither')
    check(CONFIG.replace('key-file', 'listen = [::1]:1\nkey-file'), ':4: there is one of')
    check(CONFIG.replace(':7677', ''), 'is not ADDRESS:PORT')
    equal(os.stat(path('key.a')).st_size, 65536, 'the key')


def table(*words):
    done = subprocess.run([PROGRAM, '--distance', *words], check=True, stdout=subprocess.PIPE,
                          text=True)
    return [line.split('\t') for line in done.stdout.splitlines() if line[0] != '#']


def test_table():
    """--distance prints a table that --presets' figures make, or says why not"""
    for text, words in (('"prest" is neither', ('0,100', 'prest', 'bb84-metro')),
                        ('foo: what of it?', ('0,100', 'foo')),
                        ('does not hold together: ', ('0,100', 'set', 'mu=0')),
                        ('does not hold together: ', ('0,100', 'set', 'protocol=b92')),
                        ('does not hold together: data must be',
                         ('5,5', 'preset', 'cow-variant-fibre-10km', 'set', 'data=0.3')),
                        ('not FROM,TO', ('0,inf',)), ('not FROM,TO', ('9,1',))):
        refuses(text, '--distance', *words)
    with open(path('conf'), 'w', encoding='ascii') as file:
        file.write(CONFIG.replace('[model bb84-fibre-50km]', '[model bb84-metro]'))
    equal(table('20,20', '-c', path('conf')), table('20,20', 'preset', 'bb84-metro'),
          'of a configuration')
    rows = table('0,200', 'preset', 'bb84-fibre-50km')
    keys = [float(row[rows[0].index('key')]) for row in rows[1:]]
    equal(len(keys), 51, 'rows')
    equal(keys, sorted(keys, reverse=True), 'key falls with the distance')


if __name__ == '__main__':
    try:
        run([test_key, test_presets, test_eve, test_split, test_blinded, test_tampered,
             test_sifting, test_vanished, test_satellite, test_pace, test_bootstrap,
             test_unreached, test_spent, test_unequal, test_kept, test_unmeasured, test_no_room,
             test_drained, test_lost, test_strangers, test_expected, test_failed, test_differ,
             test_words, test_configuration, test_table])
    finally:
        shutil.rmtree(DIR)
