# SPDX-License-Identifier: GPL-2.0-only
"""The selftest macsec_feed; run by macsec_feed.sh."""
import contextlib
import errno
import os
import socket
import threading
import time

from macsec_lib import (ALICE, BOB, SITES, Capture, Macsec, Stream, connect, devices,
                        generation, inside, link_anew, moves, rotate, run as command,
                        set_up, tear_down, until)
import genl
import keys
import sak
from ktap import equal, refused, run, scaled
from netns import namespace

NOBODY = ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups')


def taken():
    """What both ends have spent of either key stream."""
    return [site.taken(stream) for stream in ('a2b-key', 'b2a-key') for site in SITES]


def ping(site, count=3, size=200):
    site.exec('ping', '-n', '-q', '-c', count, '-i', '0.2', '-W', 2, '-s', size,
              site.peer.address)


def opened(frames, saks):
    """What MACsec frames carry, by the SCI that sent them; all must verify."""
    out = {sci: [] for sci in saks}
    for frame in frames:
        if frame[12:14] == sak.ETHERTYPE:
            sci = int.from_bytes(frame[6:12], 'big') << 16 | 1
            out[sci].append(saks[sci].open(frame))
    return out


def prove_suite(suite):
    before = taken()
    with devices(suite):
        idents = {site.sci: connect(site, 0) for site in SITES}
        shown = [site.secy() for site in SITES]
        for site, mine, theirs in zip(SITES, shown, shown[::-1]):
            key = idents[site.sci].hex()
            equal((mine['out', 0], theirs['in', 0]), (key, key), 'key identifiers')
        saks = {sci: sak.of_id(generation(), ident, sci, 0, suite)
                for sci, ident in idents.items()}
        with Capture('alice', 'va') as capture:
            ping(ALICE)
        found = opened(capture.frames, saks)
        for site in SITES:
            texts = found[site.sci]
            if len(texts) < 3 or not all(t[:2] == b'\x08\x00' for t in texts):
                raise AssertionError(f'{site.name} sent {texts}')
    equal([b - a for a, b in zip(before, taken())], [32] * 4, 'one unit of each stream')
    return ', '.join(keys.uuid(ident) for ident in idents.values())


def suite_test(suite):
    def test():
        return prove_suite(suite)
    test.__doc__ = (f'{suite}: pings pass under the keys that the reference computes, '
                    'whose IDs both ends show')
    return test


def test_rotation():
    """keys rotate over all ANs, both ways at once, under traffic: no frame lost or late"""
    count = scaled(100, 8)
    before = taken()
    failures = []

    def turn(site):
        try:
            for n in range(1, count + 1):
                rotate(site, n % 4, drain=0.5)     # frames of a busy emulated machine
        except Exception as why:        # whatever it is, the test fails by it
            failures.append(why)

    with devices('gcm-aes-256'):
        for site in SITES:
            connect(site, 0)
        with Stream(ALICE) as there, Stream(BOB) as back:
            time.sleep(0.5)
            turns = [threading.Thread(target=turn, args=(site,)) for site in SITES]
            for thread in turns:
                thread.start()
            for thread in turns:
                thread.join()
            time.sleep(0.5)
        if failures:
            raise failures[0]
        for stream in (there, back):
            equal(stream.problems(), (0, 0), 'frames lost, frames late')
            if stream.sent < 100:
                raise AssertionError(f'only {stream.sent} frames')
        for site in SITES:
            shown = site.client.do('macsec-get', ifindex=site.ifindex)
            equal((shown['installed'], shown['removed'], shown['failed'], shown['sas']),
                  (2 * count + 2, 2 * count, 0, 2), site.name)
    equal([b - a for a, b in zip(before, taken())], [32 * (count + 1)] * 4, 'units')
    return f'{count} rotations each way, {there.sent} and {back.sent} frames'


