#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A peer of qkdd(8) that has a certificate, and misbehaves: qkdd_auth.py CASE LINK.

It is bob.example; alice.example listens. LINK is what `qkd -j link show` says of
alice's link. Ends when the daemon has closed the connection; see
Documentation/abi/qkdd-channel.md, whose example it checks, too.
"""
import json
import re
import struct
import sys

from qkdd_peer import (A2B_KEY, A2B_PAD, ANSWER, B2A_PAD, BEGUN, DRAINED, EDGE, GONE, HELLO,
                       OFFER, PAGE, PING, SAK, SUPPLIED, SUPPLY, SWITCH, TAG, VERDICT, Peer, frame,
                       name)


def wrong_sender(p):
    p.send(p.next(HELLO, sender='carol.example'))


def wrong_receiver(p):
    p.send(p.next(HELLO, receiver='carol.example'))


def no_hello(p):
    p.send(p.next(PING))


def two_hellos(p):
    p.hello()
    p.hello()


def replayed(p):
    p.hello()
    ping = p.next(PING)
    p.send(ping, ping)


def replayed_hello(p):
    hello = p.next(HELLO)
    p.send(hello, hello)


def reordered(p):
    p.hello()
    one, two = p.next(PING), p.next(PING)
    p.send(two, one)


def truncated(p):
    p.hello()
    p.send(p.next(PING), p.next(PING)[:-5])
    p.tls.unwrap().close()


def cut_fields(p):
    p.hello()
    p.send(p.next(BEGUN, name('qkd0') + bytes([0, 1]) + bytes(31)))


def oversized(p):
    p.hello()
    p.send(struct.pack('>I', 16381) + bytes(16381))


def endless(p):
    p.hello()
    p.send(b'\xff' * 4096)


def empty(p):
    p.hello()
    p.send(bytes(4))


def unknown_version(p):
    p.hello()
    p.send(p.next(PING, version=2))


def unknown_type(p):
    p.hello()
    p.send(p.next(200))


def too_much(p):
    p.hello()
    p.send(p.next(PING, b'x'))


def out_of_range(p):
    p.hello()
    p.show(role=3)


def nameless(p):
    p.hello()
    p.send(p.next(GONE, b'\0'))


def control_characters(p):
    p.hello()
    p.send(p.next(GONE, name('qkd\n')))


def verdict_at_tx(p):
    p.hello()
    p.show()
    p.send(p.block(VERDICT, A2B_PAD, 0, struct.pack('>IB', 4096, 1)))


def tag_at_rx(p):
    p.hello()
    p.show()
    p.send(p.block(TAG, B2A_PAD, 0, struct.pack('>I', 4096) + bytes(16)))


def edge_back(p):
    p.hello()
    p.show()
    p.send(p.block(EDGE, A2B_PAD, 64), p.block(EDGE, A2B_PAD, 32))


def too_many_tags(p):
    p.hello()
    p.show()
    p.send(*(p.block(TAG, A2B_PAD, (1 << 40) + 4096 * i, struct.pack('>I', 4096) + bytes(16))
             for i in range(65)))


def supply(stream=B2A_PAD, ids=(b'\2k1', b'\2k2'), count=None, **more):
    """A SUPPLY of two keys; whatever else."""
    fields = {'length': 32, 'number': 1, 'size': 32, **more}
    rest = struct.pack('>IQI', fields['length'], fields['number'], fields['size'])
    ids = bytes([len(ids) if count is None else count]) + b''.join(ids)
    return lambda p: p.block(SUPPLY, stream, 0, rest + ids)


def bad_supply(**more):
    def case(p):
        p.hello()
        p.show()
        p.send(supply(**more)(p))
    return case


supply_at_tx = bad_supply(stream=A2B_PAD)
supply_without_keys = bad_supply(ids=())
supply_cut_short = bad_supply(count=3)
supply_too_many = bad_supply(ids=[b'\1k'] * 129)
supply_empty_id = bad_supply(ids=(b'\0', b'\2k2'))
supply_no_text = bad_supply(ids=(b'\2k\n', b'\2k2'))
supply_number_0 = bad_supply(number=0)
supply_size_0 = bad_supply(size=0)
supply_too_large = bad_supply(size=8193)
supply_too_long = bad_supply(length=64)
supply_askew = bad_supply(length=24)


def supplied_at_rx(p):
    p.hello()
    p.show()
    p.send(p.block(SUPPLIED, B2A_PAD, 0, struct.pack('>QB', 1, 1)))


def supplied_out_of_range(p):
    p.hello()
    p.show()
    p.send(p.block(SUPPLIED, A2B_PAD, 0, struct.pack('>QB', 1, 5)))


def sak_before_secy(p):
    p.hello()
    p.show()
    p.sa(SAK, 1, 0, bytes(16))


def an_out_of_range(p):
    p.hello()
    p.secy(1, 2)
    p.sa(SAK, 1, 4, bytes(16))


def suite_out_of_range(p):
    p.hello()
    p.secy(1, 5)


def ignored(p):
    """What is about other links, generations or blocks, and offers to alice: no harm,
    no answer."""
    p.hello()
    p.show()
    gone = name('other')
    p.send(p.next(GONE, gone),
           p.block(TAG, A2B_PAD, 0, struct.pack('>I', 4096) + bytes(16), label=999),
           p.block(VERDICT, B2A_PAD, 1 << 40, struct.pack('>IB', 4096, 2)),
           p.next(OFFER, name('qkd0') + struct.pack('>H', 7) + bytes(32)),
           p.next(BEGUN, name('qkd0') + struct.pack('>H', 7) + bytes(32)),
           supply()(p), p.block(SUPPLIED, A2B_PAD, 0, struct.pack('>QB', 1, 1)))
    p.secy(1, 2)
    for kind, rest in ((SAK, b''), (SWITCH, b''), (DRAINED, b''), (ANSWER, b'\1')):
        p.sa(kind, 1, 3, bytes(range(16)), rest)
    p.tls.settimeout(0.4)       # the daemon pings each second
    try:
        while p.tls.recv(4096):
            pass
        sys.exit('the daemon closed the connection')
    except TimeoutError:
        pass


def documented(p):
    """The page's example: what the daemon says first, and what we would."""
    with open(PAGE, encoding='utf-8') as file:
        example = file.read().partition('## Example')[2]
    hello, edge, supply_of_two = (bytes.fromhex(text) for text in
                                  re.findall(r'(?:\t[0-9a-f ]+\n)+', example))
    said = p.tls.recv(len(hello))
    names = {'sender': 'alice.example', 'receiver': 'bob.example'}
    ours = frame(EDGE, 2, name('ab') + struct.pack('>HBQ', 1, A2B_PAD, 65536), **names)
    keys = frame(SUPPLY, 3, name('ab') + struct.pack('>HBQIQI', 1, A2B_KEY, 64, 32, 5, 32) +
                 b'\2\2k1\2k2', **names)
    if said != hello or ours != edge or frame(HELLO, 1, **names) != hello or \
            keys != supply_of_two:
        sys.exit(f'{said.hex()} {ours.hex()} {keys.hex()}')


def main():
    with open(sys.argv[2], encoding='utf-8') as file:
        link = json.load(file)[0]
    peer = Peer(link)
    globals()[sys.argv[1]](peer)
    if sys.argv[1] not in ('truncated', 'ignored', 'documented'):
        peer.wait_closed()


main()
