# SPDX-License-Identifier: GPL-2.0-only
"""races.py SECONDS: traffic both ways on both CPUs under otp, and under aes with an
epoch per packet, while the link under it is wiped, starved, aged, deleted and begun
anew at random moments.

All text repeats 16 random bytes, so wherever pad that was wiped too early meets
it, 16 bytes of a packet on the wire equal some rotation of them; under aes so do
those that are opened with the zeros that a wiped epoch has. Datagrams carry no UDP
checksum: whatever decrypts wrongly is delivered, and seen.
"""
import contextlib
import ctypes
import functools
import multiprocessing
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

import esp_wire as wire                                     # noqa: E402
import genl                                                 # noqa: E402

MARK = bytes(random.SystemRandom().randrange(1, 256) for _ in range(16))
TEXT = MARK * 4100
ROTATIONS = [TEXT[i:i + 16] for i in range(16)]
SO_NO_CHECK = 11
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_STATISTICS = 263, 6
ENDS = {'alice': ('va', 0), 'bob': ('vb', 1)}
OUTER = {'alice': '10.1.0.1', 'bob': '10.1.0.2'}
# cipher -> SPIs of what alice and bob send, reqid, inner addresses; of races.sh
TUNNELS = {'otp': ((0x1001, 0x1002), 1, {'alice': '10.2.1.1', 'bob': '10.2.2.1'}),
           'aes': ((0x2001, 0x2002), 2, {'alice': '10.3.1.1', 'bob': '10.3.2.1'})}
BEGIN = 128             # bytes of a packet that are opened with zeros
PORT = 9
CONTROLS = 3
GENERATIONS = 4


class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in (
        'sent', 'unsent', 'otp', 'aes', 'garbled', 'captured', 'clear', 'zeros', 'bare', 'dropped')]


def other(name):
    return 'bob' if name == 'alice' else 'alice'


def sender(name, counts, stop):
    os.sched_setaffinity(0, {ENDS[name][1]})
    flows = []
    for _, _, inner in TUNNELS.values():
        sock = wire.udp(name, inner[name])
        sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        flows.append((sock, (inner[other(name)], PORT)))
    rng = random.Random()
    while not stop.is_set():
        sock, peer = rng.choice(flows)
        size = rng.choice((16, 100, 500, 1000, 1300, 1400, 5000, 20000))
        data = struct.pack('>I', size) + TEXT[:size]
        cut = rng.randrange(len(data)) if size < 1300 and rng.random() < 0.3 else 0
        try:
            if cut:
                sock.sendto(data[:cut], socket.MSG_MORE, peer)
            sock.sendto(data[cut:], 0, peer)
            counts.sent += 1
        except OSError:
            counts.unsent += 1
            time.sleep(0.002)


def receiver(name, counts, stop):
    socks = {wire.udp(name, inner[name], PORT): cipher
             for cipher, (_, _, inner) in TUNNELS.items()}
    while not stop.is_set():
        for sock in select.select(list(socks), [], [], 0.5)[0]:
            data = sock.recv(70000)
            setattr(counts, socks[sock], getattr(counts, socks[sock]) + 1)
            size = struct.unpack('>I', data[:4])[0] if len(data) >= 4 else -1
            if size != len(data) - 4 or data[4:] != TEXT[:size]:
                counts.garbled += 1


@functools.cache
def zeros_stream(counter):
    """What AES-GCM adds to a text under a key and nonce base of zeros."""
    begin = counter.to_bytes(12, 'big') + (2).to_bytes(4, 'big')
    cipher = Cipher(algorithms.AES(bytes(32)), modes.CTR(begin)).encryptor()
    return int.from_bytes(cipher.update(bytes(BEGIN)), 'big')


def has_text(data):
    return any(rotation in data for rotation in ROTATIONS)


def is_under_zeros(esp):
    """Does an ESP packet have its text if it is opened with zeros?"""
    text = esp[16:16 + BEGIN].ljust(BEGIN, b'\0')
    number = int.from_bytes(text, 'big') ^ zeros_stream(int.from_bytes(esp[12:16], 'big'))
    return has_text(number.to_bytes(BEGIN, 'big'))


