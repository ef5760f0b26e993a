# SPDX-License-Identifier: GPL-2.0-only
"""races.py SECONDS: traffic both ways on both CPUs, while the link under it is
wiped, starved, aged, deleted and begun anew at random moments.

All text repeats 16 random bytes, so wherever pad that was wiped too early meets
it, 16 bytes of a packet on the wire equal some rotation of them. Datagrams
carry no UDP checksum: whatever decrypts wrongly is delivered, and seen.
"""
import contextlib
import ctypes
import multiprocessing
import os
import random
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

import esp_wire as wire                                     # noqa: E402
import genl                                                 # noqa: E402

MARK = bytes(random.SystemRandom().randrange(1, 256) for _ in range(16))
TEXT = MARK * 4100
ROTATIONS = [TEXT[i:i + 16] for i in range(16)]
SO_NO_CHECK = 11
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_STATISTICS = 263, 6
ENDS = {'alice': ('10.2.1.1', 'va', 0, '10.2.2.1'), 'bob': ('10.2.2.1', 'vb', 1, '10.2.1.1')}
PORT = 9
CONTROLS = 3
GENERATIONS = 4


class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in (
        'sent', 'unsent', 'received', 'garbled', 'captured', 'clear', 'bare', 'dropped')]


def sender(name, counts, stop):
    address, _, cpu, peer = ENDS[name]
    os.sched_setaffinity(0, {cpu})
    sock = wire.udp(name, address)
    sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    rng = random.Random()
    while not stop.is_set():
        size = rng.choice((16, 100, 500, 1000, 1300, 1400, 5000, 20000))
        data = struct.pack('>I', size) + TEXT[:size]
        cut = rng.randrange(len(data)) if size < 1300 and rng.random() < 0.3 else 0
        try:
            if cut:
                sock.sendto(data[:cut], socket.MSG_MORE, (peer, PORT))
            sock.sendto(data[cut:], 0, (peer, PORT))
            counts.sent += 1
        except OSError:
            counts.unsent += 1
            time.sleep(0.002)


def receiver(name, counts, stop):
    sock = wire.udp(name, ENDS[name][0], PORT)
    sock.settimeout(0.5)
    while not stop.is_set():
        try:
            data = sock.recv(70000)
        except TimeoutError:
            continue
        counts.received += 1
        size = struct.unpack('>I', data[:4])[0] if len(data) >= 4 else -1
        if size != len(data) - 4 or data[4:] != TEXT[:size]:
            counts.garbled += 1


