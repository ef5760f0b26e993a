#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The emulated link: pairs in one kernel and single ends, rate, QBER, faults,
generations, what it refuses and how it goes away. The bytes of single ends are
compared with the reference, which shares no code with the module."""
import contextlib
import errno
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

import accounts                                             # noqa: E402
import genl                                                 # noqa: E402
import keys                                                 # noqa: E402
import link as links                                        # noqa: E402
import node                                                 # noqa: E402
from ktap import equal, refused, run                        # noqa: E402

A2B_PAD, A2B_KEY, B2A_PAD, B2A_KEY = range(4)
SEED = bytes(range(100, 132))
GEN = int(os.environ.get('QKD_GEN', '1'))
SMALL = {'pad_capacity': 1 << 16, 'key_capacity': 1 << 16, 'pad_low': 1 << 12,
         'key_low': 1 << 12, 'reserve_control': 0, 'reserve_rekey': 0}
BIG = {'pad_capacity': 1 << 25, 'key_capacity': 1 << 22}
S_LEN = 16


@contextlib.contextmanager
def inside(netns):
    """In a named network namespace, or where we are."""
    with open('/proc/self/ns/net', encoding='ascii') as home:
        if netns:
            with open(f'/run/netns/{netns}', encoding='ascii') as there:
                os.setns(there.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home.fileno(), os.CLONE_NEWNET)


def netns_add(name):
    subprocess.run(['ip', 'netns', 'add', name], check=True)


def netns_del(name):
    subprocess.run(['ip', 'netns', 'del', name], check=False, stderr=subprocess.DEVNULL)


class End:
    """A link, seen from its own namespace."""

    def __init__(self, name, netns=None):
        self.name = name
        with inside(netns):
            self.qkd = genl.Qkd()

    def show(self):
        return self.qkd.do('link-get', name=self.name)

    def exists(self):
        try:
            self.show()
            return True
        except OSError:
            return False

    def set(self, **values):
        own = {k: values.pop(k) for k in ('admin',) if k in values}
        if values:
            own['emu'] = values
        self.qkd.do('link-set', name=self.name, **own)

    def streams(self):
        return accounts.streams(self.show())

    def tx(self):
        return {n: a for n, a in self.streams().items() if a['tx']}

    def supplied(self):
        """Bytes that ever entered tx in this generation."""
        return sum(a['supplied'] for a in self.tx().values())

    def live(self):
        return sum(a['live'] for a in self.tx().values())

    def node(self):
        return node.Node(self.show()['index'], os.O_RDONLY)

    def delete(self):
        with contextlib.suppress(OSError):
            self.qkd.do('link-del', name=self.name)


NETNS = 'qkdemu'
OPEN = []


def new(name, netns=None, link=None, **emu):
    with inside(netns):
        qkd = genl.Qkd()
        try:
            qkd.do('link-new', name=name, type='emu', **(link or {}), emu=emu)
        finally:
            qkd.close()
    OPEN.append(End(name, netns))
    return OPEN[-1]


def pair(rate=20000000, link=None, **emu):
    """Ends e0 here and e1 in a namespace of its own."""
    netns_add(NETNS)
    with open(f'/run/netns/{NETNS}', encoding='ascii') as there:
        one = new('e0', link={'export': ['control', 'export'], **(link or {})}, rate=rate,
                  peer_name='e1', peer_netns_fd=there.fileno(), **emu)
    return one, End('e1', NETNS)


def single(role, netns=None, gen=GEN, seed=SEED, rate=20000000, link=None, name='s0'):
    return new(name, netns, link={'role': role, 'export': ['control', 'export'],
                                  **(link or {})}, seed=seed, gen=gen, rate=rate)


def two_singles(**values):
    """The two machines' ends, each in a namespace of this one."""
    netns_add(NETNS)
    return single('alice', **values), single('bob', NETNS, **values)


def cleanup():
    while OPEN:
        OPEN.pop().delete()
    netns_del(NETNS)


def until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f'{what}: not within {seconds} s')


def is_up(end):
    return end.show()['state'] == 'up'


def is_full(end):
    """Not a block fits any more: nothing moved for a while."""
    before = end.supplied()
    time.sleep(0.5)
    return end.supplied() == before