def test_command():
    """the command: bind, tx, rx, show -s, del, unbind"""
    with devices('gcm-aes-xpn-256'):
        for site in SITES:
            site.qkd('macsec', 'unbind', 'macsec0')
            site.qkd('macsec', 'bind', 'macsec0', 'dev', 'qkd0', 'max-time', '10m')
        sent, = ALICE.json('macsec', 'tx', 'macsec0', 'an', 1)
        equal((sent['dir'], sent['an'], sent['state'], sent['sci']),
              ('tx', 1, 'installed', f'{ALICE.sci:016x}'))
        ALICE.encode(1)
        BOB.qkd('macsec', 'rx', 'macsec0', 'address', ALICE.mac, 'port', 1, 'an', 1, 'id',
                sent['key_id'].replace('-', ''))
        back, = BOB.json('macsec', 'tx', 'macsec0', 'an', 0)
        ALICE.qkd('macsec', 'rx', 'macsec0', 'sci', back['sci'], 'an', 0, 'id', back['key_id'])
        ping(ALICE)
        shown, = ALICE.json('-s', 'macsec', 'show')
        equal((shown['ifname'], shown['dev'], shown['suite'], shown['max_time'],
               shown['installed']), ('macsec0', 'qkd0', 'gcm-aes-xpn-256', 600000, 2))
        out, received = shown['sas']
        equal([sa['macsec']['key'] for sa in shown['sas']], ['same', 'same'])
        equal((out['macsec']['encoding'], out['macsec']['frames'] >= 3,
               received['macsec']['frames'] >= 3, received['key_id']),
              (True, True, True, back['key_id']))
        ALICE.ip('macsec', 'del', 'macsec0', 'rx', 'sci', back['sci'], 'sa', 0, check=False)
        ALICE.ip('macsec', 'set', 'macsec0', 'rx', 'sci', back['sci'], 'sa', 0, 'off')
        ALICE.ip('macsec', 'del', 'macsec0', 'rx', 'sci', back['sci'], 'sa', 0)
        ALICE.ip('macsec', 'add', 'macsec0', 'tx', 'sa', 3, 'xpn', 1, 'on', 'key', '01',
                 '11' * 32, 'ssci', 1, 'salt', '22' * 12)
        text = ALICE.qkd('-s', 'macsec', 'show', 'macsec0')
        for words in ('macsec: key absent', 'not ours: tx an 3', 'macsec: key same'):
            if words not in text:
                raise AssertionError(f'"{words}" is missing in {text}')
        ALICE.qkd('macsec', 'del', 'macsec0', 'rx', 'sci', back['sci'], 'an', 0)
        BOB.qkd('macsec', 'unbind', 'macsec0')
        equal(BOB.secy(), {}, 'SAs after unbinding')
        equal(BOB.json('macsec', 'show'), [])


def test_occupied():
    """an AN that is in use: a clear refusal, and no key is spent"""
    with devices('gcm-aes-128'):
        connect(ALICE, 0)
        sent = ALICE.add('out', 1)
        before = taken()
        refused(errno.EBUSY, ALICE.add, 'out', 0, text='has an SA with this AN',
                attribute='an')
        refused(errno.EBUSY, BOB.add, 'in', 0, sent['key-id'], text='has an SA with this AN')
        foreign(BOB, 'tx', 2)
        found = BOB.add('out', 2)
        equal((found['state'], found['error'], found['message'], 'key-id' in found),
              ('failed', errno.EBUSY, 'macsec has an SA with this AN', False))
        foreign(BOB, 'rx', 1)
        equal(BOB.add('in', 1, sent['key-id'])['error'], errno.EBUSY)
        equal(taken(), before, 'what both ends have spent')
        # the same key is good once the AN is free
        sci = f'{ALICE.sci:016x}'
        BOB.ip('macsec', 'set', 'macsec0', 'rx', 'sci', sci, 'sa', 1, 'off')
        BOB.ip('macsec', 'del', 'macsec0', 'rx', 'sci', sci, 'sa', 1)
        equal(BOB.add('in', 1, sent['key-id'])['state'], 'installed')
        try:
            BOB.exec('qkd', 'macsec', 'tx', 'macsec0', 'an', 2)
            raise AssertionError('the command did not fail')
        except OSError as why:
            if 'Error: macsec has an SA with this AN.' not in str(why):
                raise AssertionError(f'the command says {why}') from why