def watcher(name, counts, stop):
    """Everything that leaves the device, to the last frame."""
    sock = wire.packet_socket(name, ENDS[name][0])
    spis = TUNNELS['aes'][0]
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
        if has_text(frame):
            counts.clear += 1
        esp = frame[wire.ESP_AT:]
        if int.from_bytes(esp[:4], 'big') in spis and is_under_zeros(esp):
            counts.zeros += 1
    counts.dropped += struct.unpack('II', sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


def qkd(name, *words):
    return subprocess.run(['ip', 'netns', 'exec', name, 'qkd', *words], check=False,
                          capture_output=True).returncode


def nap(most):
    time.sleep(random.random() * most)


@functools.cache
def client(name):
    with wire.Namespace(name):
        return genl.Qkd()


def ask(end, op, **values):
    """Whatever it is asked of may be gone just now."""
    with contextlib.suppress(OSError):
        client(end).do(op, **values)


def generation():
    """Some in a row, without a process for each: what such an end can meet is
    a packet that is half done, so they must be many."""
    for admin in ('down', 'up') * GENERATIONS:
        ask('alice', 'link-set', name='qkd0', admin=admin)
        nap(0.1)


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


def sa_name(cipher, name, direction):
    sender_ = name if direction == 'out' else other(name)
    spi = TUNNELS[cipher][0][list(OUTER).index(sender_)]
    return {'link_name': 'qkd0', 'dir': direction, 'spi': spi}


def sa(cipher, name, direction):
    ends = [socket.inet_aton(OUTER[end]) for end in (name, other(name))]
    src, dst = ends if direction == 'out' else ends[::-1]
    found = {**sa_name(cipher, name, direction), 'cipher': cipher, 'src': src, 'dst': dst,
             'mode': 'tunnel', 'reqid': TUNNELS[cipher][1]}
    if cipher == 'aes':
        found |= {'rekey_packets': 1} if direction == 'out' else {'replay_window': 64}
    return found


def any_sa():
    return random.choice(list(TUNNELS)), random.choice(list(ENDS)), random.choice(('in', 'out'))


def replace_sa():
    """Also one that belongs to the other end, whose SPI and direction are free or not."""
    cipher, name, direction = any_sa()
    ask(random.choice(list(ENDS)), 'esp-replace', **sa(cipher, name, direction))
    cipher, name, direction = any_sa()
    ask(name, 'esp-replace', **sa(cipher, name, direction))


def delete_sa():
    cipher, name, direction = any_sa()
    ask(name, 'esp-del', **sa_name(cipher, name, direction))
    nap(0.1)
    ask(name, 'esp-add', **sa(cipher, name, direction))


def new_link():
    ask(random.choice(list(ENDS)), 'link-del', name='qkd0')
    nap(0.1)
    qkd('alice', 'link', 'add', 'qkd0', 'type', 'emu', 'rate', '400mbit', 'pad-capacity', '2M',
        'peer', 'name', 'qkd0', 'netns', 'bob')
    for name in ENDS:
        subprocess.run(['ip', '-n', name, 'xfrm', 'state', 'deleteall'], check=False)
    for name in ENDS:
        for cipher in TUNNELS:
            for direction in ('in', 'out'):
                ask(name, 'esp-add', **sa(cipher, name, direction))


OPERATIONS = (generation, generation, starve, age, keep, fault, replace_sa, delete_sa, new_link)


def say(name, good):
    print(f"{'ok' if good else 'not ok'} - {name}", flush=True)
    return good


def control():
    """Text that leaves in clear, so that the watchers show that they see it. A
    socket takes it: an ICMP error would quote it. They know zeros when they see
    them, too."""
    text = int.from_bytes((bytes(32) + TEXT)[:BEGIN], 'big') ^ zeros_stream(0)
    if not is_under_zeros(bytes(16) + text.to_bytes(BEGIN, 'big')):
        say('what is sealed under zeros is seen', False)
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
    workers = [multiprocessing.Process(target=work, daemon=True,
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
    good &= say('none under aes is sealed with the zeros of a wiped epoch', counts.zeros == 0)
    good &= say('nothing leaves but ESP and the control', counts.bare == 0)
    good &= say('nothing is delivered garbled', counts.garbled == 0)
    good &= say('there was traffic: packets captured and delivered, of both ciphers',
                counts.captured > 500 and min(counts.otp, counts.aes) > 100)
    good &= say('each kind of operation ran', min(done.values()) > 0)
    sys.exit(not good)


main()