def settled(one, other):
    """Stops supply and checks the accounts of both ends."""
    one.set(stopped=1)
    time.sleep(0.1)
    shown = one.show(), other.show()
    problems = [*map(accounts.problems_of_end, shown)]
    problems = problems[0] + problems[1] + accounts.problems_across(*shown)
    if problems:
        raise AssertionError('; '.join(problems))
    return shown


def gather(end, seconds, wanted):
    """Events of a link until all wanted types came."""
    seen = []
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and not wanted <= {e['type'] for e in seen}:
        seen += [e for e in end.qkd.events(0.2) if e.get('link-name', e.get('link_name')) ==
                 end.name]
    if not wanted <= {e['type'] for e in seen}:
        raise AssertionError(f'no events {wanted}, but {[e["type"] for e in seen]}')
    return seen


def both_hear(ends, wanted, act):
    """Runs act(); both ends must be told of all wanted types."""
    listeners = []
    for end, netns in zip(ends, (None, NETNS)):
        listener = End(end.name, netns)
        listener.qkd.subscribe()
        listeners.append(listener)
    act()
    return [gather(listener, 20, wanted) for listener in listeners]


def read_key(end, size=32):
    handle = end.node()
    try:
        return handle.read(size)
    finally:
        handle.close()


# Pairs

def test_pair():
    """a pair: two ends in two namespaces, of opposite roles, in one generation"""
    one, other = pair()
    a, b = one.show(), other.show()
    equal((a['role'], b['role']), ('alice', 'bob'), 'roles')
    equal((a['state'], b['state']), ('up', 'up'), 'states')
    equal((a['label'], b['label']), (1, 1), 'labels')
    equal(a['generation'], b['generation'], 'G*')
    equal(a['hash'], b['hash'], 'L')
    equal(a['hash'], links.link_hash(a['id'], b['id']), 'L by the reference')
    equal((a['id'], a['peer-id']), (b['peer-id'], b['id']), 'identities')
    equal(a['id'].split(':')[0] + b['id'].split(':')[0], 'alicebob', 'identities')
    equal((a['emu']['peer-index'], b['emu']['peer-index']), (b['index'], a['index']), 'peers')
    equal(a['confirm'], 'tag', 'confirmation')
    if 'seed' in a['emu']:
        raise AssertionError('the seed is shown')
    ident, key = until_read(one)
    handle = other.node()
    equal(handle.claim(ident), key, 'key at the other end')
    handle.close()
    settled(one, other)


def until_read(end, size=32):
    def attempt():
        try:
            return read_key(end, size)
        except BlockingIOError:
            return None
    return until(attempt, 'a key')


def test_pair_bob():
    """a pair whose first end is bob"""
    one, other = pair(link={'role': 'bob'})
    equal((one.show()['role'], other.show()['role']), ('bob', 'alice'), 'roles')
    ident, _ = until_read(one)
    equal(keys.unpack(ident)['stream'], B2A_KEY, 'stream')


def shown_rates(ends, seconds):
    """The mean SKR that each end shows for so long: what is shown is that of
    one second, in which a busy machine may have been late."""
    shown, limit = [[] for _ in ends], time.monotonic() + seconds
    while time.monotonic() < limit:
        for end, values in zip(ends, shown):
            values.append(end.show()['skr'])
        time.sleep(0.2)
    return [sum(values) / len(values) for values in shown]