def foreign(site, direction, an):
    """An SA with a key of nobody's."""
    channel = ('rx', 'sci', f'{site.peer.sci:016x}') if direction == 'rx' else ('tx',)
    site.ip('macsec', 'add', 'macsec0', *channel, 'sa', an, 'pn', 1, 'on', 'key', '01', '11' * 16)


def test_keys_refused():
    """key IDs that are wrong, of another context, direction or class, or taken: refused"""
    with devices('gcm-aes-xpn-128'):
        sent = ALICE.add('out', 1)
        other = ALICE.add('out', 2)
        ident = sent['key-id']
        before = taken()
        bad = ident[:-1] + bytes([ident[-1] ^ 1])
        refused(errno.EKEYREJECTED, BOB.add, 'in', 1, bad, text='bad tag', attribute='key-id')
        refused(errno.EKEYREJECTED, BOB.add, 'in', 2, ident, text='bad tag')
        refused(errno.EKEYREJECTED, ALICE.add, 'in', 1, ident, text='direction')
        refused(errno.EINVAL, BOB.add, 'in', 1, bytes(16), text='malformed')
        fields = keys.unpack(ident)
        for change, number in (({'class': 1}, errno.EKEYREJECTED),
                               ({'label': fields['label'] % 65535 + 1}, errno.ESTALE),
                               ({'offset': fields['offset'] + (1 << 20)}, errno.ENODATA),
                               ({'units': 2}, errno.EKEYREJECTED)):
            refused(number, BOB.add, 'in', 1, keys.pack({**fields, **change}))
        equal(taken(), before, 'what both ends have spent')
        equal(BOB.add('in', 1, ident)['state'], 'installed')
        BOB.remove('in', 1)
        refused(errno.EALREADY, BOB.add, 'in', 1, ident, text='taken already')
        equal(BOB.add('in', 2, other['key-id'])['state'], 'installed')


def test_devices_refused():
    """no device, not macsec, unbound, bound twice, own SCI, no channel, the encoding SA"""
    with devices('gcm-aes-128'):
        do = ALICE.client.do
        with inside('alice'):
            veth = socket.if_nametoindex('va')
        refused(errno.ENODEV, do, 'macsec-bind', link_name='qkd0', ifindex=9999,
                text='no such device', attribute='ifindex')
        refused(errno.EOPNOTSUPP, do, 'macsec-bind', link_name='qkd0', ifindex=veth,
                text='not a macsec device', attribute='ifindex')
        refused(errno.ENODEV, do, 'macsec-bind', link_name='nosuch', ifindex=ALICE.ifindex)
        refused(errno.EEXIST, do, 'macsec-bind', link_name='qkd0', ifindex=ALICE.ifindex,
                text='bound to a link')
        for op in ('macsec-unbind', 'macsec-get'):
            refused(errno.ENOENT, do, op, ifindex=veth, text='not bound', attribute='ifindex')
        sent = BOB.add('out', 1)
        refused(errno.EINVAL, do, 'macsec-sa-add', ifindex=ALICE.ifindex, dir='in', an=1,
                sci=ALICE.sci, key_id=sent['key-id'], text="the device's own",
                attribute='sci')
        before = taken()
        name = {'ifindex': ALICE.ifindex, 'dir': 'in', 'an': 1}
        ALICE.ip('macsec', 'del', 'macsec0', 'rx', 'sci', f'{BOB.sci:016x}')
        found = ALICE.add('in', 1, sent['key-id'])
        equal((found['state'], found['message']),
              ('failed', 'the device has no receive channel of this SCI'))
        equal(taken(), before, 'what both ends have spent')
        do('macsec-sa-del', **name, sci=BOB.sci)
        refused(errno.ENOENT, do, 'macsec-sa-get', **name, sci=BOB.sci, text='no such SA')
        ALICE.add('out', 0)
        refused(errno.EBUSY, do, 'macsec-sa-del', **ALICE.named('out', 0),
                text='set another encodingsa first', attribute='an')
        ALICE.encode(2)
        ALICE.remove('out', 0)


