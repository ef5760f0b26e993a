# SPDX-License-Identifier: GPL-2.0-only
"""The selftest ike_faults; run by ike_faults.sh."""
import contextlib
import itertools
import re
import socket
import threading
import time

from ike_lib import (ALICE, BOB, CHARONS, PROPOSAL, PSK, SITES, Pinging, charons, connection, ping,
                     take_down, until, wire_up)
from macsec_lib import generation, inside, links_up
import genl
import ike
import ikev2
import keys
import link as links
from ktap import equal, run, scaled

IDENTITY = 'alice.example'
NET = '10.9.0.0/24'
EVE = [f'10.9.0.{n}' for n in range(10, 30)]    # other addresses on alice's wire
METHOD = ike.METHODS['qkd']
FORGED = 10000
FAILED = ikev2.AUTHENTICATION_FAILED
CAPACITY = 16 << 10     # bytes of key
KEEP = 3600 * 1000      # ms
IN_TIME = 30            # seconds, emulated


def connections(site):
    """One with a PPK, one with a key exchange of QKD, one with neither."""
    peer = {'remote_addrs': NET} if site is BOB else {}
    found = {
        'site': connection(site, ppk_id='qkd:qkd0', **peer),
        'ke': connection(site, {'ke': {}}, proposals=f'{PROPOSAL}-ke1_qkd', **peer),
        'plain': connection(site, {'plain': {
            'local_ts': f'10.{site.number}.0.2/32', 'remote_ts': f'10.{site.peer.number}.0.2/32',
            'rekey_time': '6s', 'life_time': '60s'}})}
    for name in ('ke', 'plain'):
        for end, one in (('local', site), ('remote', site.peer)):
            found[name][end]['id'] = f'{one.name}.{name}'
    if site is BOB:
        found['site']['remote']['id'] = '*.example'
    return found


SETTINGS = {'qkd': {'connections': {'ke': {'source': 'qkd0'}}}}


def link_up():
    """With little key at a time, to be drained; what nobody takes stays."""
    links_up(export=['control', 'export'], key_capacity=CAPACITY, key_keep=KEEP)


def link_down():
    for site in SITES:
        with contextlib.suppress(genl.Refused):
            site.do('link-del', name='qkd0')


@contextlib.contextmanager
def scene():
    """Both charons, and a link that is new."""
    link_down()
    link_up()
    with charons(connections, **SETTINGS) as both:
        yield both


@contextlib.contextmanager
def going_on():
    """The tunnel without QKD is in use meanwhile, and loses nothing."""
    CHARONS[ALICE].initiate('plain')
    with Pinging(0.2, '10.1.0.2', '10.2.0.2'):
        yield


def ended(name):
    """Alice's IKE_SAs of this name are."""
    CHARONS[ALICE].swanctl('--terminate', '--ike', name, '--timeout', 20)


def complaints(charon):
    """What the plugin says of refusals."""
    return [line for line in charon.log().splitlines()
            if re.search(r'QKD link|no QKD source|QKD key exchange with|'
                         r'QKD as the first', line)]


def one_line(charon, *texts):
    found = complaints(charon)
    equal(len(found), 1, f'lines of {charon.site.name}: {found}')
    if not any(text in found[0] for text in texts):
        raise AssertionError(f'said {found[0]}, none of {texts}')


# What is spent, and refused


def accounts():
    """(taken, skipped, lost) of the ends of the key streams, in bytes."""
    return {(site.name, stat['stream']): tuple(stat.get(name, 0)
                                               for name in ('taken', 'skipped', 'lost'))
            for site in SITES for stat in site.do('link-get', name='qkd0')['stat']
            if 'key' in stat['stream']}


