#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The core, driven through two `user` links that are the two ends of one
association: what keys, key IDs and accounts are, at all edges, is compared with
the reference. After each step the accounting identities are checked at both ends
and across them."""
import errno
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

import accounts                                             # noqa: E402
import genl                                                 # noqa: E402
import keys                                                 # noqa: E402
from ktap import equal, refused, run, scaled                # noqa: E402
from link import CLASSES, CONTEXTS, KEY_SEGMENT, PAD_SEGMENT, STREAMS    # noqa: E402
from pair import Pair                                       # noqa: E402

A2B_PAD, A2B_KEY, B2A_PAD, B2A_KEY = range(4)
OPEN = []


def pair(**options):
    """A fresh pair with an open generation, that goes when the test ends."""
    made = Pair(**options)
    OPEN.append(made)
    made.begin(label=6)
    return made


def cleanup():
    while OPEN:
        OPEN.pop().close()


def settled(p, lossless=False):
    problems = p.problems(lossless)
    if problems:
        raise AssertionError('; '.join(problems))


def totals(end, stream):
    a = end.accounts()[stream]
    return {m: a[m] for m in ('supplied', 'taken', 'skipped', 'lost', 'head', 'live')}


def untouched(p, call, *args, **values):
    """Runs a call after which all accounts must be as before."""
    before = [e.accounts() for e in p.ends()]
    result = call(*args, **values)
    equal([e.accounts() for e in p.ends()], before, 'accounts')
    return result


def reference(p, ident, size, kind='none', context=b''):
    return keys.resolve(p.gen, ident, size, CONTEXTS[kind], context)


def checked_get(p, end, size, klass='export', kind='none', context=b''):
    """Allocates a key and compares ID and bytes with the reference."""
    (ident, handle), = end.get(size, klass, kind, context)
    fields = keys.unpack(ident)
    want = keys.name(p.gen, fields['stream'], CLASSES[klass], fields['offset'] * 32, size,
                     CONTEXTS[kind], context)
    equal(ident.hex(), want.hex(), 'key ID')
    key = end.node.key(handle)
    equal(key, reference(p, ident, size, kind, context), f'key of {size} bytes')
    return ident, key


def each_key(end, size, klass):
    """Allocates keys, many at a time, until there is none."""
    count = 64
    while count:
        try:
            yield from end.get(size, klass, count=count)
        except genl.Refused as why:
            equal(why.errno, errno.ENOKEY)
            count //= 2


def drain(end, size, klass, limit=100000):
    """How many keys there were."""
    count = 0
    for _, handle in each_key(end, size, klass):
        end.node.key(handle)
        count += 1
        if count == limit:
            break
    return count


# --- keys and key IDs


def test_sizes():
    """keys of every edge size and class equal the reference at both ends"""
    p = pair()
    p.feed(A2B_KEY, 3 * KEY_SEGMENT)
    p.feed(B2A_KEY, 3 * KEY_SEGMENT)
    count = 0
    sizes = (1, 16, 31, 32, 33, 48, 63, 64, 65, 96, 1000, 1024, 1984, 1985, 2015, 2016)
    for end, other in ((p.alice, p.bob), (p.bob, p.alice)):
        for klass in ('control', 'export'):
            for size in sizes:
                ident, key = checked_get(p, end, size, klass)
                equal(other.node.claim(ident, size), key, 'claimed key')
                count += 1
        settled(p, lossless=True)
    for size in (0, 2017):
        refused(errno.ERANGE, p.alice.get, size)
    return f'{count} keys'


def test_contexts():
    """each context type and length makes another key, and the peer needs the same"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    count = 0
    for kind in CONTEXTS:
        for context in (b'', b'x', bytes(range(255))):
            if kind == 'none' and context:
                continue
            ident, key = checked_get(p, p.alice, 32, 'export', kind, context)
            for other_kind, other in ((kind, context + b'y' if len(context) < 255 else b'y'),
                                      ('user' if kind != 'user' else 'ppk', context)):
                untouched(p, refused, errno.EKEYREJECTED, p.bob.node.claim, ident, 32,
                          CONTEXTS[other_kind], other)
            equal(p.bob.node.claim(ident, 32, CONTEXTS[kind], context), key)
            count += 1
    refused(errno.EMSGSIZE, p.alice.get, 32, 'export', 'user', bytes(256), attribute='context')
    settled(p, lossless=True)
    return f'{count} contexts'


