# SPDX-License-Identifier: GPL-2.0-only
"""Key streams by ETSI GS QKD 004 from qkd-kme at both ends of a link, for applications
that share no code with it; what it refuses, and what it leaves nowhere."""
import json
import os
import socket
import struct
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'ref'))

from etsi004_server import CLOSE, GET_KEY, OPEN_CONNECT, QOS, VERSION, frame  # noqa: E402
from kme_lib import (DIR, LINKS, TIMEOUT, Kme, certificate, certificates,  # noqa: E402
                     context, sections, take_down, wait_for_key, wire_up)
from ktap import equal, run                                 # noqa: E402
from netns import inside, run as command, until             # noqa: E402
from process import memory_of                               # noqa: E402

PORT_004 = 25575
ADDRESS = {'a': '10.9.0.1', 'b': '10.9.0.2'}
LOCAL = {'a': '127.0.0.1', 'b': '127.0.0.1'}
OK, NO_PEER, NO_KEY, PEER_AWAY, NO_QKD, IN_USE, _, BAD_QOS, ROOM = range(9)
NEW = bytes(16)


def text_of(site, quota='', more=''):
    other = 'b' if site == 'a' else 'a'
    text = sections(site, quota=quota,
                    more=f'listen-004 = {ADDRESS[site]}:{PORT_004}\n'
                         f'listen-004 = 127.0.0.1:{PORT_004}\n{more}')
    return text.replace(f'target-kme = kme-{other}\n',
                        f'target-kme = kme-{other}\ntarget-004 = {ADDRESS[other]}:{PORT_004}\n'
                        f'target-certificate-name = kme-{other}.example\n')