def difference(before):
    """(taken, skipped, lost) in keys since then, where not 0."""
    now = accounts()
    found = {which: tuple((a - b) // links.UNIT for a, b in zip(now[which], before[which]))
             for which in now}
    return {which: counts for which, counts in found.items() if any(counts)}


def unspent(before, of_alice=0):
    """Nothing is spent beyond keys of genuine set-ups that alice began."""
    want = {(end, 'a2b-key'): (of_alice, 0, 0) for end in ('alice', 'bob')} if of_alice else {}
    equal(difference(before), want, 'spent')


def refusals():
    """By reason, at bob."""
    return BOB.do('link-get', name='qkd0')['refused']


def reasons(before):
    now = refusals()
    return {name: now[name] - before[name] for name in now if now[name] != before[name]}


# Keys, by their IDs


def context_of(kind, identity=IDENTITY, method=METHOD):
    if kind == 'ppk':
        return bytes([ikev2.FQDN]) + identity.encode()
    return b'ike ke v1' + method.to_bytes(2, 'big')


def allocate(kind='ppk', klass='control', **more):
    """The ID of a key that alice has allocated, as bytes."""
    got = ALICE.do('key-get', link_name='qkd0', class_=klass, size=32, count=1,
                   context_type=kind, context=context_of(kind, **more))['issued']
    return (got[0] if isinstance(got, list) else got)['id']


def take(ident, kind):
    """Bob has it, as if in an IKE_SA before."""
    handle = BOB.do('key-get-by-id', link_name='qkd0', id=ident, size=32, context_type=kind,
                    context=context_of(kind))['handle']
    BOB.do('key-drop', link_name='qkd0', handle=handle)


def changed(ident, **fields):
    """The ID with other fields, and the tag as it was."""
    return keys.pack({**keys.unpack(ident), **fields})


def flipped(ident, bit=0):
    return (int.from_bytes(ident, 'big') ^ 1 << bit).to_bytes(16, 'big')


def true_name(kind, offset):
    """Of a key that nobody has allocated yet; only who has the seed can make it."""
    return keys.name(generation(), links.STREAMS['a2b-key'], links.CLASSES['control'],
                     offset * links.UNIT, links.UNIT, links.CONTEXTS[kind],
                     context_of(kind))


def later(ident, by):
    return changed(ident, offset=keys.unpack(ident)['offset'] + by)


def ppk_of(ident, identity=IDENTITY):
    return ike.ppk(generation(), keys.uuid(ident), identity.encode(), ikev2.FQDN)


# A peer who may say anything


def peer(address=EVE[0], **more):
    with inside('alice'):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, 0))
        sock.connect((BOB.address, 500))
    return ikev2.Initiator(sock, **more)


@contextlib.contextmanager
def initiator(*args, **more):
    """One that has the keys of IKE_SA_INIT."""
    one = peer(*args, **more)
    try:
        one.init()
        yield one
    finally:
        one.sock.close()


def outcome(call, *args, **values):
    """0, or why the peer refused."""
    try:
        call(*args, **values)
    except ikev2.Refused as why:
        return why.number
    return 0


def offer(ppk_id, ppk=b'', identity=IDENTITY, psk=PSK, address=EVE[0], private=None):
    """What becomes of an IKE_AUTH with this PPK_ID."""
    with initiator(address, private=private) as one:
        result = outcome(one.auth, identity, psk.encode(), ppk_id, ppk or bytes(32))
        if not result:
            one.delete()
    return result


def exchange(value, address=EVE[0], method=METHOD, private=None):
    """What becomes of an IKE_INTERMEDIATE with this value."""
    with initiator(address, methods=(METHOD,), private=private) as one:
        return outcome(one.intermediate, method, value)


def of(ident):
    return ikev2.fixed(keys.uuid(ident))


def combine(one, ident):
    """IKE_INTERMEDIATE with a key of ours, and the new keys of the IKE_SA."""
    value = one.intermediate(METHOD, ident)
    gen = generation()
    one.add(ike.secret('qkd', ident, ike.ke_key(gen, keys.uuid(ident), 'qkd'), value,
                       ike.ke_key(gen, keys.uuid(value), 'qkd')))


def test_reference():
    """the reference sets up with its own PPK; a wrong PSK or PPK takes nothing"""
    with scene():
        before, ident = accounts(), allocate()
        for ppk, psk in ((ppk_of(ident), 'wrong'), (bytes(32), PSK)):
            equal(offer(of(ident), ppk, psk=psk), FAILED)
            equal(difference(before), {('alice', 'a2b-key'): (1, 0, 0)}, 'spent')
        equal(offer(of(ident), ppk_of(ident)), 0)
        unspent(before, 1)
        equal(offer(of(ident), ppk_of(ident)), FAILED, 'again')
        unspent(before, 1)


def test_reference_ke():
    """the reference sets up with a key exchange of QKD: a key of each end"""
    with scene():
        before = accounts()
        ident = allocate('user')
        with initiator(methods=(METHOD,), ppk=False) as one:
            combine(one, ident)
            one.auth('alice.ke', PSK.encode())
            one.delete()
        equal(difference(before), {('alice', 'a2b-key'): (1, 0, 0), ('bob', 'a2b-key'): (1, 0, 0),
                                   ('bob', 'b2a-key'): (1, 0, 0)}, 'spent')