def test_no_key():
    """a link without key, of which an event tells, and one that is down"""
    listener = ALICE.listen()
    with devices('gcm-aes-128'):
        for site in SITES:
            site.qkd('macsec', 'unbind', 'macsec0')
        ALICE.client.do('link-new', name='dry', type='emu', role='alice',
                        emu={'seed': os.urandom(32), 'gen': 1, 'rate': 100})
        ALICE.bind('dry')
        refused(errno.ENOKEY, ALICE.add, 'out', 0, text='not enough key')
        until(lambda: ('key-empty', 'dry', 'a2b-key') in
              [(e['type'], e['link-name'], e.get('stream')) for e in listener.events()],
              'the event')
        ALICE.qkd('link', 'set', 'dry', 'down')
        refused(errno.ENETDOWN, ALICE.add, 'out', 0, text='the link is not up')
        refused(errno.ENETDOWN, ALICE.add, 'in', 0, keys.pack({
            'link': 0, 'label': 1, 'stream': 3, 'class': 2, 'offset': 1, 'units': 1, 'tag': 0}))
        ALICE.qkd('link', 'del', 'dry')
        until(lambda: not ALICE.client.dump('macsec-dump'), 'the device goes with its link')
    listener.close()


def test_privilege():
    """without CAP_NET_ADMIN, and with it in a user namespace alone"""
    with devices('gcm-aes-128'):
        for words in (('unbind', 'macsec0'), ('tx', 'macsec0', 'an', 0),
                      ('del', 'macsec0', 'tx', 'an', 0), ('show',)):
            says(ALICE, 'CAP_NET_ADMIN', *NOBODY, 'qkd', 'macsec', *words)
        says(ALICE, 'macsec needs CAP_NET_ADMIN in the initial user namespace',
             'unshare', '-Urn', 'sh', '-ec', '''
ip link add v0 type veth peer name v1
ip link add link v0 macsec0 type macsec
qkd link add q0 type emu rate 1mbit peer name q1
qkd macsec show
qkd macsec bind macsec0 dev q0''')


def says(site, text, *words):
    try:
        output = site.exec(*words)
    except OSError as why:
        if text not in str(why):
            raise AssertionError(f'{words}: {why}') from why
        return
    raise AssertionError(f'{words}: not refused: {output}')


def test_time():
    """an SA's time is over: it goes, and the device blocks"""
    listener = ALICE.listen()
    with devices('gcm-aes-xpn-128', max_time=12000):
        for site in SITES:
            connect(site, 0)
        ping(ALICE, 2)
        until(lambda: not ALICE.secy() and not BOB.secy(), 'all SAs are gone', 20)
        refused(1, ping, ALICE, 2)
        why = {e.get('message') for e in listener.events() if e['type'] == 'macsec-sa-del'}
        equal(why, {'its time is over'})
        # and it goes on with the next one
        for site in SITES:
            connect(site, 0)
        ping(ALICE, 2)
    listener.close()


def test_events():
    """each thing that happens is told once, in order"""
    listener = ALICE.listen()
    with devices('gcm-aes-128'):
        ident = connect(ALICE, 1)
        ALICE.remove('out', 1)
        foreign(ALICE, 'tx', 3)
        ALICE.add('out', 3)
        ifindex = ALICE.ifindex
    heard = [e for e in listener.events(1) if e['type'].startswith('macsec')]
    equal([e['type'] for e in heard], ['macsec-bound', 'macsec-sa-new', 'macsec-sa-del',
                                       'macsec-failed', 'macsec-unbound'])
    equal({e['ifindex'] for e in heard}, {ifindex})
    equal([e.get('key-id') for e in heard], [None, ident, ident, None, None])
    equal([e.get('message') for e in heard[2:4]],
          ['by request', 'macsec has an SA with this AN'])
    equal((heard[1]['an'], heard[1]['dir'], heard[1]['sci'], heard[3]['error']),
          (1, 'out', ALICE.sci, errno.EBUSY))
    listener.close()