class App:
    """An application of an SAE, and its connection."""

    def __init__(self, sae, name=None):
        self.sae, self.site, self.name = sae, sae[0], name or sae
        self.sock = None

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def connect(self):
        with inside(f'km{self.site}'):
            raw = socket.create_connection((LOCAL[self.site], PORT_004), timeout=TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context(self.name).wrap_socket(
            raw, server_hostname=f'kme-{self.site}.example')

    def read(self, size):
        data = b''
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise ConnectionError('closed')
            data += more
        return data

    def ask(self, service, payload, pieces=1):
        """Status, and what follows it."""
        if not self.sock:
            self.connect()
        data = frame(service, payload)
        step = -(-len(data) // pieces)
        for start in range(0, len(data), step):
            self.sock.sendall(data[start:start + step])
        version, answered, size = struct.unpack('>3sBI', self.read(8))
        equal((version, answered), (VERSION, service + 1), 'header')
        answer = self.read(size)
        return struct.unpack('>I', answer[:4])[0], answer[4:]

    def open(self, peer, stream=NEW, chunk=32, mimetype=b'application/json', source=None, ttl=60,
             timeout=0, **more):
        """Status, QoS, Key_stream_ID."""
        qos = QOS.pack(chunk, 0, 0, 0, 0, timeout, ttl, mimetype)
        status, rest = self.ask(
            OPEN_CONNECT, f'qkd://{source or self.sae}/app\0qkd://{peer}/app\0'.encode() + qos +
            stream, **more)
        if not rest:
            return status, None, None
        return status, QOS.unpack(rest[:QOS.size]), rest[QOS.size:]

    def get(self, stream, index, room=1024):
        """Status, index, chunk, metadata."""
        status, rest = self.ask(GET_KEY, stream + struct.pack('>II', index, room))
        if not rest:
            return status, None, None, None
        found, size = struct.unpack('>II', rest[:8])
        key, (length,) = rest[8:8 + size], struct.unpack('>I', rest[8 + size:12 + size])
        if status:
            equal((key, rest[12 + size:]), (b'', b''), 'a refusal has no key')
            return status, found, None, length
        equal(len(rest), 12 + size + length, 'the answer')
        return status, found, key, rest[12 + size:]

    def leave(self, stream):
        status, rest = self.ask(CLOSE, stream)
        equal(rest, b'', 'CLOSE')
        return status


def both(chunk=32, master=None, slave=None, **more):
    """A stream that both have opened."""
    master, slave = master or a1, slave or b1
    status, qos, stream = master.open(slave.sae, chunk=chunk, **more)
    equal((status, qos[0]), (NO_PEER, chunk), 'the first to come')
    status, qos, same = slave.open(master.sae, stream, chunk=chunk)
    equal((status, qos[0], same), (OK, chunk, stream), 'the second')
    return stream


def chunk_at_both(stream, index, master=None, slave=None):
    first = (master or a1).get(stream, index)
    equal(first[:2], (OK, index), 'master')
    equal((slave or b1).get(stream, index)[:3], first[:3], 'slave')
    return first


def test_streams():
    """chunks are the same at both ends, each another, from either end, of any size"""
    seen = []
    for chunk in (8, 32, 1000, 2016):
        stream = both(chunk)
        for index in range(4):
            _, _, key, metadata = chunk_at_both(stream, index)
            metadata = json.loads(metadata)
            metadata.pop('age', None)       # of key from before the KMEs it is not known
            equal((len(key), metadata), (chunk, {'hops': 0}), 'chunk')
            seen.append(key)
    stream = both(master=b2, slave=a2)
    seen += [chunk_at_both(stream, index, b2, a2)[2] for index in range(4)]
    equal(len({key[:8] for key in seen}), len(seen), 'different chunks')
    equal(uuid.UUID(bytes=stream).version, 4, 'a UUID')
    keys.extend(seen)


def test_order():
    """who comes first waits for the other; an index is given once, and can be left out"""
    _, _, stream = a1.open('b1')
    equal(a1.get(stream, 0)[0], PEER_AWAY, 'the peer is not there')
    equal(b1.open('a1', stream)[0], OK, 'the peer')
    equal(a1.open('b1', stream)[0], OK, 'the master once more')
    equal(b1.get(stream, 0)[0], NO_KEY, 'the slave before the master')
    chunk_at_both(stream, 0)
    for app in (a1, b1):
        equal(app.get(stream, 0)[0], NO_KEY, 'once more')
    chunk_at_both(stream, 5)
    for app in (a1, b1):
        equal(app.get(stream, 3)[0], NO_KEY, 'one that was left out')
    chunk_at_both(stream, 6)
    # the master may be ahead
    ahead = [a1.get(stream, index) for index in range(7, 27)]
    for index, chunk in zip(range(26, 6, -1), reversed(ahead)):
        equal(b1.get(stream, index)[2], chunk[2], f'chunk {index}')


def test_qos():
    """what cannot be is answered with what can"""
    for chunk, other in ((0, 8), (7, 8), (20, 16), (2017, 2016), (1 << 20, 2016)):
        status, qos, stream = a1.open('b1', chunk=chunk)
        equal((status, qos[0], stream), (BAD_QOS, other, NEW), f'{chunk} bytes')
    status, qos, _ = a1.open('b1', mimetype=b'application/xml')
    equal((status, qos[7].rstrip(b'\0')), (BAD_QOS, b'application/json'), 'mimetype')
    stream = both(mimetype=b'')
    equal(chunk_at_both(stream, 0)[3], b'', 'no metadata')


def test_age():
    """a chunk is as old as its key, at both ends"""
    drain()
    try:
        # key that comes from now on
        began = time.monotonic()
        time.sleep(3)           # the KME looks each second
        kme_a.start_supply()
        wait_for_key('a', 20000)
        kme_a.stop_supply()
        ended = time.monotonic()
        time.sleep(1)
        for chunk in (2016, 32):        # the first ones are not known so well
            stream = both(chunk)
            for index in range(4):
                chunk_at_both(stream, index)
        for app in (a1, b1):
            least = time.monotonic() - ended
            metadata = app.get(stream, 4)[3]
            most = time.monotonic() - began
            age = json.loads(metadata)['age'] / 1000
            equal(least <= age <= most, True, f'{app.sae}: {least} <= {age} <= {most}')
    finally:
        kme_a.start_supply()
    wait_for_key('a', 20000)
    return f'{age} s'


def test_room():
    """metadata that has no room takes no key"""
    stream, most = both(), len('{"age":9999999999999,"hops":0}')
    for app in (a1, b1):
        status, _, _, size = app.get(stream, 0, room=most - 1)
        equal((status, size), (ROOM, most), 'size')
    chunk_at_both(stream, 0)
    status, _, _, size = b1.get(stream, 1, room=9)
    equal((status, size), (ROOM, most), 'before the master')


def refusals():
    """How often site A's KME has told site B's that a chunk is not there."""
    return kme_a.log().count(f' {LINKS["a"]} get_key status {NO_KEY}')


def leave(stream):
    equal((a1.leave(stream), b1.leave(stream)), (OK, OK), 'both leave')


def drain():
    """Takes all that site A's KME has."""
    kme_a.stop_supply()
    for chunk in (2016, 256, 32):
        stream, index = both(chunk), 0
        while a1.get(stream, index)[0] == OK:
            index += 1
        leave(stream)


def test_timeout():
    """GET_KEY waits for a chunk that may come, as long as the stream's Timeout says"""
    with ThreadPoolExecutor(1) as aside:
        stream, asked = both(timeout=9000), refusals()
        early = aside.submit(b1.get, stream, 0)
        until(lambda: refusals() > asked, 'the chunk is not there')
        first = a1.get(stream, 0)
        equal(early.result()[:3], first[:3], 'the slave came first')
        try:
            drain()
            begin = time.monotonic()
            equal(a1.get(both(timeout=700), 0)[0], NO_KEY, 'no key comes')
            equal(time.monotonic() - begin >= 0.7, True, 'it was waited for')
            stream = both(timeout=9000)
            early = aside.submit(a1.get, stream, 0)
            time.sleep(1)
        finally:
            kme_a.start_supply()
        first = early.result()
        equal((first[0], b1.get(stream, 0)[:3]), (OK, first[:3]), 'key comes')
        wait_for_key('a', 20000)
        # the KME ends meanwhile
        asked = refusals()
        early = aside.submit(b1.get, both(timeout=9000), 0)
        until(lambda: refusals() > asked, 'the chunk is not there')
        process = kme_b.process
        kme_b.stop()
        equal((process.returncode, isinstance(early.exception(), OSError)), (0, True), 'the end')
        for app in (b1, b2):
            app.close()
        kme_b.start()


def test_at_once():
    """what never comes, or must not be waited for, is said at once"""
    for timeout, index, what in ((0, 6, 'no Timeout'), (9000, 3, 'it was left out'),
                                 (9000, 5, 'it was given')):
        stream = both(timeout=timeout)
        chunk_at_both(stream, 5)
        asked = refusals()
        equal(b1.get(stream, index)[0], NO_KEY, what)
        equal(refusals(), asked + 1, f'{what}: asked once')


def test_others():
    """a stream is for its two SAEs, and a source is who the certificate says"""
    _, _, stream = a1.open('b1')
    equal(b2.open('a1', stream)[0], NO_QKD, 'b2 for b1')
    equal(b1.open('a2', stream)[0], NO_QKD, 'another master')
    equal(a2.open('b1', stream)[0], IN_USE, 'a2 for a1')
    equal(b1.open('a1', stream)[0], OK, 'b1')
    equal(b2.open('a1', stream)[0], IN_USE, 'b2 for b1, who is there')
    chunk_at_both(stream, 0)
    a1.get(stream, 1)
    for app in (a2, b2):
        equal(app.get(stream, 1)[0], NO_QKD, app.sae)
        equal(app.leave(stream), NO_QKD, app.sae)
    equal(b1.get(stream, 1)[0], OK, 'nothing was taken')
    equal(a1.open('b1', source='a2')[0], NO_QKD, 'another source')
    equal(a2.open('b3')[0], NO_QKD, 'a pair that may not')
    equal(a1.open('nobody')[0], NO_QKD, 'nobody')
    equal(b1.open('a1', os.urandom(16))[0], NO_QKD, 'no such stream')
    equal(a1.get(os.urandom(16), 0)[0], NO_QKD, 'no such stream')


def test_close():
    """a stream is there until both have left it"""
    stream = both()
    chunk_at_both(stream, 0)
    a1.get(stream, 1)
    equal(b1.leave(stream), OK, 'slave')
    equal(b1.get(stream, 1)[0], NO_QKD, 'the slave has left')
    equal(a1.get(stream, 2)[0], PEER_AWAY, 'the peer has left')
    equal(b1.open('a1', stream)[0], OK, 'the slave comes again')
    equal(b1.get(stream, 1)[0], OK, 'what was kept')
    equal((a1.leave(stream), b1.leave(stream)), (OK, OK), 'both')
    for app in (a1, b1):
        equal((app.get(stream, 2)[0], app.leave(stream)), (NO_QKD, NO_QKD), 'it has gone')


def test_ttl():
    """what nobody uses goes"""
    stream = both(ttl=4)    # in which both have come, on any machine
    time.sleep(8)
    equal(a1.get(stream, 0)[0], NO_QKD, 'master')
    equal(b1.get(stream, 0)[0], NO_QKD, 'slave')


def test_quota():
    """the quota of an SAE holds here, too"""
    kme_a.configure(text_of('a', quota='quota = 5\nquota-time = 1h'))
    kme_a.reload()
    for app in (a2, b1):
        app.close()
    stream = both(master=a2)
    got = [a2.get(stream, index)[0] for index in range(8)]
    equal((got.count(OK), set(got[got.index(NO_KEY):])), (5, {NO_KEY}), 'answers')
    kme_a.configure(text_of('a'))
    kme_a.reload()
    for app in (a1, a2):
        app.close()


def test_limits():
    """no more connections from one address than there may be, and none that says nothing"""
    kme_a.configure(text_of('a', more='connections-per-address = 2\ntimeout = 2s\n'))
    kme_a.reload()
    a1.close()
    with inside('kma'):
        silent = [socket.create_connection((LOCAL['a'], PORT_004), timeout=TIMEOUT)
                  for _ in range(3)]
    equal([one.recv(1) for one in reversed(silent)], [b''] * 3, 'the third, then those too slow')
    for one in silent:
        one.close()
    log = kme_a.log()
    equal(('as many as there may be from one address' in log, log.count('it takes too long')),
          (True, 2), 'it is said')
    kme_a.configure(text_of('a'))
    kme_a.reload()


def test_other_kme():
    """the other KME goes, and comes"""
    stream = both()
    chunk_at_both(stream, 0)
    kme_a.stop()
    a1.close()
    equal(b1.get(stream, 1)[0], NO_QKD, 'it is away')
    equal('the KME at its other end' in kme_b.log(), True, 'it is said')
    kme_a.start()
    equal(b1.get(stream, 1)[0], NO_QKD, 'it has forgotten the stream')
    chunk_at_both(both(), 0)
    kme_b.stop()
    b1.close()
    kme_b.start()
    stream = both()
    kme_b.stop()
    b1.close()
    equal(a1.get(stream, 0)[0], OK, 'the master goes on')
    kme_b.start()
    equal(b1.open('a1', stream)[0], OK, 'the slave comes again')
    equal(b1.get(stream, 0)[0], OK, 'what was kept')


def refused_frame(data):
    """The connection ends, and nothing is said."""
    app = App('a1')
    app.connect()
    app.sock.sendall(data)
    try:
        equal(app.sock.recv(1), b'', f'{data[:8].hex()}')
    except ConnectionResetError:
        pass
    app.close()


def test_frames():
    """what is no request ends the connection; one that comes in pieces is one"""
    good = frame(GET_KEY, bytes(24))
    for data in (b'\1\0\0' + good[3:], b'\2' + good[1:], good[:3] + b'\5' + good[4:],
                 good[:3] + b'\0' + good[4:], good[:4] + b'\xff' * 4, frame(GET_KEY, bytes(23)),
                 frame(GET_KEY, bytes(25)), frame(CLOSE, b''), frame(OPEN_CONNECT, bytes(303)),
                 frame(OPEN_CONNECT, b'x' * 2000), b'GET / HTTP/1.1\r\n\r\n'):
        refused_frame(data)
    equal(a1.open('b1', pieces=50)[0], NO_PEER, 'in pieces')
    # two at once are answered one after the other
    a1.sock.sendall(good + good)
    equal((a1.read(24)[3], a1.read(24)[3]), (GET_KEY + 1, GET_KEY + 1), 'two requests')


def test_strangers():
    """who has no certificate of an SAE or of the other KME gets nothing"""
    certificate('nobody', '/CN=nobody.example', 'DNS:nobody.example')
    certificate('foreign', '/CN=a1.example', 'DNS:a1.example', by='other-ca')
    for name in ('nobody', 'foreign', 'kme-a'):
        app = App('a1', name)
        try:
            app.connect()
            said = app.sock.recv(1)     # with TLS 1.3 the client is done first
        except OSError:
            said = b''
        app.close()
        equal(said, b'', f'{name} was served')
    # the other KME is no SAE, and asks for nothing but its own SAEs' streams
    stream = both()
    for index in range(2):
        a1.get(stream, index)
    other = App('b1', 'kme-b')
    other.site = 'a'
    equal(other.open('a1')[0], NO_QKD, 'a stream of its own')
    status, _, key_id, metadata = other.get(stream, 0)
    equal((status, len(key_id), list(json.loads(metadata))), (OK, 16, ['age']), 'an ID, and no key')
    status, _, key_id, metadata = other.get(stream, 1, room=0)
    equal((status, len(key_id), metadata), (OK, 16, b''), 'the same without room')
    equal(b1.get(stream, 0)[0], NO_KEY, 'it was said once')
    other.close()


def test_config():
    """sections that are wrong"""
    for line, says in (('listen-004 = 127.0.0.1', 'not ADDRESS:PORT'),
                       ('listen-004 = ::1:25575', 'brackets'),
                       ('listen-004 = kme.example:25575', 'no address in figures')):
        path = f'{DIR}/wrong.conf'
        with open(path, 'w', encoding='ascii') as file:
            file.write(text_of('a', more=line))
        said = command('sh', '-c', f'qkd-kme --check-config {path} 2>&1 || echo bad', check=False)
        equal((says in said, said.endswith('bad\n')), (True, True), said)


def test_nowhere():
    """no chunk stays in a KME's memory, or gets into its log"""
    stream = both()
    got = [chunk_at_both(stream, index)[2] for index in range(10)]
    for kme, control in ((kme_a, 'a1.example'), (kme_b, 'b1.example')):
        memory, log = memory_of(kme.process.pid), kme.log()
        equal(control.encode() in memory, True, 'the search finds what is there')
        equal([key for key in got for part in (key[:16], key[16:]) if part in memory], [],
              f'chunks in the memory of site {kme.site}')
        equal([key for key in got + keys if key[:8].hex() in log], [], 'chunks in the log')
        equal('get_key status 0' in log, True, 'an access log')


a1, a2, b1, b2 = (App(name) for name in ('a1', 'a2', 'b1', 'b2'))
keys = []
TESTS = [test_streams, test_order, test_timeout, test_at_once, test_age, test_qos, test_room,
         test_others, test_close, test_ttl, test_frames, test_strangers, test_config, test_quota,
         test_limits, test_other_kme, test_nowhere]

if __name__ == '__main__':
    try:
        certificates()
        for place in 'ab':
            certificate(f'kme-{place}', f'/CN=kme-{place}', f'DNS:kme-{place}.example')
        wire_up('rate', '4mbit', 'key-capacity', '128k')
        command('ip', 'link', 'add', 'ka', 'netns', 'kma', 'type', 'veth', 'peer', 'name', 'kb',
                'netns', 'kmb')
        for place in 'ab':
            command('ip', '-n', f'km{place}', 'addr', 'add', f'{ADDRESS[place]}/24', 'dev',
                    f'k{place}')
            command('ip', '-n', f'km{place}', 'link', 'set', f'k{place}', 'up')
        kme_a, kme_b = Kme('a', text_of('a')).start(), Kme('b', text_of('b')).start()
        for place in 'ab':
            wait_for_key(place, 20000)
        run(TESTS)
    finally:
        for place in 'ab':
            if f'kme_{place}' in globals():
                globals()[f'kme_{place}'].stop()
        take_down()