def drain():
    """All of alice's key for class control."""
    for site in SITES:
        site.qkd('link', 'set', 'qkd0', 'stop')
    with contextlib.suppress(genl.Refused):
        while True:
            allocate()


def test_empty():
    """the link has no key: refused in time, with one line; then it has again"""
    with scene() as (alice, bob), going_on():
        drain()
        for child in ('net', 'ke'):
            alice.forget()
            alice.fails(child, IN_TIME)
            one_line(alice, 'no key')
        equal(complaints(bob), [], 'bob said')
        for site in SITES:
            site.qkd('link', 'set', 'qkd0', 'start')
        until(lambda: ALICE.do('status', link_name='qkd0', class_='control',
                               size=32)['available'] > 10, 'key')
        for child in ('net', 'ke'):
            alice.initiate(child)
        equal(ping(), 0, 'lost')


def test_gone():
    """the link goes, at either end or in the middle: refused in time, with one line"""
    with scene() as (alice, bob), going_on():
        for site, charon in ((ALICE, alice), (BOB, bob)):
            site.do('link-del', name='qkd0')
            for child in ('net', 'ke'):
                charon.forget()
                alice.fails(child, IN_TIME)
                one_line(charon, 'link qkd0', 'no QKD source')
            link_down()
            link_up()
            for child in ('net', 'ke'):
                alice.initiate(child)
                ended({'net': 'site'}.get(child, child))
        gone_between(bob)
        link_down()
        link_up()
        alice.initiate()


def gone_between(bob):
    """At bob, after he has looked a key up."""
    ident = allocate('user')
    with initiator(methods=(METHOD,), ppk=False) as one:
        combine(one, ident)
        bob.forget()
        BOB.do('link-del', name='qkd0')
        equal(outcome(one.auth, 'alice.ke', PSK.encode()), FAILED)
    one_line(bob, "can't be taken")


def refused_kinds(kind):
    """What a peer may name that is not there: {what: (ID, reasons)}"""
    taken, current, other = allocate(kind), allocate(kind), allocate('none')
    take(taken, kind)
    other_context = {'ppk': {'identity': 'mallory.example'}, 'user': {'method': METHOD + 1}}[kind]
    label = keys.unpack(current)['label']
    return {
        'taken': (taken, 'duplicate'),
        'of a wrong tag': (flipped(current), 'bad-tag'),
        'of another offset': (later(current, 20), 'bad-tag'),
        'not supplied yet': (true_name(kind, (1 << 30) + 5), 'not-here'),
        'of another class': (changed(current, **{'class': links.CLASSES['export']}), 'bad-tag'),
        'of more units': (changed(current, units=2), 'bad-tag'),
        'of an unknown generation': (changed(current, label=label % 0xffff + 1),
                                     'stale' if kind == 'ppk' else None),
        'of the other direction': (changed(current, stream=links.STREAMS['b2a-key']), 'bad-tag'),
        "of a segment's head": (changed(current, offset=0), 'bad-tag'),
        'of no context': (other, 'bad-tag'),
        'of another context': (allocate(kind, **other_context), 'bad-tag'),
        'of class export, allocated': (allocate(kind, 'export'), None),
        'of another link': (changed(current, link=keys.unpack(current)['link'] ^ 1), None),
        'version 4': (bytes(current[:6]) + b'\x40' + current[7:], None),
        'zero': (bytes(16), None),
    }


def refused_all(bob, kind, call):
    """Each with one line, and nothing spent."""
    made = refused_kinds(kind)
    before = accounts()
    for what, (ident, reason) in made.items():
        count = refusals()
        bob.forget()
        result = call(ident)
        equal(bool(result), True, f'a key {what}: refused')
        if reason:
            equal(reasons(count), {reason: 1}, f'a key {what}')
        unspent(before)
        one_line(bob, 'no such key', 'no QKD source', 'not of class control')
    return f'{len(made)} kinds'


def test_not_there():
    """PPK_IDs of keys that are not there: refused, each with one line, nothing is taken"""
    with scene() as (alice, bob):
        note = refused_all(bob, 'ppk', lambda ident: offer(of(ident)))
        alice.initiate()
    return note


def test_ke_not_there():
    """key exchanges with keys that are not there: likewise"""
    with scene() as (alice, bob):
        note = refused_all(bob, 'user', exchange)
        alice.initiate('ke')
    return note


def test_no_ids():
    """PPK_IDs that are no key IDs"""
    with scene() as (alice, bob):
        count = refused_ids(bob)
        alice.initiate()
    return f'{count} kinds'