def measure(ends, seconds):
    """Bit/s that went into tx at all ends, bytes for tags included; and what
    each end shows of it."""
    blocks = ends[0].show()['emu']['block']
    start, before = time.monotonic(), sum(e.supplied() for e in ends)
    shown = shown_rates(ends, seconds)
    gained = sum(e.supplied() for e in ends) - before
    return (gained + gained // blocks * S_LEN) * 8 / (time.monotonic() - start), shown


def near(got, want, percent, what):
    if abs(got - want) > want * percent / 100:
        raise AssertionError(f'{what}: {got:.0f}, expected {want:.0f} within {percent} %')


def test_rate():
    """the rate that is set is the rate that comes, also when it changes"""
    top = 8000000 // (8 if os.path.exists('/sys/kernel/debug/kmemleak') else 1)
    ends = pair(rate=top, link=BIG)
    notes = []
    for rate in (top, top // 8, top // 2):
        ends[0].set(rate=rate)
        time.sleep(2.5)
        got, shown = measure(ends, 4)
        near(got, rate, 20, 'rate')
        for skr in shown:
            near(skr, got, 20, 'SKR that is shown')
        notes.append(f'{got / 1e6:.2f} of {rate / 1e6:g}')
    settled(*ends)
    return ', '.join(notes) + ' Mbit/s'


def test_blocks():
    """blocks are 1 to 64 KiB, and less only where 1 KiB takes over a minute"""
    end = pair(rate=1)[0]
    for rate in (1, 10, 100, 136, 137, 1000, 10**4, 10**6, 10**7, 10**9, 10**11):
        end.set(rate=rate)
        block = end.show()['emu']['block']
        least = min(1024, rate * 60 // 8)
        if block > 65536 or block % 32 or block < max(32, least // 2):
            raise AssertionError(f'{block} bytes at {rate} bit/s')
        if block < 1024 and rate * 60 // 8 >= 1024:
            raise AssertionError(f'{block} bytes at {rate} bit/s')


def test_slow():
    """a link of 1 kbit/s supplies, key first"""
    one, other = pair(rate=1000, link={'key_low': 4096})
    until(lambda: one.tx()[A2B_KEY]['supplied'], 'a block of key', 60)
    equal(one.tx()[A2B_PAD]['supplied'], 0, 'pad')
    shown = settled(one, other)
    return f"blocks of {shown[0]['emu']['block']} bytes"


def test_share():
    """the emptiest stream gets the next block, and a full one stalls no other"""
    one, other = pair(rate=50000000, link=SMALL)
    until(lambda: is_full(one) and is_full(other), 'full streams')
    for end in (one, other):
        for number, a in end.tx().items():
            if a['live'] < a['capacity'] // 2:
                raise AssertionError(f"{end.name} stream {number}: {a['live']} live")
    before = other.supplied()
    taken = 0
    while taken < 3 << 16:
        until_read(one, 2016)
        taken += 2016
    until(lambda: is_full(one), 'full again')
    if one.tx()[A2B_KEY]['supplied'] < taken:
        raise AssertionError('what was taken was not made up for')
    equal(other.supplied(), before, 'bytes of the end that is full')
    settled(one, other)


def test_order():
    """a byte enters tx only when the peer has it in rx"""
    one, other = pair(rate=50000000)
    seen = 0
    for _ in range(150):
        tx = one.tx()
        rx = {n: a for n, a in other.streams().items() if not a['tx']}
        seen += sum(a['supplied'] for a in tx.values())
        for number, a in tx.items():
            if a['supplied'] > rx[number]['supplied']:
                raise AssertionError(f'stream {number} is ahead at tx')
    if not seen:
        raise AssertionError('no supply')
    settled(one, other)


def test_small():
    """a tx stream of 1 KiB works"""
    one, other = pair(link={**SMALL, 'pad_capacity': 1024, 'key_capacity': 1024,
                            'pad_low': 256, 'key_low': 256})
    for _ in range(100):
        until_read(one, 64)
    settled(one, other)


def test_stop():
    """stopped: no supply; started again: supply"""
    one, other = pair(link=BIG)
    until(one.supplied, 'supply')
    one.set(stopped=1)
    time.sleep(0.3)
    before = one.supplied(), other.supplied()
    time.sleep(1)
    equal((one.supplied(), other.supplied()), before, 'bytes while stopped')
    equal(other.show()['emu']['stopped'], 1, 'shown at the other end')
    until(lambda: other.show()['skr'] == 0, 'SKR 0')
    # either end sets what both have
    other.set(stopped=0)
    until(lambda: one.supplied() > before[0], 'supply')


def test_qber():
    """above the threshold supply stops, with an alarm; below it resumes"""
    ends = pair(link=BIG)
    one, other = ends
    until(one.supplied, 'supply')
    equal(one.show()['emu']['threshold'], 110000, 'threshold of BB84')
    one.set(qber=110000)
    before = one.supplied()
    until(lambda: one.supplied() > before, 'supply at the threshold')
    heard = both_hear(ends, {'qber-alarm'}, lambda: one.set(qber=110001))
    equal([e['qber'] for e in heard[1] if e['type'] == 'qber-alarm'], [110001], 'QBER')
    time.sleep(0.3)
    before = one.supplied(), other.supplied()
    time.sleep(1)
    equal((one.supplied(), other.supplied()), before, 'bytes above the threshold')
    for end in ends:
        shown = end.show()
        equal((shown['state'], shown['reason'], shown['qber'], shown['skr']),
              ('up', 'qber', 110001, 0), 'shown')
    both_hear(ends, {'qber-clear'}, lambda: other.set(qber=20000))
    until(lambda: one.supplied() > before[0], 'supply below the threshold')
    equal(one.show()['reason'], 'none', 'reason')


def test_protocols():
    """each protocol has its own threshold"""
    ends = pair(link=BIG, qber=60000)
    one = ends[0]
    want = {'bb84': 110000, 'bb84-decoy': 98000, 'b92': 34000, 'e91': 71000,
            'bbm92': 110000, 'cow': 50000}
    for protocol, threshold in want.items():
        one.set(protocol=protocol)
        shown = one.show()
        equal(shown['emu']['threshold'], threshold, protocol)
        equal(shown['reason'], 'qber' if threshold < 60000 else 'none', protocol)
    refused(errno.ERANGE, lambda: one.set(protocol=77), attribute='protocol')
    equal(one.show()['emu']['protocol'], 'cow', 'protocol')


def test_flip():
    """a flipped bit is caught: both ends give the block up, and go on"""
    ends = pair(link=BIG)
    one, other = ends
    until(lambda: one.supplied() > 1 << 19, 'supply')
    for _ in range(3):      # not in a row, so the link stays up
        both_hear(ends, {'mismatch'}, lambda: one.set(flip=1))
        before = one.supplied()
        until(lambda: one.supplied() > before + (1 << 18), 'supply')
    for end in settled(*ends):
        equal((end['state'], end['refused']['mismatch']), ('up', 3), 'shown')
        equal(end['emu']['flip'], 0, 'flips to come')
        if not sum(a['lost'] for a in accounts.streams(end).values()):
            raise AssertionError('nothing lost')


def test_mismatch():
    """three mismatches in a row: the link is down until the operator acts"""
    ends = pair(link=BIG)
    one, other = ends
    until(one.supplied, 'supply')
    both_hear(ends, {'mismatch', 'link-down'}, lambda: one.set(flip=3))
    for end in ends:
        shown = end.show()
        equal((shown['state'], shown['reason'], shown['admin']), ('down', 'mismatch', 'down'),
              'shown')
    one.set(admin='up')
    time.sleep(0.5)
    equal(one.show()['state'], 'down', 'one end up')
    other.set(admin='up')
    until(lambda: is_up(one) and is_up(other), 'up')
    equal((one.show()['label'], other.show()['label']), (2, 2), 'labels')
    until(one.supplied, 'supply')


def test_lose():
    """a lost block is a gap at both ends"""
    ends = pair(link=BIG)
    one, other = ends
    until(lambda: one.supplied() > 1 << 19, 'supply')
    both_hear(ends, {'gap'}, lambda: one.set(lose=3))
    until(lambda: one.show()['emu']['lose'] == 0, 'all three')
    before = one.supplied()
    until(lambda: one.supplied() > before, 'supply')
    a, b = settled(*ends)
    lost = [sum(s['lost'] for s in accounts.streams(end).values()) for end in (a, b)]
    equal(lost[0], lost[1], 'lost at the ends')
    if lost[0] < 3 * a['emu']['block']:
        raise AssertionError(f'{lost[0]} bytes lost')
    equal(a['state'], 'up', 'state')


def test_admin():
    """down at one end ends the generation at both, up begins the next"""
    one, other = pair()
    until(one.supplied, 'supply')
    first = one.show()['generation']
    for label, end in ((2, one), (3, other)):
        end.set(admin='down')
        peer = other if end is one else one
        until(lambda: peer.show()['state'] == 'down', 'the peer down')
        equal((end.show()['reason'], peer.show()['reason']), ('operator', 'peer'), 'reasons')
        end.set(admin='up')
        until(lambda: is_up(one) and is_up(other), 'up')
        equal((one.show()['label'], other.show()['label']), (label, label), 'labels')
    # with both down, the first that comes waits for the second, whichever it is
    for label, order in ((4, (one, other)), (5, (other, one))):
        one.set(admin='down')
        other.set(admin='down')
        order[0].set(admin='up')
        equal(order[0].show()['state'], 'down', 'one end up')
        order[1].set(admin='up')
        until(lambda: is_up(one) and is_up(other), 'up')
        equal((one.show()['label'], other.show()['label']), (label, label), 'labels')
    if one.show()['generation'] == first:
        raise AssertionError('the same generation again')
    until(one.supplied, 'supply')
    settled(one, other)


def test_quota():
    """a namespace that is out of memory stalls supply, and breaks nothing"""
    # In a user namespace the cap is 16 MiB, and both ends count.
    script = '''
import sys, time
sys.path.insert(0, sys.argv[1])
import accounts, genl
qkd = genl.Qkd()
qkd.do('link-new', name='q0', type='emu', emu={'rate': 400000000, 'peer_name': 'q1'})
before, now = -1, 0
while now != before or not now:
    time.sleep(2)
    shown = [qkd.do('link-get', name=n) for n in ('q0', 'q1')]
    before, now = now, sum(s['supplied'] for s in accounts.streams(shown[0]).values())
problems = [*accounts.problems_of_end(shown[0]), *accounts.problems_of_end(shown[1])]
problems += accounts.problems_across(*shown)
assert not problems, problems
assert [s['state'] for s in shown] == ['up', 'up'], shown
live = [sum(a['live'] for a in accounts.streams(s).values()) for s in shown]
assert sum(live) <= 16 << 20, live
print(f'{sum(live) >> 10} KiB held')
'''
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(['unshare', '-Urn', 'python3', '-c', script, here + '/ref'],
                          capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout.strip()


# Single ends

def test_single():
    """single ends: identities, generation and keys are the reference's"""
    one, other = two_singles()
    ref = links.Emulated(SEED, GEN)
    for end in (one, other):
        shown = end.show()
        role = shown['role']
        equal(shown['id'], ref.ids[role], 'identity')
        equal(shown['hash'], ref.link, 'L')
        equal(shown['generation'], ref.ident, 'G*')
        equal((shown['label'], shown['emu']['gen'], shown['confirm'], shown['state']),
              (GEN, GEN, 'none', 'up'), 'shown')
        if 'seed' in shown['emu']:
            raise AssertionError('the seed is shown')
    count = 0
    for end, peer in ((one, other), (other, one)):
        handle = peer.node()
        # over more than one segment of key
        for size in [1, 32, 33, 1000] + [2016] * 70:
            ident, key = until_read(end, size)
            equal(key, keys.resolve(ref, ident, size), 'key by the reference')
            equal(until_claim(handle, ident, size), key, 'key at the peer')
            count += 1
        handle.close()
    return f'{count} keys'


def until_claim(handle, ident, size):
    """The peer's rx is filled a moment after what was committed."""
    def attempt():
        try:
            return handle.claim(ident, size)
        except OSError as why:
            if why.errno != errno.ENODATA:
                raise
            return None
    return until(attempt, 'the peer')


def test_fill():
    """rx of a single end is filled ahead of the highest commit, not by the rate"""
    netns_add(NETNS)
    one = single('alice', gen=step_gen(), rate=20000000, link=SMALL)
    # its peer has hardly begun, and its rx is full already
    other = single('bob', NETNS, gen=GENS[0], rate=1, link=SMALL)
    until(lambda: other.streams()[A2B_KEY]['supplied'] == SMALL['key_capacity'], 'key ahead')
    until(lambda: other.streams()[A2B_PAD]['supplied'] == SMALL['pad_capacity'], 'pad ahead')
    equal(other.supplied(), 0, 'tx of the slow end')
    handle = other.node()
    high = 0
    while high < 3 * SMALL['key_capacity']:
        ident, key = until_read(one, 2016)
        equal(until_claim(handle, ident, 2016), key, 'key')
        high = keys.unpack(ident)['offset'] * 32 + 2016
    handle.close()
    until(lambda: other.streams()[A2B_KEY]['supplied'] == high + SMALL['key_capacity'],
          'key ahead of the last commit')
    for end in (one, other):
        problems = accounts.problems_of_end(end.show())
        if problems:
            raise AssertionError('; '.join(problems))


# The same seed and gen begin once, so each test takes the next ones.
GENS = [GEN]


def step_gen(count=1):
    for _ in range(count):
        GENS[0] = links.next_label(GENS[0])
    return GENS[0]


def test_once():
    """the same seed, gen and role begin once"""
    gen = step_gen()
    end = single('alice', gen=gen)
    refused(errno.EEXIST, single, 'alice', gen=gen, name='s1', text='used')
    end.delete()
    refused(errno.EEXIST, single, 'alice', gen=gen, text='used')
    # another role, seed or gen is something else
    single('bob', gen=gen, name='s1')
    single('alice', gen=gen, seed=SEED[1:], name='s2')
    single('alice', gen=step_gen(), name='s3')


def test_next_gen():
    """a single end needs a new gen, the successor, to begin again"""
    gen = step_gen()
    one, other = two_singles(gen=gen)
    old, _ = until_read(one)
    refused(errno.EINVAL, lambda: one.set(gen=gen), text='does not follow', attribute='gen')
    refused(errno.EINVAL, lambda: one.set(gen=links.next_label(links.next_label(gen))),
            text='does not follow', attribute='gen')
    equal(one.show()['label'], gen, 'label after the refusals')
    # up: at once
    gen = step_gen()
    one.set(gen=gen)
    other.set(gen=gen, admin='up')
    for end in (one, other):
        equal((end.show()['label'], end.show()['state']), (gen, 'up'), 'shown')
    ident, key = until_read(one)
    equal(key, keys.resolve(links.Emulated(SEED, gen), ident, 32), 'key')
    handle = other.node()
    equal(until_claim(handle, ident, 32), key, 'key at the peer')
    refused(errno.ESTALE, handle.claim, old)
    handle.close()
    # down: when it is set up
    one.set(admin='down')
    equal(one.show()['reason'], 'operator', 'reason')
    refused(errno.EINVAL, lambda: one.set(admin='up'), text='needs a new gen')
    equal(one.show()['state'], 'down', 'state')
    gen = step_gen()
    one.set(gen=gen)
    equal(one.show()['state'], 'down', 'state')
    one.set(admin='up')
    equal((one.show()['label'], one.show()['state']), (gen, 'up'), 'shown')
    # the peer, a generation behind, is refused and loses nothing
    ident, _ = until_read(one)
    handle = other.node()
    refused(errno.ESTALE, handle.claim, ident)
    handle.close()


def test_equal_roles():
    """equal roles on both machines: all that comes in is refused"""
    # A second alice of this seed and gen holds what this one holds.
    one = single('alice', gen=step_gen())
    ident, _ = until_read(one)
    handle = one.node()
    refused(errno.EKEYREJECTED, handle.claim, ident)
    handle.close()


def test_stale():
    """a peer that is further ahead than the ring: event stale, once"""
    gen = step_gen()
    one, other = two_singles(gen=gen, link=SMALL)
    ahead = []
    offset = 0
    while offset < 2 * SMALL['key_capacity']:
        ident, _ = until_read(one, 2016)
        offset = keys.unpack(ident)['offset'] * 32
        if offset >= SMALL['key_capacity']:
            ahead.append(ident)
    listener = End(other.name, NETNS)
    listener.qkd.subscribe()
    handle = other.node()
    for ident in ahead[:15]:
        refused(errno.ENODATA, handle.claim, ident)
    time.sleep(1.5)
    equal([e for e in listener.qkd.events(0.1) if e['type'] == 'stale'], [], 'events')
    for ident in ahead[15:20]:
        refused(errno.ENODATA, handle.claim, ident)
    gather(listener, 10, {'stale'})
    equal(other.show()['reason'], 'stale', 'reason')
    for ident in ahead[:20]:
        refused(errno.ENODATA, handle.claim, ident)
    time.sleep(2.5)
    equal([e for e in listener.qkd.events(0.1) if e['type'] == 'stale'], [], 'more events')
    handle.close()
    gen = step_gen()
    for end in (one, other):
        end.set(gen=gen)
    ident, key = until_read(one)
    handle = other.node()
    equal(until_claim(handle, ident, 32), key, 'key in the next generation')
    handle.close()


# What it refuses

def test_refusals():
    """what cannot be is refused by name, and adds nothing"""
    seed = {'seed': SEED, 'gen': step_gen()}
    cases = (
        ('needs the peer', {}, {}, None),
        ('needs the peer', {}, {'rate': 1000}, None),
        ('needs a role', {}, seed, None),
        ('a seed needs gen', {'role': 'alice'}, {'seed': SEED}, 'seed'),
        ('shorter than 16', {'role': 'alice'}, {**seed, 'seed': SEED[:15]}, 'seed'),
        ('makes its own', {}, {**seed, 'peer_name': 'e1'}, 'seed'),
        ('makes its own', {}, {'gen': 5, 'peer_name': 'e1'}, 'gen'),
        ('only a pair', {'role': 'bob'}, {**seed, 'flip': 1}, 'flip'),
        ('only a pair', {'role': 'bob'}, {**seed, 'lose': 1}, 'lose'),
        ('only shown', {}, {'peer_name': 'e1', 'block': 4096}, 'block'),
        ('only shown', {}, {'peer_name': 'e1', 'threshold': 1}, 'threshold'),
        ('only shown', {}, {'peer_name': 'e1', 'peer_index': 1}, 'peer-index'),
        ('its own identities', {'id': 'a', 'peer_id': 'b'}, {'peer_name': 'e1'}, None),
    )
    for text, link, emu, attribute in cases:
        refused(errno.EINVAL, new, 'e0', link=link, text=text, attribute=attribute, **emu)
    for emu, attribute in (({'rate': 0}, 'rate'), ({'rate': 10**11 + 1}, 'rate'),
                           ({'qber': 500001}, 'qber')):
        refused(errno.ERANGE, new, 'e0', peer_name='e1', attribute=attribute, **emu)
    refused(errno.EBADF, new, 'e0', peer_name='e1', peer_netns_fd=999,
            attribute='peer-netns-fd')
    refused(errno.EEXIST, new, 'e0', peer_name='e0', attribute='peer-name')
    equal(genl.Qkd().dump('link-dump'), [], 'links')
    end = pair()[0]
    for values, attribute in (({'seed': SEED}, 'seed'), ({'peer_name': 'x'}, 'peer-name'),
                              ({'gen': 3}, 'gen'), ({'block': 64}, 'block')):
        before = end.show()['emu']
        refused(errno.EINVAL, lambda v=values: end.set(rate=5000, **v), attribute=attribute)
        equal(end.show()['emu']['rate'], before['rate'], 'rate after a refusal')
    refused(errno.EEXIST, new, 'e0', peer_name='e2', attribute='name')
    refused(errno.EEXIST, new, 'e2', peer_name='e0', attribute='peer-name')
    equal([link['name'] for link in genl.Qkd().dump('link-dump')], ['e0'], 'links')
    return f'{len(cases) + 11} of them'


def test_capability():
    """a peer in somebody else's namespace takes CAP_NET_ADMIN there"""
    script = '''
import errno, os, sys
sys.path.insert(0, sys.argv[1])
import genl
qkd = genl.Qkd()
try:
    qkd.do('link-new', name='c0', type='emu', emu={'peer_name': 'c1', 'peer_netns_fd': 9})
except OSError as why:
    assert why.errno == errno.EPERM and why.attribute == 'peer-netns-fd', str(why)
else:
    raise SystemExit('not refused')
assert qkd.dump('link-dump') == []
qkd.do('link-new', name='c0', type='emu', emu={'peer_name': 'c1'})
'''
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(['sh', '-c', 'exec 9</proc/self/ns/net; exec unshare -Urn python3 '
                           '-c "$0" "$1"', script, here + '/ref'],
                          capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise AssertionError(done.stderr)


# How it goes away

def test_delete():
    """either end's deletion deletes both"""
    for which in (0, 1):
        ends = pair()
        ends[which].delete()
        for end in ends:
            if end.exists():
                raise AssertionError(f'{end.name} is still there')
        netns_del(NETNS)


def test_netns():
    """a namespace that ends takes both ends with it"""
    one, other = pair()
    until(one.supplied, 'supply')
    other.qkd.close()       # it lives as long as our socket in it
    netns_del(NETNS)
    until(lambda: not one.exists(), 'the end here')


def main():
    run([test_pair, test_pair_bob, test_rate, test_blocks, test_slow, test_share,
         test_order, test_small, test_stop, test_qber, test_protocols, test_flip,
         test_mismatch, test_lose, test_admin, test_quota, test_single, test_fill,
         test_once, test_next_gen, test_equal_roles, test_stale, test_refusals,
         test_capability, test_delete, test_netns], cleanup)


if __name__ == '__main__':
    main()