def test_many():
    """a request for many keys gives as many, each with its own slice"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    issued = p.alice.get(48, count=64)
    equal(len(issued), 64)
    equal(len({i for i, _ in issued}), 64)
    offsets = [keys.unpack(i)['offset'] for i, _ in issued]
    equal(offsets, list(range(1, 129, 2)), 'offsets')
    for ident, handle in issued:
        equal(p.alice.node.key(handle), p.bob.node.claim(ident, 48))
        refused(errno.EBADSLT, p.alice.node.key, handle)
    settled(p, lossless=True)


def test_read():
    """read() gives a record whose key the peer gets by its ID"""
    p = pair()
    p.feed(B2A_KEY, KEY_SEGMENT)
    for size in (1, 32, 48, 2016):
        ident, key = p.bob.node.read(size)
        equal(keys.unpack(ident)['class'], CLASSES['export'])
        equal(key, reference(p, ident, size))
        equal(p.alice.node.claim(ident, size), key)
    refused(errno.EAGAIN, p.alice.node.read, 32)
    settled(p, lossless=True)


def test_bits():
    """an ID with any one of its 128 bits changed is refused and takes nothing"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 64, 'export', 'user', b'ctx')
    allowed = (errno.EKEYREJECTED, errno.EINVAL, errno.ESTALE, errno.ENODATA, errno.ENOENT,
               errno.EMSGSIZE, errno.EACCES)
    before = [e.accounts() for e in p.ends()]
    for bit in range(128):
        wrong = bytearray(ident)
        wrong[bit // 8] ^= 0x80 >> bit % 8
        for attempt in (lambda: p.bob.node.claim(bytes(wrong), 0, CONTEXTS['user'], b'ctx'),
                        lambda: p.bob.do('key-peek', id=bytes(wrong), context_type='user',
                                         context=b'ctx'),
                        lambda: p.bob.do('key-get-by-id', id=bytes(wrong), context_type='user',
                                         context=b'ctx')):
            try:
                attempt()
            except OSError as why:
                if why.errno not in allowed:
                    raise AssertionError(f'bit {bit}: {why}') from why
                continue
            raise AssertionError(f'bit {bit} is not covered')
    equal([e.accounts() for e in p.ends()], before, 'accounts')
    equal(p.bob.show().get('handles', 0), 0, 'handles')
    equal(p.bob.node.claim(ident, 64, CONTEXTS['user'], b'ctx'), key)
    settled(p, lossless=True)


def test_elsewhere():
    """an ID of the own direction, another link, another generation is refused"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    p.feed(B2A_KEY, KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 32)
    untouched(p, refused, errno.EKEYREJECTED, p.alice.node.claim, ident, 32)
    other = pair(names=('tc', 'td'), ids={'alice': 'x', 'bob': 'y'})
    other.feed(A2B_KEY, KEY_SEGMENT)
    untouched(other, refused, errno.EKEYREJECTED, other.bob.node.claim, ident, 32)
    forged = keys.name(other.gen, A2B_KEY, 3, 32, 32)
    untouched(p, refused, errno.EKEYREJECTED, p.bob.node.claim, forged, 32)
    equal(p.bob.node.claim(ident, 32), key)
    stale, _ = checked_get(p, p.alice, 32)
    p.begin()
    p.feed(A2B_KEY, KEY_SEGMENT)
    untouched(p, refused, errno.ESTALE, p.bob.node.claim, stale, 32)
    settled(p)


def test_ahead():
    """a genuine ID ahead of supply is refused, and good once supply is there"""
    p = pair()
    p.feed(A2B_KEY, 4096)
    for offset in (4096, 4096 + 32, KEY_SEGMENT + 32, 5 * KEY_SEGMENT + 32):
        ident = keys.name(p.gen, A2B_KEY, 3, offset, 32)
        untouched(p, refused, errno.ENODATA, p.bob.node.claim, ident, 32)
    crossing = keys.name(p.gen, A2B_KEY, 3, 4096 - 32, 64)
    untouched(p, refused, errno.ENODATA, p.bob.node.claim, crossing, 64)
    for offset, size in ((0, 32), (KEY_SEGMENT, 32), (KEY_SEGMENT - 32, 64)):
        head = keys.name(p.gen, A2B_KEY, 3, offset, size)
        refused(errno.EINVAL, p.bob.node.claim, head, size)
    p.feed(A2B_KEY, 4096)
    equal(p.bob.node.claim(crossing, 64), reference(p, crossing, 64))
    settled_end = p.bob.accounts()[A2B_KEY]
    equal(settled_end['taken'], 64)


def test_size_of_claim():
    """a claim of another size than the units give is refused; 0 means all"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 64)
    for size in (1, 32, 65, 2016):
        untouched(p, refused, errno.EMSGSIZE, p.bob.node.claim, ident, size)
    untouched(p, refused, errno.EMSGSIZE, p.bob.node.claim, ident, 64, room=63)
    equal(p.bob.node.claim(ident), key)
    short, key = checked_get(p, p.alice, 40)
    other = p.bob.node.claim(short)             # all 64 bytes: another key
    equal(other, reference(p, short, 64))
    if other[:40] == key:
        raise AssertionError('the size is not in the derivation')


# --- peek, commit, drop


def test_peek_commit():
    """peek takes nothing, commit once, then EALREADY for commit and claim"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 32)
    first = untouched(p, p.bob.do, 'key-peek', id=ident)
    second = untouched(p, p.bob.do, 'key-peek', id=ident)
    equal(first['class'], 'export')
    equal(p.bob.node.key(first['handle']), key, 'a peeked key')
    p.bob.do('key-commit', handle=first['handle'])
    equal(p.bob.accounts()[A2B_KEY]['taken'], 32)
    untouched(p, refused, errno.EALREADY, p.bob.do, 'key-commit', handle=second['handle'])
    untouched(p, refused, errno.EALREADY, p.bob.do, 'key-peek', id=ident)
    untouched(p, refused, errno.EALREADY, p.bob.do, 'key-get-by-id', id=ident)
    untouched(p, refused, errno.EALREADY, p.bob.node.claim, ident, 32)
    untouched(p, refused, errno.EBADSLT, p.bob.do, 'key-commit', handle=12345678)
    equal(p.bob.show().get('handles', 0), 0, 'handles')
    ident, key = checked_get(p, p.alice, 32)
    handle = p.bob.do('key-peek', id=ident)['handle']
    p.bob.do('key-commit', handle=handle)       # fetched after the commit
    untouched(p, refused, errno.EALREADY, p.bob.do, 'key-commit', handle=handle)
    equal(p.bob.node.key(handle), key)
    refused(errno.EBADSLT, p.bob.node.key, handle)
    ident, key = checked_get(p, p.alice, 48)
    reply = p.bob.do('key-get-by-id', id=ident, size=48)
    equal(p.bob.node.key(reply['handle']), key)
    settled(p, lossless=True)


def test_drop():
    """a dropped peek leaves the key for others; a dropped key is burnt"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 32)
    handle = p.bob.do('key-peek', id=ident)['handle']
    untouched(p, p.bob.do, 'key-drop', handle=handle)
    refused(errno.EBADSLT, p.bob.do, 'key-drop', handle=handle)
    refused(errno.EBADSLT, p.bob.do, 'key-commit', handle=handle)
    equal(p.bob.node.claim(ident, 32), key)
    (_, handle), = p.alice.get(32)
    p.alice.do('key-drop', handle=handle)
    refused(errno.EBADSLT, p.alice.node.key, handle)
    equal(p.alice.show()['refused']['burnt'], 1, 'burnt')
    settled(p)


def test_peek_limit():
    """64 IDs can be peeked; one ID again shares its slot; a drop makes room"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    idents = [i for i, _ in p.alice.get(32, count=64)] + [i for i, _ in p.alice.get(32)]
    handles = [p.bob.do('key-peek', id=i)['handle'] for i in idents[:64]]
    untouched(p, refused, errno.ENOSPC, p.bob.do, 'key-peek', id=idents[64])
    again = p.bob.do('key-peek', id=idents[0])['handle']
    p.bob.do('key-drop', handle=handles[0])
    refused(errno.ENOSPC, p.bob.do, 'key-peek', id=idents[64])  # its slot is still held
    p.bob.do('key-drop', handle=again)
    p.bob.do('key-peek', id=idents[64])
    refused(errno.ENOSPC, p.bob.do, 'key-peek', id=idents[0])
    p.bob.do('key-commit', handle=handles[1])
    p.bob.do('key-peek', id=idents[0])
    settled(p)


def test_owner_death():
    """peeks of a socket or process that dies go, and what it peeked stays whole"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    idents = [i for i, _ in p.alice.get(32, count=8)]
    mine = p.bob.do('key-peek', id=idents[7])['handle']
    other = genl.Qkd(p.qkd.spec)
    for ident in idents[:7]:
        other.do('key-peek', link_index=p.bob.index, id=ident)
    equal(p.bob.show()['handles'], 8, 'handles')
    other.close()
    equal(p.bob.show()['handles'], 1, 'handles after close')
    pid = os.fork()
    if not pid:
        client = genl.Qkd(p.qkd.spec)
        for ident in idents[:7]:
            client.do('key-peek', link_index=p.bob.index, id=ident)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    equal(p.bob.show()['handles'], 1, 'handles after kill')
    p.bob.do('key-commit', handle=mine)
    for ident in idents[:7]:
        equal(p.bob.node.claim(ident, 32), reference(p, ident, 32))


def test_peek_expiry():
    """a peek lives 30 s, then its handle is gone and the key is still there"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 32)
    begin = time.monotonic()
    handle = p.bob.do('key-peek', id=ident)['handle']
    while p.bob.show().get('handles', 0):
        if time.monotonic() - begin > 40:
            raise AssertionError('it does not expire')
        time.sleep(0.5)
    lived = time.monotonic() - begin
    if lived < 29:
        raise AssertionError(f'it lived {lived:.1f} s')
    refused(errno.EBADSLT, p.bob.do, 'key-commit', handle=handle)
    equal(p.bob.node.claim(ident, 32), key)
    return f'{lived:.1f} s'


def test_export_mask():
    """no key leaves by a class that the export mask lacks; it only narrows"""
    p = pair(export=['export'])
    p.feed(A2B_KEY, KEY_SEGMENT)
    before = p.alice.accounts()
    refused(errno.EACCES, p.alice.get, 32, 'control', attribute='class')
    refused(errno.EACCES, p.alice.get, 32, 'rekey', attribute='class')
    equal(p.alice.accounts(), before, 'accounts')
    control = keys.name(p.gen, A2B_KEY, CLASSES['control'], 32, 32)
    untouched(p, refused, errno.EACCES, p.bob.node.claim, control, 32)
    refused(errno.EPERM, p.qkd.do, 'link-set', index=p.alice.index, export=['export', 'control'],
            attribute='export')
    p.qkd.do('link-set', index=p.alice.index, export=[])
    refused(errno.EACCES, p.alice.node.read, 32)
    refused(errno.EACCES, p.alice.get, 32)
    settled(p)


# --- supply, segments, gaps


def test_supply_refusals():
    """supply out of order, of bad length or generation, over capacity is refused"""
    p = pair()
    a, gen = p.alice.node, p.gen

    def data(offset, length):
        return gen.read(A2B_KEY, offset, length)

    a.supply(p.label, A2B_KEY, 0, data(0, 1024))
    before = p.alice.accounts()
    for offset in (0, 32, 512, 1056, 2048, 1 << 40, (1 << 64) - 32):
        refused(errno.ERANGE, a.supply, p.label, A2B_KEY, offset, data(0, 64))
    for offset, length in ((1024, 0), (1024, 31), (1024, 33), (1040, 32), (1024, 65536 + 32),
                           (1024, 65536)):
        refused(errno.EINVAL, a.supply, p.label, A2B_KEY, offset, bytes(length))
    for label in (0, p.label - 1, p.label + 1, 65535):
        refused(errno.ESTALE, a.supply, label, A2B_KEY, 1024, data(1024, 64))
    refused(errno.EINVAL, a.supply, p.label, 4, 0, bytes(64))
    refused(errno.EINVAL, a.supply, p.label, A2B_KEY, 1024, bytes(64), bytes(16))
    refused(errno.EINVAL, os.write, a.fd, bytes(8))
    for offset in (0, 1024):
        refused(errno.ERANGE, a.gap, p.label, A2B_KEY, offset)
    refused(errno.EINVAL, a.gap, p.label, A2B_KEY, 1040)
    refused(errno.EFBIG, a.gap, p.label, A2B_KEY, (1 << 44) + KEY_SEGMENT)
    equal(p.alice.accounts(), before, 'accounts')
    refused(errno.EBUSY, os.open, f'/dev/qkd{p.alice.index}', os.O_WRONLY)
    a.supply(p.label, A2B_KEY, 1024, data(1024, 1024))


def test_capacity():
    """tx takes its capacity and no more; what is taken makes room again"""
    p = pair(key_capacity=KEY_SEGMENT, pad_capacity=1 << 20)
    live = 0
    while True:
        try:
            p.feed(A2B_KEY, 4096)
        except BlockingIOError:
            break
        live += 1
        if live > 100:
            raise AssertionError('no end')
    tx = p.alice.accounts()[A2B_KEY]
    if not KEY_SEGMENT - 4096 - 64 < tx['live'] <= KEY_SEGMENT:
        raise AssertionError(f'{tx["live"]} bytes live')
    for _ in range(3):
        (ident, handle), = p.alice.get(2016)
        equal(p.alice.node.key(handle), p.bob.node.claim(ident, 2016))
    p.tx_end(A2B_KEY).node.supply(p.label, A2B_KEY, tx['supplied'],
                                  p.gen.read(A2B_KEY, tx['supplied'], 4096))
    settled(p)
    ring = p.bob.accounts()[A2B_KEY]['capacity']
    if ring < 2 * KEY_SEGMENT:
        raise AssertionError(f'a ring of {ring}')


def test_remainder():
    """what is too short at a segment's end is skipped and counted, exactly"""
    count = 0
    for size in (32, 96, 1024, 2016):
        cleanup()
        p = pair()
        p.feed(A2B_KEY, 2 * KEY_SEGMENT)
        units = keys.units_of(size) * 32
        room = (KEY_SEGMENT - 32) // units
        rest = KEY_SEGMENT - 32 - room * units
        seen = []
        while len(seen) < room + 2:
            for ident, handle in p.alice.get(size, count=min(64, room + 2 - len(seen))):
                seen.append(keys.unpack(ident)['offset'] * 32)
                p.alice.node.key(handle)
        want = [32 + i * units for i in range(room)] + \
            [KEY_SEGMENT + 32 + i * units for i in range(2)]
        equal(seen, want, f'offsets of keys of {size} bytes')
        equal(totals(p.alice, A2B_KEY)['skipped'], rest, 'skipped')
        settled(p)
        count += len(seen)
    return f'{count} keys'


def test_exhaust():
    """a stream can be used to its last unit, then there is no key until supply"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    count = 0
    for ident, handle in each_key(p.alice, 32, 'export'):
        equal(p.alice.node.key(handle), p.bob.node.claim(ident, 32))
        count += 1
    equal(count, KEY_SEGMENT // 32 - 1)
    equal(totals(p.alice, A2B_KEY)['live'], 0)
    refused(errno.EAGAIN, p.alice.node.read, 32)
    settled(p, lossless=True)
    p.feed(A2B_KEY, 1024)
    checked_get(p, p.alice, 32)
    settled(p)
    return f'{count} keys'


def test_gaps():
    """a gap is lost at both ends; over a head it gives up the segment"""
    p = pair()
    p.feed(A2B_KEY, 4096)
    p.gap(A2B_KEY, 8192)                        # inside a segment
    equal(p.next[A2B_KEY], 8192)
    equal(totals(p.alice, A2B_KEY)['lost'], 4096)
    settled(p)
    p.feed(A2B_KEY, 4096)
    refused(errno.EALREADY, p.bob.node.claim, keys.name(p.gen, A2B_KEY, 3, 4096 + 64, 32), 32)
    p.gap(A2B_KEY, KEY_SEGMENT)                 # to the end of it, no head lost
    equal(p.next[A2B_KEY], KEY_SEGMENT)
    settled(p)
    p.gap(A2B_KEY, KEY_SEGMENT + 32)            # over a head
    equal(p.next[A2B_KEY], 2 * KEY_SEGMENT)
    settled(p)
    lost = totals(p.alice, A2B_KEY)['lost']
    equal(lost, 4096 + (KEY_SEGMENT - 12288) + KEY_SEGMENT)
    equal(totals(p.bob, A2B_KEY)['lost'], lost)
    refused(errno.ENOENT, p.bob.node.claim,
            keys.name(p.gen, A2B_KEY, 3, KEY_SEGMENT + 64, 32), 32)
    p.feed(A2B_KEY, 4096)
    p.gap(A2B_KEY, 4 * KEY_SEGMENT + 64)        # over several, the last one's head too
    equal(p.next[A2B_KEY], 5 * KEY_SEGMENT)
    p.feed(A2B_KEY, 4096)
    settled(p)
    got = []
    while True:
        try:
            (ident, handle), = p.alice.get(1024, 'control')
        except genl.Refused as why:
            equal(why.errno, errno.ENOKEY)
            break
        equal(p.alice.node.key(handle), p.bob.node.claim(ident, 1024))
        got.append(keys.unpack(ident)['offset'] * 32)
    for offset in got:
        if not (32 <= offset < 4096 or 8192 <= offset < 12288 or
                2 * KEY_SEGMENT < offset < 2 * KEY_SEGMENT + 4096 or
                5 * KEY_SEGMENT < offset < 5 * KEY_SEGMENT + 4096):
            raise AssertionError(f'{offset} lies in a gap')
    if not any(o > 5 * KEY_SEGMENT for o in got):
        raise AssertionError('nothing after the last gap')
    settled(p)
    p.feed(A2B_PAD, 65536)
    p.gap(A2B_PAD, PAD_SEGMENT + 16)
    equal(p.next[A2B_PAD], 2 * PAD_SEGMENT)
    settled(p)
    return f'{len(got)} keys between gaps'


def test_gap_tail():
    """claims that touch a gap by one unit on either side get nothing"""
    p = pair()
    p.feed(A2B_KEY, 1024)
    p.gap(A2B_KEY, 2048)
    p.feed(A2B_KEY, 1024)
    for offset, size, ok in ((992, 32, True), (960, 64, False), (992, 64, False),
                             (1024, 32, False), (2016, 32, False), (2016, 64, False),
                             (2048, 32, True)):
        ident = keys.name(p.gen, A2B_KEY, 3, offset, size)
        if ok:
            equal(p.bob.node.claim(ident, size), reference(p, ident, size))
        else:
            refused(errno.EALREADY, p.bob.node.claim, ident, size)


def test_overlap():
    """genuine IDs that overlap: the first one wins, the others take nothing"""
    p = pair()
    p.feed(A2B_KEY, KEY_SEGMENT)
    wide = keys.name(p.gen, A2B_KEY, 3, 1024, 128)
    inner = [keys.name(p.gen, A2B_KEY, 3, 1024 + 32 * i, 32) for i in range(4)]
    outer = [keys.name(p.gen, A2B_KEY, 3, o, s) for o, s in ((992, 64), (1120, 64), (992, 192))]
    handle = p.bob.do('key-peek', id=wide)['handle']
    equal(p.bob.node.claim(inner[2], 32), reference(p, inner[2], 32))
    refused(errno.EALREADY, p.bob.do, 'key-commit', handle=handle)
    for ident in (wide, inner[2], outer[2]):
        refused(errno.EALREADY, p.bob.node.claim, ident)
    taken = p.bob.accounts()[A2B_KEY]
    if taken['taken'] + taken['lost'] > 128:
        raise AssertionError(f'{taken}')
    equal(accounts.problems_of_end(p.bob.show()), [])


# --- classes


def available(end, klass, size):
    return end.do('status', class_=klass, size=size)['available']


def test_reserves():
    """each class keeps its reserve when others drain the stream"""
    p = pair(reserve_control=1024, reserve_rekey=2048, reserve_export=512)
    p.feed(A2B_KEY, 16384)
    usable = 16384 - 32
    equal(available(p.alice, 'export', 32), (usable - 1024 - 2048) // 32, 'for export')
    got = drain(p.alice, 32, 'export')
    equal(got * 32, usable - 1024 - 2048, 'bytes that export got')
    equal(available(p.alice, 'export', 32), 0)
    equal(available(p.alice, 'control', 32), 1024 // 32)
    refused(errno.EAGAIN, p.alice.node.read, 32)
    equal(drain(p.alice, 32, 'control') * 32, 1024, 'bytes that control got')
    equal(available(p.alice, 'rekey', 32), 2048 // 32)
    equal(totals(p.alice, A2B_KEY)['live'], 2048)
    settled(p)
    p.feed(A2B_KEY, 1024)                       # fills the reserves that were used
    equal(available(p.alice, 'control', 32) + available(p.alice, 'export', 32) > 0, True)
    equal(available(p.alice, 'rekey', 32) >= 2048 // 32, True)
    settled(p)


def test_control_segment():
    """with four whole segments in tx, class control gets a segment of its own"""
    p = pair(key_capacity=8 * KEY_SEGMENT)
    p.feed(A2B_KEY, 8 * KEY_SEGMENT)
    bulk, _ = checked_get(p, p.alice, 32, 'export')
    control, key = checked_get(p, p.alice, 32, 'control')
    segments = {keys.unpack(i)['offset'] * 32 // KEY_SEGMENT for i in (bulk, control)}
    equal(len(segments), 2, 'segments')
    for _ in range(200):
        (ident, handle), = p.alice.get(1024, 'export')
        if keys.unpack(ident)['offset'] * 32 // KEY_SEGMENT == max(segments):
            raise AssertionError('export took from the segment of control')
        equal(p.alice.node.key(handle), p.bob.node.claim(ident, 1024))
    equal(p.bob.node.claim(control, 32), key)
    settled(p)
    slow = pair(names=('tc', 'td'), ids={'alice': 'x', 'bob': 'y'})
    slow.feed(A2B_KEY, 3 * KEY_SEGMENT)
    one, _ = checked_get(slow, slow.alice, 32, 'export')
    two, _ = checked_get(slow, slow.alice, 32, 'control')
    equal(keys.unpack(two)['offset'] - keys.unpack(one)['offset'], 1, 'on a slow link')


def test_control_round():
    """when the ring comes round to the segment of class control, its rest is skipped"""
    p = pair(key_capacity=5 * KEY_SEGMENT)
    p.feed(A2B_KEY, 5 * KEY_SEGMENT)
    control, _ = checked_get(p, p.alice, 32, 'control')
    own = keys.unpack(control)['offset'] * 32 // KEY_SEGMENT
    for number in range(40):
        drain(p.alice, 2016, 'export')
        try:
            for _ in range(16):
                p.feed(A2B_KEY, KEY_SEGMENT // 4)
        except BlockingIOError:                 # tx is full; rx has got the block
            have = totals(p.alice, A2B_KEY)['supplied']
            drain(p.alice, 2016, 'export')
            want = totals(p.bob, A2B_KEY)['supplied']
            p.alice.node.supply(p.label, A2B_KEY, have, p.gen.read(A2B_KEY, have, want - have))
            p.next[A2B_KEY] = want
        settled(p)
        if p.next[A2B_KEY] > (own + 12) * KEY_SEGMENT:
            break
    skipped = totals(p.alice, A2B_KEY)['skipped']
    if skipped < KEY_SEGMENT - 64:
        raise AssertionError(f'{skipped} bytes skipped')
    again, _ = checked_get(p, p.alice, 32, 'control')
    if keys.unpack(again)['offset'] * 32 // KEY_SEGMENT == own:
        raise AssertionError('class control still allocates from the old segment')
    settled(p)
    return f'{p.next[A2B_KEY] // KEY_SEGMENT} segments'


def test_ring():
    """a full rx ring gives up its oldest segment, with an event, and no other"""
    p = pair(key_capacity=KEY_SEGMENT)
    events = genl.Qkd(p.qkd.spec)
    events.subscribe()
    ring = p.bob.accounts()[A2B_KEY]['capacity'] // KEY_SEGMENT
    idents = [keys.name(p.gen, A2B_KEY, 3, n * KEY_SEGMENT + 64, 32) for n in range(ring + 4)]
    for n in range(ring + 4):
        for at, piece in p.pieces(A2B_KEY, KEY_SEGMENT):
            p.bob.node.supply(p.label, A2B_KEY, at, p.gen.read(A2B_KEY, at, piece))
        p.next[A2B_KEY] += KEY_SEGMENT
        equal(accounts.problems_of_end(p.bob.show()), [])
    found = []
    for n, ident in enumerate(idents):
        try:
            equal(p.bob.node.claim(ident, 32), reference(p, ident, 32))
            found.append(n)
        except OSError as why:
            equal(why.errno, errno.ENOENT)
    equal(found, list(range(ring + 4 - len(found), ring + 4)), 'segments that are there')
    if len(found) < ring:
        raise AssertionError(f'{len(found)} segments, the ring has {ring}')
    retired = [e for e in events.events(1) if e['type'] == 'retired']
    events.close()
    equal([e['offset'] for e in retired], [n * KEY_SEGMENT for n in range(len(retired))])
    equal(len(retired), ring + 4 - len(found), 'events')
    return f'ring of {ring}, {len(found)} segments there'


# --- wiping


def test_max_age():
    """bytes older than max-age are lost at both ends, taken or not by then"""
    p = pair(max_age=3000)
    p.feed(A2B_KEY, 8192)
    p.feed(A2B_PAD, 65536)
    ident, key = checked_get(p, p.alice, 32)
    equal(p.bob.node.claim(ident, 32), key)
    late, _ = checked_get(p, p.alice, 32)
    deadline = time.monotonic() + 30
    while any(e.accounts()[s]['live'] for e in p.ends() for s in (A2B_KEY, A2B_PAD)):
        if time.monotonic() > deadline:
            raise AssertionError(f'still live: {p.bob.accounts()}')
        time.sleep(0.1)
    refused(errno.EALREADY, p.bob.node.claim, late, 32)
    refused(errno.ENOKEY, p.alice.get, 32)
    settled(p)
    p.feed(A2B_KEY, 1024)
    checked_get(p, p.alice, 32)


def test_keep():
    """rx wipes what lies below an old commit after key-keep, nothing above it"""
    p = pair(key_keep=1000)
    p.feed(A2B_KEY, KEY_SEGMENT)
    low, high, above = [keys.name(p.gen, A2B_KEY, 3, o, 32) for o in (1024, 8192, 16384)]
    time.sleep(2)                               # no commit: nothing may go
    equal(p.bob.accounts()[A2B_KEY]['lost'], 0)
    p.bob.node.claim(high, 32)
    deadline = time.monotonic() + 10
    while not p.bob.accounts()[A2B_KEY]['lost']:
        if time.monotonic() > deadline:
            raise AssertionError('nothing was wiped')
        time.sleep(0.1)
    equal(p.bob.accounts()[A2B_KEY]['lost'], 8192 - 32, 'bytes wiped')
    refused(errno.EALREADY, p.bob.node.claim, low, 32)
    equal(p.bob.node.claim(above, 32), reference(p, above, 32))
    settled_end = p.bob.accounts()[A2B_KEY]
    equal(settled_end['taken'], 64)


def test_forged_ids_move_nothing():
    """a thousand wrong IDs near the head move no window and wipe nothing"""
    p = pair(key_keep=200)
    p.feed(A2B_KEY, 2 * KEY_SEGMENT)
    ident, key = checked_get(p, p.alice, 32)
    before = p.bob.accounts()
    rng = random.Random(1)
    for _ in range(scaled(1000, 100)):
        offset = rng.randrange(1, 2 * KEY_SEGMENT // 32) * 32
        wrong = keys.pack({'link': int.from_bytes(p.gen.link[:2], 'big'), 'label': p.label,
                           'stream': A2B_KEY, 'class': 3, 'offset': offset // 32, 'units': 1,
                           'tag': rng.getrandbits(40)})
        try:
            p.bob.node.claim(wrong, 32)
        except OSError:
            continue
        raise AssertionError('a forged ID was taken')
    time.sleep(1)
    equal(p.bob.accounts(), before, 'accounts')
    equal(p.bob.node.claim(ident, 32), key)


# --- confirmation


def test_confirm():
    """blocks are unusable until confirmed; tags equal the reference's"""
    p = pair(confirm='tag')
    gen, s = p.gen, bytes(range(16))
    for stream in range(4):
        rx, tx = p.rx_end(stream), p.tx_end(stream)
        offset = 0
        for length in (1024, 4096, 65536 - 5120):
            data = gen.read(stream, offset, length)
            for end in (rx, tx):
                refused(errno.EINVAL, end.node.supply, p.label, stream, offset, data)
                end.node.supply(p.label, stream, offset, data, s)
            if stream == A2B_KEY and not offset:
                refused(errno.ENOKEY, tx.get, 32)
                refused(errno.ENODATA, rx.node.claim, keys.name(gen, stream, 3, 32, 32), 32)
            what = p.block(stream, offset, length)
            tag = rx.do('block-tag', **what)['tag']
            equal(tag.hex(), gen.confirm_tag(stream, offset, length, s).hex(), 'tag')
            equal(rx.do('block-tag', **what)['tag'], tag, 'the tag again')
            refused(errno.EOPNOTSUPP, tx.do, 'block-tag', **what)
            refused(errno.ENOENT, rx.do, 'block-tag', **dict(what, length=length + 32))
            refused(errno.ESTALE, rx.do, 'block-tag', **dict(what, label=p.label + 1))
            equal(tx.do('block-confirm', tag=tag, **what)['verdict'], 'equal')
            rx.do('block-confirm', verdict='equal', **what)
            offset += length
            settled(p)
    ident, key = checked_get(p, p.alice, 48)
    equal(p.bob.node.claim(ident, 48), key)


def test_confirm_order():
    """blocks confirmed out of order become usable in order, answers may repeat"""
    p = pair(confirm='tag')
    s = bytes(16)
    for n in range(3):
        data = p.gen.read(A2B_KEY, n * 1024, 1024)
        for end in p.ends():
            end.node.supply(p.label, A2B_KEY, n * 1024, data, s)
    for n in (2, 1):
        for _ in range(2):                      # an acknowledgement was lost
            equal(p.confirm_block(A2B_KEY, n * 1024, 1024), 'equal', f'block {n}')
    refused(errno.ENOKEY, p.alice.get, 32)
    equal(p.confirm_block(A2B_KEY, 0, 1024), 'equal')
    for _ in range(3):
        ident, key = checked_get(p, p.alice, 992)
        equal(p.bob.node.claim(ident, 992), key)
    settled(p)


def test_mismatch():
    """a flipped bit is caught and becomes a gap; three in a row: link down"""
    p = pair(confirm='tag')
    events = genl.Qkd(p.qkd.spec)
    events.subscribe()
    s = bytes(16)

    def block(flip):
        at = p.next[A2B_KEY]
        data = bytearray(p.gen.read(A2B_KEY, at, 1024))
        p.bob.node.supply(p.label, A2B_KEY, at, bytes(data), s)
        if flip is not None:
            data[flip // 8] ^= 1 << flip % 8
        p.alice.node.supply(p.label, A2B_KEY, at, bytes(data), s)
        p.next[A2B_KEY] = at + 1024
        return p.confirm_block(A2B_KEY, at, 1024)

    equal(block(None), 'equal')
    for bit in (0, 8191, 4000):
        equal(block(bit), 'mismatch')
        settled(p)
        equal(block(None), 'equal')
    equal(totals(p.alice, A2B_KEY)['lost'], 3 * 1024)
    equal(p.alice.show()['refused']['mismatch'], 3)
    ident, key = checked_get(p, p.alice, 32)
    equal(p.bob.node.claim(ident, 32), key)
    for bit in (1, 2):
        equal(block(bit), 'mismatch')
    try:
        block(3)
    except genl.Refused as why:                 # the rx end has ended by then too
        equal(why.errno, errno.ENETDOWN)
    for end in p.ends():
        shown = end.show()
        equal((shown['state'], shown['admin'], shown['reason']), ('down', 'down', 'mismatch'))
    refused(errno.ENETDOWN, p.alice.get, 32)
    refused(errno.ENETDOWN, p.alice.do, 'gen-begin', **dict(p.handshake(p.alice),
                                                          label=p.label + 1))
    for end in p.ends():
        p.qkd.do('link-set', index=end.index, admin='up')
    p.begin()
    p.feed(A2B_KEY, 4096)
    checked_get(p, p.alice, 32)
    kinds = [e['type'] for e in events.events(1)]
    events.close()
    if kinds.count('mismatch') < 6 or 'link-down' not in kinds:
        raise AssertionError(f'events: {kinds}')


def test_mismatch_at_head():
    """a mismatch in the block with a segment's head gives up the segment"""
    p = pair(confirm='tag')
    s = bytes(16)
    data = p.gen.read(A2B_KEY, 0, 1024)
    p.bob.node.supply(p.label, A2B_KEY, 0, data, s)
    p.alice.node.supply(p.label, A2B_KEY, 0, b'\xff' + data[1:], s)
    equal(p.confirm_block(A2B_KEY, 0, 1024), 'mismatch')
    for end in p.ends():
        equal(totals(end, A2B_KEY)['supplied'], KEY_SEGMENT)
        equal(totals(end, A2B_KEY)['lost'] + totals(end, A2B_KEY)['head'], KEY_SEGMENT)
    settled(p)
    p.next[A2B_KEY] = KEY_SEGMENT
    p.feed(A2B_KEY, 1024)
    ident, _ = checked_get(p, p.alice, 32)
    equal(keys.unpack(ident)['offset'] * 32, KEY_SEGMENT + 32)


# --- generations


def test_labels():
    """only the successor's label begins a generation; 65535 is followed by 1"""
    p = Pair()
    OPEN.append(p)
    p.begin(label=65534)
    for label in (65534, 65533, 1, 2):
        refused(errno.EINVAL, p.alice.do, 'gen-begin', **dict(p.handshake(p.alice), label=label,
                                                            generation=bytes(32)))
    refused(errno.EINVAL, p.alice.do, 'gen-begin', **dict(p.handshake(p.alice), label=65535),
            text='last one again')
    p.begin()
    equal(p.label, 65535)
    p.begin()
    equal(p.label, 1)
    p.feed(A2B_KEY, 1024)
    checked_get(p, p.alice, 32)


def test_roles():
    """equal roles, or other identities, leave the link down and say role-clash"""
    p = Pair()
    OPEN.append(p)
    p.begin(label=3)
    p.feed(A2B_KEY, 4096)
    ident, key = checked_get(p, p.alice, 32)
    events = genl.Qkd(p.qkd.spec)
    events.subscribe()
    what = dict(p.handshake(p.alice), label=4, generation=bytes(32))
    refused(errno.EPROTO, p.alice.do, 'gen-begin', **dict(what, peer_role='alice'))
    refused(errno.EPROTO, p.alice.do, 'gen-begin', **dict(what, hash=bytes(32)))
    kinds = [e['type'] for e in events.events(1)]
    events.close()
    equal(kinds.count('role-clash'), 2, f'events {kinds}')
    equal(p.bob.node.claim(ident, 32), key)     # nothing has changed


def test_open():
    """tx stays closed until the generation is opened; its end wipes all"""
    p = Pair()
    OPEN.append(p)
    p.begin(label=9, start=False)
    for stream in range(4):
        p.feed(stream, 4096)
    equal(p.alice.show()['state'], 'pending')
    refused(errno.ENETDOWN, p.alice.get, 32)
    refused(errno.ESTALE, p.alice.do, 'gen-open', label=9, generation=bytes(32))
    p.alice.do('gen-open', label=9, generation=p.gen.ident)
    ident, key = checked_get(p, p.alice, 32)
    equal(p.bob.node.claim(ident, 32), key)     # rx does not wait
    refused(errno.EALREADY, p.alice.do, 'gen-open', label=9, generation=p.gen.ident)
    refused(errno.ESTALE, p.alice.do, 'gen-end', label=8)
    peeked, _ = checked_get(p, p.alice, 32)
    handle = p.bob.do('key-peek', id=peeked)['handle']
    for end in p.ends():
        end.do('gen-end', label=9, reason='peer')
    equal(p.alice.show()['state'], 'down')
    refused(errno.ENETDOWN, p.alice.get, 32)
    refused(errno.EBADSLT, p.bob.do, 'key-commit', handle=handle)
    refused(errno.ENETDOWN, p.bob.node.claim, peeked, 32)
    refused(errno.ENETDOWN, p.alice.node.supply, 9, A2B_KEY, 4096, bytes(32))


def test_down():
    """the operator's down ends the generation, up allows the next"""
    p = pair()
    p.feed(A2B_KEY, 4096)
    p.qkd.do('link-set', index=p.alice.index, admin='down')
    shown = p.alice.show()
    equal((shown['state'], shown['reason']), ('down', 'operator'))
    refused(errno.ENETDOWN, p.alice.get, 32)
    refused(errno.ENETDOWN, p.alice.do, 'gen-begin', **dict(p.handshake(p.alice), label=7,
                                                          generation=bytes(32)))
    p.qkd.do('link-set', index=p.alice.index, admin='up')
    p.begin()
    p.feed(A2B_KEY, 4096)
    checked_get(p, p.alice, 32)


# --- at large


def test_random():
    """random supply, gaps, keys and claims at both ends against a model"""
    rng = random.Random(int(os.environ.get('QKD_GEN', '1')))
    p = pair()
    waiting, steps = [], scaled(20000, 400)
    taken = {A2B_KEY: 0, B2A_KEY: 0}
    for number in range(steps):
        stream = rng.choice((A2B_KEY, B2A_KEY))
        tx, rx = p.tx_end(stream), p.rx_end(stream)
        act = rng.random()
        if act < 0.2:
            if any(item[:2] == ('lag', stream) for item in waiting):
                continue        # what rx has and tx had no room for comes first
            try:
                p.feed(stream, 32 * rng.randrange(1, 200))
            except BlockingIOError:
                # one end may have taken what the other had no room for
                want = rx.accounts()[stream]['supplied']
                have = tx.accounts()[stream]['supplied']
                p.next[stream] = have
                if want > have:
                    waiting.append(('lag', stream, have, want))
                    drain(tx, 1024, 'export', 64)
        elif act < 0.21 and p.alice.accounts()[stream]['supplied'] == \
                p.bob.accounts()[stream]['supplied']:
            p.next[stream] = tx.accounts()[stream]['supplied']
            p.gap(stream, p.next[stream] + 32 * rng.randrange(1, 300))
        elif act < 0.7:
            size = rng.randrange(1, 2017)
            try:
                (ident, handle), = tx.get(size, rng.choice(('control', 'export')))
            except genl.Refused as why:
                equal(why.errno, errno.ENOKEY)
                continue
            waiting.append(('key', stream, ident, tx.node.key(handle)))
        elif waiting:
            kind, stream, *what = waiting.pop(rng.randrange(len(waiting)))
            if kind == 'lag':
                have, want = what
                try:
                    p.tx_end(stream).node.supply(p.label, stream, have,
                                                 p.gen.read(stream, have, want - have))
                    p.next[stream] = want
                except BlockingIOError:
                    waiting.append(('lag', stream, have, want))
                    drain(p.tx_end(stream), 1024, 'export', 64)
                continue
            ident, key = what
            equal(key, reference(p, ident, len(key)), f'key at step {number}')
            try:
                equal(p.rx_end(stream).node.claim(ident, len(key)), key)
            except OSError as why:
                # pushed out of the ring by supply, never mixed up
                equal(why.errno in (errno.ENOENT, errno.EALREADY), True, f'{why}')
                continue
            taken[stream] += keys.unpack(ident)['units'] * 32
        if number % 50 == 0:
            settled(p)
    settled(p)
    return f'{steps} steps, {sum(taken.values())} bytes claimed'


def test_two_claimants():
    """of processes that claim the same keys at once, each key has one winner"""
    p = pair()
    p.feed(A2B_KEY, 2 * KEY_SEGMENT)
    idents = []
    for _ in range(scaled(500, 64) // 64 + 1):
        issued = p.alice.get(32, count=64)
        for _, handle in issued:
            p.alice.node.key(handle)
        idents += [i for i, _ in issued]
    node_path = f'/dev/qkd{p.bob.index}'
    p.bob.node.close()
    workers, reports = [], []
    go_read, go_write = os.pipe()
    for worker in range(4):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                status = claimant(node_path, idents, worker, go_read, write)
            finally:
                os._exit(status)
        os.close(write)
        workers.append(pid)
        reports.append(os.fdopen(read, 'rb'))
    os.write(go_write, b'....')
    won = []
    for report in reports:
        won += report.read().split()
    equal([os.waitpid(pid, 0)[1] for pid in workers], [0] * 4)
    equal(sorted(won), sorted(i.hex().encode() for i in idents), 'winners')
    equal(p.bob.accounts()[A2B_KEY]['taken'], 32 * len(idents))
    settled(p)
    return f'{len(idents)} keys, 4 processes'


def claimant(path, idents, seed, go, write):
    import node
    index = int(path[len('/dev/qkd'):])
    mine = node.Node(index, os.O_RDONLY)
    os.read(go, 1)
    won = []
    for ident in idents:
        try:
            mine.claim(ident, 32)
            won.append(ident.hex())
        except OSError as why:
            if why.errno != errno.EALREADY:
                return 1
    os.write(write, '\n'.join(won).encode())
    return 0


def test_reference():
    """the reference itself equals the vectors of RFC 8439 and RFC 5869"""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref')
    code = ('import sys; sys.path.insert(0, %r); import selfcheck as s\n'
            'for t in s.TESTS:\n    t is s.memory or t()' % folder)
    subprocess.run([sys.executable, '-c', code], check=True)


# all, or those that the arguments name: core.py ring reserves
TESTS = [value for name, value in list(globals().items()) if name.startswith('test_') and
         (not sys.argv[1:] or name[5:] in sys.argv[1:])]

if __name__ == '__main__':
    assert set(STREAMS.values()) == {A2B_PAD, A2B_KEY, B2A_PAD, B2A_KEY}
    run(TESTS, cleanup)