def refused_ids(bob):
    ident = allocate()
    before = accounts()
    text = keys.uuid(ident).encode()
    wrong = [b'', b'\2', b'\2' + text[:-1], b'\2' + text + b'0', b'\1' + text, b'\xff' + text,
             b'\2' + text.replace(b'-', b'_'), b'\2' + bytes(36), b'\2' + b'%s%n' * 9,
             b'\2\n00[IKE] IKE_SA site[1] established.',
             b'\2' + b'\xff' * 36, b'\2' + text * 20, b'\2' + ident, b'\2qkd:qkd0', b'\2*']
    for ppk_id in wrong:
        bob.forget()
        equal(offer(ppk_id, ppk_of(ident)) in (7, FAILED), True, ppk_id)
        equal(len(bob.said('PPK required') + bob.said('but require')), 1, f'lines for {ppk_id}')
        unspent(before)
    equal(offer(None), FAILED, 'none')
    unspent(before)
    return len(wrong)


def test_ke_values():
    """key exchanges with values of a wrong length, or of another method"""
    with scene() as (alice, bob):
        ident = allocate('user')
        before = accounts()
        for length in (0, 1, 15, 17, 32, 1200):
            bob.forget()
            equal(bool(exchange((ident * 100)[:length])), True, f'{length} bytes: refused')
            one_line(bob, f'with a value of {length} bytes')
            unspent(before)
        equal(bool(exchange(ident, method=METHOD + 1)), True, 'another method: refused')
        unspent(before)
        alice.initiate('ke')


def test_same_key():
    """two IKE_SAs at once name the same key: one has it"""
    with scene() as (_, bob):
        before, ident = accounts(), allocate()
        with initiator() as one, initiator() as two:
            both_auth((one, two), IDENTITY, of(ident), ppk_of(ident))
        unspent(before, 1)
        before, ident = accounts(), allocate('user')
        bob.forget()
        with initiator(methods=(METHOD,), ppk=False) as one, \
                initiator(methods=(METHOD,), ppk=False) as two:
            for each in (one, two):
                combine(each, ident)
            both_auth((one, two), 'alice.ke', None, None)
        one_line(bob, "can't be taken")
        return f'bob gave {difference(before)["bob", "b2a-key"][0]} keys of his own'


