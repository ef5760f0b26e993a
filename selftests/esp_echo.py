# SPDX-License-Identifier: GPL-2.0-only
"""esp_echo.py COUNT ADDRESS PEER [--loss]: UDP datagrams of all sizes from
alice to bob and back, compared byte by byte.

Those that fit into one packet are sent in random pieces (MSG_MORE), which makes
skbs of all shapes: a linear part and page fragments, ESP in place and out of
place. Larger ones go in one piece: of those in pieces the receiver's reassembly
refuses many, under rfc4106(gcm(aes)) as under otp (tried side by side on 6.12; in
clear all pass). skb_cow_data() does not count the memory of the fragments that
it copies, and fragmentation then takes more from the head than it has. With
--loss some may be missing and some come late or twice, but none may be garbled.
"""
import os
import random
import select
import socket
import sys

import esp_wire as wire

EDGES = [0, 1, 2, 3, 13, 14, 15, 16, 17, 18, 31, 32, 33, 255, 256, 1357, 1358, 1400, 1447,
         1448, 1472, 1473, 4063, 4096, 8192, 16384, 32768, 65000]
WINDOW = 8
WHOLE = 1300


def pieces(data, rng):
    """Cut into at most five."""
    if len(data) > WHOLE:
        return [data]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(5)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]


def send(sock, data, rng, to):
    parts = pieces(data, rng)
    for part in parts[:-1]:
        sock.sendto(part, socket.MSG_MORE, to)
    sock.sendto(parts[-1], 0, to)


def main():
    count, mine, theirs = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    lossy = '--loss' in sys.argv
    rng = random.Random(os.urandom(8))
    alice, bob = wire.udp('alice', mine), wire.udp('bob', theirs, 7)
    sizes = EDGES + [min(int(rng.expovariate(1 / 3000)), 65000) for _ in range(count)]
    flying, got, at, late = {}, 0, 0, set()
    otp = wire.is_otp()
    while at < len(sizes) or flying:
        while at < len(sizes) and len(flying) < WINDOW:
            if otp and at % wire.BURST == 0:
                wire.wait_for_pad()
            data = at.to_bytes(4, 'big') + os.urandom(sizes[at])
            send(alice, data, rng, (theirs, 7))
            flying[at] = data
            at += 1
        ready, _, _ = select.select([alice, bob], [], [], 2 if lossy else 20)
        if not ready:
            if not lossy:
                sys.exit(f'no answer to {sorted(len(d) for d in flying.values())} bytes')
            late |= set(flying)
            flying.clear()
        if bob in ready:
            data, peer = bob.recvfrom(70000)
            number = int.from_bytes(data[:4], 'big')
            if number in flying and flying[number] != data:
                sys.exit(f'datagram {number} of {len(data)} bytes came garbled to bob')
            send(bob, data, rng, peer)
        if alice in ready:
            data = alice.recv(70000)
            number = int.from_bytes(data[:4], 'big')
            if number in flying:
                if flying.pop(number) != data:
                    sys.exit(f'datagram {number} of {len(data)} bytes came back garbled')
                got += 1
            elif number >= at or (not lossy and number not in late):
                sys.exit(f'datagram {number} came twice')
    print(f'{got} of {len(sizes)} datagrams came back, {sum(sizes)} bytes')
    sys.exit(not got)


main()
