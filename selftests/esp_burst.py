# SPDX-License-Identifier: GPL-2.0-only
"""esp_burst.py COUNT ADDRESS PEER [--flying N]: COUNT datagrams from alice to
bob and COUNT back, both at once, each of another size. All must come once and
unchanged, in whatever order; N are on their way at most in each direction.
"""
import os
import select
import sys

import esp_wire as wire

QUIET = 10      # seconds without a datagram: those that are missing are lost


class Flow:
    """Datagrams of one direction."""

    def __init__(self, src, dst, to, count, flying):
        self.src, self.dst, self.to, self.count, self.flying = src, dst, to, count, flying
        self.sent, self.got = 0, 0
        self.waiting = {}
        self.text = os.urandom(2048)

    def data(self, number):
        start = number % 1499
        return number.to_bytes(4, 'big') + self.text[start:start + number * 7 % 513]

    def send(self):
        while self.sent < self.count and len(self.waiting) < self.flying:
            self.waiting[self.sent] = True
            self.src.sendto(self.data(self.sent), self.to)
            self.sent += 1

    def take(self):
        """All that has come."""
        while True:
            try:
                data = self.dst.recv(4096)
            except BlockingIOError:
                return
            number = int.from_bytes(data[:4], 'big')
            if not self.waiting.pop(number, False):
                sys.exit(f'datagram {number} came twice')
            if data != self.data(number):
                sys.exit(f'datagram {number} came garbled')
            self.got += 1

    def done(self):
        return self.got == self.count


def main():
    count, mine, theirs = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    flying = int(sys.argv[sys.argv.index('--flying') + 1]) if '--flying' in sys.argv else 128
    alice, bob = wire.udp('alice', mine, 7), wire.udp('bob', theirs, 7)
    flows = {bob: Flow(alice, bob, (theirs, 7), count, flying),
             alice: Flow(bob, alice, (mine, 7), count, flying)}
    for sock in flows:
        sock.setblocking(False)
    while not all(flow.done() for flow in flows.values()):
        for flow in flows.values():
            flow.send()
        ready, _, _ = select.select(list(flows), [], [], QUIET)
        if not ready:
            sys.exit(', '.join(f'{len(f.waiting)} of {f.sent} are missing' for f in flows.values()))
        for sock in ready:
            flows[sock].take()
    print(f'{count} datagrams each way')


main()