def watcher(name, counts, stop):
    """Everything that leaves the device, to the last frame."""
    sock = wire.packet_socket(name, ENDS[name][1])
    sock.settimeout(0.5)
    while True:
        try:
            frame, where = sock.recvfrom(70000)
        except TimeoutError:
            if stop.is_set():
                break
            continue
        if where[2] != PACKET_OUTGOING or frame[12:14] != b'\x08\x00':
            continue
        counts.captured += 1
        if not wire.is_esp(frame):
            counts.bare += 1
        if any(rotation in frame for rotation in ROTATIONS):
            counts.clear += 1
    counts.dropped += struct.unpack('II', sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


def qkd(name, *words):
    return subprocess.run(['ip', 'netns', 'exec', name, 'qkd', *words], check=False,
                          capture_output=True).returncode


def nap(most):
    time.sleep(random.random() * most)


def generation():
    """Some in a row, without a process for each: what such an end can meet is
    a packet that is half done, so they must be many."""
    with wire.Namespace('alice'):
        family = genl.Qkd()
    for admin in ('down', 'up') * GENERATIONS:
        with contextlib.suppress(OSError):      # somebody deletes the link
            family.do('link-set', name='qkd0', admin=admin)
        nap(0.1)
    family.close()


def starve():
    qkd('alice', 'link', 'set', 'qkd0', 'stop')
    nap(1)
    qkd('alice', 'link', 'set', 'qkd0', 'start')


def age():
    name = random.choice(('alice', 'bob'))
    qkd(name, 'link', 'set', 'qkd0', 'max-age', '100ms')
    nap(0.5)
    qkd(name, 'link', 'set', 'qkd0', 'max-age', '0')


def keep():
    qkd('bob', 'link', 'set', 'qkd0', 'pad-keep', '100ms')
    nap(0.5)
    qkd('bob', 'link', 'set', 'qkd0', 'pad-keep', '60s')


def fault():
    qkd('alice', 'link', 'set', 'qkd0', random.choice(('flip', 'lose')), '1')
    nap(0.2)


def sa_words(name, direction):
    src, dst = ('10.1.0.1', '10.1.0.2') if (name == 'alice') == (direction == 'out') else (
        '10.1.0.2', '10.1.0.1')
    spi = '0x1001' if src == '10.1.0.1' else '0x1002'
    return ['src', src, 'dst', dst, 'spi', spi, 'dir', direction, 'dev', 'qkd0', 'cipher', 'otp',
            'mode', 'tunnel', 'reqid', '1']


def replace_sa():
    qkd(random.choice(('alice', 'bob')), 'esp', 'replace',
        *sa_words('alice', random.choice(('in', 'out'))))
    name = random.choice(('alice', 'bob'))
    qkd(name, 'esp', 'replace', *sa_words(name, random.choice(('in', 'out'))))


def delete_sa():
    name, direction = random.choice(('alice', 'bob')), random.choice(('in', 'out'))
    spi = sa_words(name, direction)[5]
    qkd(name, 'esp', 'del', 'spi', spi, 'dir', direction, 'dev', 'qkd0')
    nap(0.1)
    qkd(name, 'esp', 'add', *sa_words(name, direction))


def new_link():
    qkd(random.choice(('alice', 'bob')), 'link', 'del', 'qkd0')
    nap(0.1)
    qkd('alice', 'link', 'add', 'qkd0', 'type', 'emu', 'rate', '400mbit', 'pad-capacity', '2M',
        'peer', 'name', 'qkd0', 'netns', 'bob')
    for name in ENDS:
        for direction in ('in', 'out'):
            subprocess.run(['ip', '-n', name, 'xfrm', 'state', 'deleteall'], check=False)
    for name in ENDS:
        for direction in ('in', 'out'):
            qkd(name, 'esp', 'add', *sa_words(name, direction))


OPERATIONS = (generation, generation, starve, age, keep, fault, replace_sa, delete_sa, new_link)


def say(name, good):
    print(f"{'ok' if good else 'not ok'} - {name}", flush=True)
    return good


def control():
    """Text that leaves in clear, so that the watchers show that they see it. A
    socket takes it: an ICMP error would quote it."""
    sock, sink = wire.udp('alice', '10.1.0.1'), wire.udp('bob', '10.1.0.2', PORT)
    for _ in range(CONTROLS):
        sock.sendto(TEXT[:64], ('10.1.0.2', PORT))
        sink.recv(100)


def mend():
    """Whatever state the last operation left, the link comes up again."""
    new_link()
    end = time.monotonic() + 20
    while wire.link('alice')['state'] != 'up' and time.monotonic() < end:
        time.sleep(0.2)


def main():
    halt, stop = multiprocessing.Event(), multiprocessing.Event()
    counts = multiprocessing.Value(Counts, lock=False)
    parts = {(work, name): multiprocessing.Value(Counts, lock=False)
             for work in (sender, receiver, watcher) for name in ENDS}
    workers = [multiprocessing.Process(target=work,
                                       args=(name, part, halt if work == sender else stop))
               for (work, name), part in parts.items()]
    for worker in workers:
        worker.start()
    os.nice(-20)        # or the traffic leaves little time for what disturbs it
    done = dict.fromkeys((operation.__name__ for operation in OPERATIONS), 0)
    end = time.monotonic() + float(sys.argv[1])
    plan = []
    while time.monotonic() < end or plan:
        plan = plan or random.sample(OPERATIONS, len(OPERATIONS))
        operation = plan.pop()
        operation()
        done[operation.__name__] += 1
        nap(0.2)
    mend()
    time.sleep(2)
    halt.set()      # watchers may lag far behind what is sent
    control()
    stop.set()
    for worker in workers:
        worker.join()
    for part in parts.values():
        for field, _ in Counts._fields_:
            setattr(counts, field, getattr(counts, field) + getattr(part, field))
    print({field: getattr(counts, field) for field, _ in Counts._fields_})
    print(done)
    counts.clear -= CONTROLS
    counts.bare -= CONTROLS
    good = say('no packet on the wire equals its text in 16 bytes, but the control',
               counts.clear == 0)
    good &= say('nothing leaves but ESP and the control', counts.bare == 0)
    good &= say('nothing is delivered garbled', counts.garbled == 0)
    good &= say('there was traffic: packets captured and delivered',
                counts.captured > 500 and counts.received > 200)
    good &= say('each kind of operation ran', min(done.values()) > 0)
    sys.exit(not good)


main()
