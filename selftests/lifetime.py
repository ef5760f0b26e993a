# SPDX-License-Identifier: GPL-2.0-only
"""What lifetime.sh does to links: lifetime.py CASE [ARG...].

read NODE...    reads keys until each of the nodes says that its link is gone; a line
                for each that gave one
park            parks packets at senders and at a receiver, says "parked", and
                keeps what would let them go from running until its input ends

Epochs are prepared by work items on the workqueue "qkd". park gives that to one CPU
alone and keeps it busy, so what is queued stays there. Once enough packets wait,
the queue goes to the other CPU: what is queued from then on is done. So the packets
still wait when the link, SA or namespace begins to end. After LONGEST seconds the
CPU is free again, whether that has ended by then or not.
"""
import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

import esp_wire as wire

# of lifetime.sh: alice's and bob's, the one for whom bob has a policy of his own
ALICE, BOB, STRANGER = '10.1.0.1', '10.1.0.2', '10.1.0.77'
SPI_OUT, SPI_BACK = 0x4001, 0x4002
LEAST = 5           # packets that have to wait in each place
LONGEST = 10        # seconds for which a CPU is kept busy
QUEUE = '/sys/devices/virtual/workqueue/qkd/cpumask'
# what would give others a share of a CPU that a real-time process keeps busy
SHARES = {'/proc/sys/kernel/sched_rt_runtime_us': '-1',
          '/sys/kernel/debug/sched/fair_server/cpu1/runtime': '0'}


# Readers

def read_one(node, wrong):
    try:
        os.read(node, 48)
        print('has key', flush=True)
        while True:
            os.read(node, 48)
            time.sleep(0.01)        # supply costs more time than it
    except OSError as why:
        if why.errno != errno.ENODEV:
            wrong.append(why)


def read(*nodes):
    wrong = []
    threads = [threading.Thread(target=read_one, args=(os.open(node, os.O_RDONLY), wrong))
               for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(f'{wrong}' if wrong else 0)


# A CPU that does nothing else

def put(path, text):
    """Returns what it was; None if there is no such file."""
    try:
        with open(path, 'r+', encoding='ascii') as file:
            was = file.read()
            file.seek(0)
            file.write(text)
            return was
    except FileNotFoundError:
        return None


def confine(cpus):
    """All processes to these CPUs, but those that are a CPU's own."""
    for pid in os.listdir('/proc'):
        try:
            for task in os.listdir(f'/proc/{pid}/task') if pid.isdigit() else ():
                os.sched_setaffinity(int(task), cpus)
        except OSError:
            pass


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Stalled:
    """While it lasts, work that is queued is not done."""

    def __enter__(self):
        confine({0})
        self.shares = {path: put(path, value) for path, value in SHARES.items()}
        self.queue = put(QUEUE, '1')
        self.child = os.fork()
        if not self.child:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG
            os.sched_setaffinity(0, {1})
            os.nice(-20)
            spin(0.3)       # what runs on this CPU may hold a lock
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
            spin(3 * LONGEST)
            os._exit(0)
        while os.sched_getscheduler(self.child) != os.SCHED_FIFO:
            time.sleep(0.01)
        put(QUEUE, '2')
        return self

    def resume(self):
        """But what is queued from here on is."""
        put(QUEUE, '1')

    def __exit__(self, *why):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        put(QUEUE, self.queue)
        for path, value in self.shares.items():
            if value is not None:
                put(path, value)
        confine(set(range(os.cpu_count())))


# Packets that wait

def the_sa(name, spi):
    return next(sa for sa in wire.sas(name) if int(str(sa['spi']), 0) == spi)


def send(sock, count=20):
    for _ in range(count):
        with contextlib.suppress(OSError):      # no more can wait
            sock.sendto(b'x', (BOB, 9))


def warm_up():
    """Until epochs are ready that no packet has used yet."""
    with wire.udp('alice', ALICE) as sock:
        for _ in range(50):
            send(sock)
            time.sleep(0.05)
            sa = the_sa('alice', SPI_OUT)
            if sa['key_bytes'] // 32 - sa['epochs'] >= LEAST:
                return
    sys.exit(f'no epochs are ready: {sa}')


def echo_request(size=100):
    """A ping of bob by a stranger, who is not asked for ESP: the answer is
    nobody's in particular, as a socket would hold the namespace."""
    icmp = struct.pack('>BBHHH', 8, 0, 0, 1, 1) + bytes(size)
    icmp = icmp[:2] + struct.pack('>H', ~sum_of(icmp) & 0xffff) + icmp[4:]
    ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0,
                     socket.inet_aton(STRANGER), socket.inet_aton(BOB))
    ip = ip[:10] + struct.pack('>H', wire.checksum(ip)) + ip[12:]
    return bytes.fromhex('020000000002') + bytes.fromhex('020000000001') + b'\x08\x00' + ip + icmp


def sum_of(data):
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    return (total & 0xffff) + (total >> 16)


PLACES = (('alice', SPI_OUT), ('bob', SPI_OUT), ('bob', SPI_BACK))


def parked():
    return [the_sa(*place)['parked'] for place in PLACES]


def fill():
    """Packets wait at alice's outbound SA, bob's inbound and bob's outbound one."""
    before = parked()
    with wire.udp('alice', ALICE) as sock, wire.packet_socket('alice', 'va') as stranger:
        for _ in range(20):
            send(sock)
            for _ in range(LEAST):
                stranger.send(echo_request())
            time.sleep(0.05)
            wait = [now - then for now, then in zip(parked(), before)]
            if min(wait) >= LEAST:
                return wait
    sys.exit(f'these wait: {wait}')


def park():
    warm_up()
    # Until now bob did not know the SA, or his would expect what comes next.
    wire.run('bob', 'qkd', 'esp', 'add', 'src', ALICE, 'dst', BOB, 'spi', hex(SPI_OUT), 'dir',
             'in', 'dev', 'qkd0', 'cipher', 'aes', 'mode', 'transport', 'reqid', '1',
             'replay-window', '64', 'park-time', '1s')
    with Stalled() as stall:
        wait = fill()
        stall.resume()
        print('parked', *wait, flush=True)
        select.select([sys.stdin], [], [], LONGEST)


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