def both_auth(peers, identity, ppk_id, ppk):
    results = [None, None]

    def go(n):
        results[n] = outcome(peers[n].auth, identity, PSK.encode(), ppk_id, ppk)

    threads = [threading.Thread(target=go, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(results), [0, FAILED], 'what became of them')


# Many


def memory(charon):
    with open(f'/proc/{charon.pid}/status', encoding='ascii') as status:
        return int(re.search(r'VmRSS:\s+(\d+)', status.read())[1])


class Flood:
    """Messages to bob, until it is stopped."""

    def __init__(self, messages):
        self.messages, self.sent, self.running = messages, 0, True
        self.thread = threading.Thread(target=self.send)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()

    def send(self):
        for sock, message in self.messages:
            if not self.running:
                return
            with contextlib.suppress(OSError):      # ICMP, no buffer
                sock.send(message)
            self.sent += 1
            if not self.sent % 20:
                time.sleep(0.02)


def replays():
    """One IKE_SA_INIT, answered once, again and again."""
    with initiator() as one:
        sock = peer().sock
        for _ in itertools.repeat(None):
            yield sock, one.sent


def beginnings():
    """Each IKE_SA_INIT another one, from many addresses."""
    private = ikev2.X25519PrivateKey.generate()
    socks = [peer(address).sock for address in EVE]
    for sock in itertools.cycle(socks):
        yield sock, ikev2.Initiator(None, methods=(METHOD,), private=private).first()


def test_floods():
    """floods of IKE_SA_INIT, replayed or new: genuine set-ups go on, nothing is taken"""
    notes = []
    with scene() as (alice, bob), going_on():
        pid, size = bob.pid, memory(bob)
        before, count = accounts(), 0
        for messages in (replays, beginnings):
            with Flood(messages()) as flood:
                for _ in range(scaled(20, 3)):
                    alice.initiate(seconds=120)
                    count += 1
            notes.append(f'{flood.sent} {messages.__name__}')
        unspent(before, count)
        until(lambda: bob.process.poll() is None and bob.answers(), 'bob answers')
        equal(bob.pid, pid)
        equal(memory(bob) - size < 64 << 10, True, 'memory')
        notes.append(f'{memory(bob) - size} KiB more')
    return f'{", ".join(notes)}, {count} set-ups'


class Forger(threading.Thread):
    """Completes exchanges that name forged keys, from an address of its own."""

    def __init__(self, address, kinds, count):
        super().__init__()
        self.address, self.kinds, self.count = address, kinds, count
        self.results, self.failure = {}, None
        self.private = ikev2.X25519PrivateKey.generate()

    def run(self):
        try:
            for n in range(self.count):
                self.once(n)
        except Exception as why:        # of a thread: for the test to raise
            self.failure = why

    def once(self, n):
        call, ident = self.kinds[n % len(self.kinds)](n)
        args = {'address': self.address, 'private': self.private}
        result = call(of(ident), **args) if call is offer else call(ident, **args)
        self.results[result] = self.results.get(result, 0) + 1


def forged_kinds():
    """Past, current and future, of PPKs and of key exchanges."""
    past = {kind: allocate(kind) for kind in ('ppk', 'user')}
    current = {kind: allocate(kind) for kind in ('ppk', 'user')}
    for kind, ident in past.items():
        take(ident, kind)
    made = []
    for kind, call in (('ppk', offer), ('user', exchange)):
        made += [lambda n, c=call, k=kind: (c, past[k]),
                 lambda n, c=call, k=kind: (c, flipped(current[k], n % 40)),
                 lambda n, c=call, k=kind: (c, later(current[k], 1 + n))]
    return made, current


def test_forged():
    """completed exchanges with forged IDs, past, current, future: no key, no harm"""
    with scene() as (alice, bob), going_on():
        made, current = forged_kinds()
        count = scaled(FORGED, 60) // 2
        before, reason, size = accounts(), refusals(), memory(bob)
        forgers = [Forger(EVE[n], made, count) for n in range(2)]
        start, genuine = time.monotonic(), 0
        for forger in forgers:
            forger.start()
        while any(forger.is_alive() for forger in forgers):
            alice.initiate(seconds=120)
            ended('site')
            genuine += 1
        for forger in forgers:
            if forger.failure:
                raise forger.failure
        seconds = time.monotonic() - start
        unspent(before, genuine)
        found = reasons(reason)
        equal(sum(found.values()), 2 * count, f'refused {found}')
        results = [forger.results for forger in forgers]
        equal([sum(r.values()) for r in results], [count, count])
        equal(any(0 in r for r in results), False, results)
        lines = complaints(bob)
        equal(len(lines), 2 * count, 'lines')
        total = len(bob.log().splitlines())
        equal(offer(of(current['ppk']), ppk_of(current['ppk'])), 0, 'the key itself')
        equal(memory(bob) - size < 32 << 10, True, f'{memory(bob) - size} KiB more')
        return (f'{2 * count} in {seconds:.0f} s, {found}, {genuine} set-ups, '
                f'{memory(bob) - size} KiB more, {total} lines of log')


def test_seen():
    """who has seen an ID can't use the key up, nor more than one of the responder's"""
    with scene() as (alice, _):
        before, ident, ke = accounts(), allocate(), allocate('user')
        start = time.monotonic()
        for _ in range(scaled(50, 5)):
            equal(offer(of(ident), psk='unknown'), FAILED)
            with initiator(methods=(METHOD,), ppk=False) as one:
                combine(one, ke)
                equal(outcome(one.auth, 'alice.ke', b'unknown'), FAILED)
        changes = difference(before)
        equal(changes.pop(('alice', 'a2b-key')), (2, 0, 0), 'keys of alice')
        count = changes.pop(('bob', 'b2a-key'))[0]
        equal(changes, {}, 'taken')
        if count > 1 + (time.monotonic() - start) // 60:     # as long as he keeps one
            raise AssertionError(f'{count} keys of bob')
        equal(offer(of(ident), ppk_of(ident)), 0, 'the PPK itself')
        alice.initiate('ke')


if __name__ == '__main__':
    try:
        wire_up(('control', 'export'))
        for one_site in SITES:
            one_site.ip('addr', 'add', f'10.{one_site.number}.0.2/32', 'dev', 'lo')
        for one_address in EVE:
            ALICE.ip('addr', 'add', f'{one_address}/24', 'dev', 'va')
        run([test_reference, test_reference_ke, test_empty, test_gone, test_not_there,
             test_ke_not_there, test_no_ids, test_ke_values, test_same_key, test_seen,
             test_floods, test_forged])
    finally:
        take_down()