def saks_of(idents, suite):
    """The bytes of each SAK, and of its salt, by key ID, SCI and AN."""
    out = []
    for ident, sci, an in idents:
        one = sak.of_id(generation(), ident, sci, an, suite)
        out += [one.key] + ([one.salt] if one.xpn else [])
    return out


def disturb(macsec, stop):
    """An SA of ours comes and goes on AN 3 meanwhile, to meet the module's."""
    while not stop.is_set():
        macsec.add(3, bytes.fromhex('5a' * 32))
        time.sleep(0.001)
        macsec.remove(3)
        time.sleep(0.0005)


def try_once():
    """An SA on AN 3 is asked for, and removed, whatever becomes of either."""
    with contextlib.suppress(genl.Refused):
        ALICE.add('out', 3)
    with contextlib.suppress(genl.Refused):
        ALICE.do('macsec-sa-del', **ALICE.named('out', 3))
        until(lambda: ALICE.settled('out', 3), 'macsec answers')


def race(listener, seconds=60):
    """Until macsec has refused an SA whose key was taken: its error was acknowledged."""
    macsec, stop, failed = Macsec(ALICE), threading.Event(), []
    thread = threading.Thread(target=disturb, args=(macsec, stop))
    thread.start()
    end = time.monotonic() + seconds
    try:
        while not failed and time.monotonic() < end:
            try_once()
            failed += [e for e in listener.events() if e['type'] == 'macsec-failed' and
                       e['message'] == 'macsec refused the SA']
    finally:
        stop.set()
        thread.join()
        macsec.close()
    if not failed:
        raise AssertionError('macsec has refused none')
    return [(e['key-id'], e['sci'], e['an']) for e in failed]


def test_secrets():
    """no SAK on netlink, as nlmon sees it, not even when macsec refuses one"""
    suite, listener = 'gcm-aes-256', ALICE.listen()
    ALICE.ip('link', 'add', 'nlmon0', 'type', 'nlmon')
    ALICE.ip('link', 'set', 'nlmon0', 'up')
    with Capture('alice', 'nlmon0') as capture, devices(suite):
        idents = [(connect(site, an), site.sci, an) for site in SITES for an in range(3)]
        burnt = race(listener)
        idents += burnt
        ALICE.qkd('-s', 'macsec', 'show')
    ALICE.ip('link', 'del', 'nlmon0')
    listener.close()
    heard = b'|'.join(capture.frames)
    for ident, _, _ in idents:
        equal(ident in heard, True, f'key ID {ident.hex()} was heard')
    equal(bytes.fromhex('5a' * 32) in heard, True, 'control: a key of ip macsec is heard')
    for secret in saks_of(idents, suite):
        for at in range(0, len(secret), 8):
            if secret[at:at + 8] in heard:
                raise AssertionError('a SAK was heard')
    equal(ALICE.client.do('link-get', name='qkd0')['refused']['burnt'] >= len(burnt), True)
    return f'{len(capture.frames)} messages, {len(heard)} bytes, {len(burnt)} refused by macsec'


def test_device_goes():
    """the device is deleted under traffic, again and again"""
    for _ in range(scaled(20, 3)):
        with devices('gcm-aes-128'):
            for site in SITES:
                connect(site, 0)
            with Stream(ALICE, 0.001), Stream(BOB, 0.001):
                number = ALICE.client.do('macsec-sa-add', **ALICE.named('out', 1))['number']
                ALICE.ip('link', 'del', 'macsec0')
            until(lambda: not ALICE.client.dump('macsec-dump'), 'the device is unbound')
            equal(number > 0, True)
    equal(ALICE.client.dump('macsec-sa-dump'), [])


def moves_with_no_sa(meanwhile=None):
    with devices('gcm-aes-256'):
        for site in SITES:
            connect(site, 0)
        moves(ALICE, 'macsec0', 'carol', meanwhile)
        until(lambda: not ALICE.client.dump('macsec-dump'), 'the device is unbound')
        until(lambda: ': PN' not in command('ip', '-n', 'carol', 'macsec', 'show'),
              'no SA is left')
        command('ip', '-n', 'carol', 'link', 'del', 'macsec0')


def test_device_moves():
    """the device moves to another namespace: its SAs do not go with it"""
    with namespace('carol'):
        moves_with_no_sa()


def test_moves_while_unbound():
    """the device moves while it is unbound: its SAs do not go with it"""
    with namespace('carol'):
        for _ in range(scaled(80, 8)):
            moves_with_no_sa(lambda: ALICE.client.do('macsec-unbind', ifindex=ALICE.ifindex))


def test_link_goes():
    """the link is deleted under traffic: the device blocks, and can be bound anew"""
    for _ in range(scaled(20, 2)):
        with devices('gcm-aes-xpn-256'):
            for site in SITES:
                connect(site, 0)
            with Stream(ALICE, 0.001) as stream:
                until(lambda: stream.numbers, 'frames pass')
                link_anew()
                until(lambda: not ALICE.secy() and not BOB.secy(), 'no SA is left')
                time.sleep(0.3)
                count = len(stream.numbers)
                time.sleep(0.3)
                equal(len(stream.numbers), count, 'frames after that')
            until(lambda: not ALICE.client.dump('macsec-dump'), 'the device is unbound')
            until(lambda: not BOB.client.dump('macsec-dump'), 'the device is unbound')
            for site in SITES:
                site.bind()
            for site in SITES:
                connect(site, 0)
            ping(ALICE, 2)


def test_generation():
    """the generation ends: SAs go on until their time is over, but there are no new ones"""
    with devices('gcm-aes-128', max_time=16000):
        for site in SITES:
            connect(site, 0)
        ALICE.qkd('link', 'set', 'qkd0', 'down')
        ping(ALICE, 2)
        refused(errno.ENETDOWN, ALICE.add, 'out', 1, text='the link is not up')
        until(lambda: not ALICE.secy(), 'all SAs are gone', 20)
        refused(1, ping, ALICE, 2)
    link_anew()


def test_sleep():
    """the machine sleeps: SAs are removed before it does, and devices stay bound"""
    if os.path.exists('/sys/kernel/debug/kmemleak'):
        return 'not done: the debug kernel does not wake'
    listener = ALICE.listen()
    with devices('gcm-aes-128'):
        for site in SITES:
            connect(site, 0)
        command('bash', '-c', '. ./lib.sh; wake_in 8 && echo mem >/sys/power/state')
        equal([site.secy() for site in SITES], [{}, {}], 'SAs after that')
        why = {e.get('message') for e in listener.events(1) if e['type'] == 'macsec-sa-del'}
        equal(why, {'the machine sleeps'})
        equal(len(ALICE.client.dump('macsec-dump')), 1, 'devices bound')
    listener.close()
    return link_anew()


def test_namespace_goes():
    """a namespace is deleted under traffic"""
    with devices('gcm-aes-128'):
        for site in SITES:
            connect(site, 0)
        stop = threading.Event()

        def push():
            while not stop.is_set():
                BOB.exec('ping', '-n', '-q', '-f', '-c', 200, '-W', 1, '-w', 1,
                         ALICE.address, check=False)

        thread = threading.Thread(target=push)
        thread.start()
        time.sleep(0.5)
        number = ALICE.client.do('macsec-sa-add', **ALICE.named('out', 1))['number']
        ALICE.client.close()
        command('ip', 'netns', 'del', 'alice')
        until(lambda: 'vb' not in BOB.ip('-o', 'link', 'show'), "the veth's other end goes")
        stop.set()
        thread.join()
        equal(number > 0, True)
        tear_down()
        set_up()


if __name__ == '__main__':
    try:
        set_up()
        run([*(suite_test(suite) for suite in sak.SUITES), test_command, test_rotation,
             test_occupied, test_keys_refused, test_devices_refused, test_no_key,
             test_privilege, test_time, test_events, test_secrets, test_device_goes,
             test_device_moves, test_moves_while_unbound, test_generation, test_link_goes,
             test_sleep, test_namespace_goes])
    finally:
        tear_down()
