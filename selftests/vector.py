#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The worked examples of the documentation, three ways: the page's hex
equals what the reference computes; the module, given the example's bytes, puts
exactly its packets on the wire, makes its keys and tags; and it accepts packets
that the reference made."""
import ctypes
import errno
import json
import os
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'ref'))

import accounts                                             # noqa: E402
import esp_wire                                             # noqa: E402
import example                                              # noqa: E402
import genl                                                 # noqa: E402
import node                                                 # noqa: E402
import pcap                                                 # noqa: E402
from esp import CIPHERS                                     # noqa: E402
from ktap import equal, refused, run                        # noqa: E402
from link import CLASSES, CONTEXTS, STREAMS                 # noqa: E402
from netns import inside                                    # noqa: E402
from pair import End                                        # noqa: E402

ETH_P_ALL = 3
WINDOW = 64
ADD_KEY, PROCESS_KEYRING = 248, -2      # add_key() on x86-64
ALICE, BOB = 'vec-alice', 'vec-bob'
SITES = {ALICE: ('alice', example.OUTER[0]), BOB: ('bob', example.OUTER[1])}
GEN = example.make_generation()
WANT = example.examples()
ENDS = {}


def ip(*words):
    subprocess.run(['ip', *words], check=True)


def in_netns(name, function, *args, **values):
    with inside(name):
        return function(*args, **values)


def set_up():
    """Two namespaces joined by a veth, an end of the link in each."""
    for name in SITES:
        ip('netns', 'add', name)
    ip('link', 'add', 'v0', 'netns', ALICE, 'address', '02:00:00:00:00:01', 'type', 'veth',
       'peer', 'name', 'v0', 'netns', BOB, 'address', '02:00:00:00:00:02')
    for name, (role, address) in SITES.items():
        ip('-n', name, 'addr', 'add', f'{address}/24', 'dev', 'v0')
        for device in ('v0', 'lo'):
            ip('-n', name, 'link', 'set', device, 'up')
        qkd = in_netns(name, genl.Qkd)
        ENDS[name] = End(qkd, 'qkd0', role, example.IDS, confirm='none',
                         pad_capacity=1 << 20, key_capacity=1 << 16)
    ip('-n', ALICE, 'addr', 'add', '10.1.0.1/32', 'dev', 'lo')
    for host in range(2, 9):
        ip('-n', BOB, 'addr', 'add', f'10.2.0.{host}/32', 'dev', 'lo')
    ip('-n', ALICE, 'route', 'add', '10.2.0.0/24', 'via', example.OUTER[1])
    ip('-n', ALICE, 'neigh', 'add', example.OUTER[1], 'lladdr', '02:00:00:00:00:02', 'dev', 'v0')
    ip('-n', BOB, 'route', 'add', '10.1.0.0/24', 'via', example.OUTER[0])


def tear_down():
    for end in ENDS.values():
        end.remove()
        end.qkd.close()
    ENDS.clear()
    for name in SITES:
        subprocess.run(['ip', 'netns', 'del', name], check=False, stderr=subprocess.DEVNULL)


def begin(name):
    """The example's generation, and its bytes, at one end."""
    end = ENDS[name]
    end.do('gen-begin', label=example.LABEL, generation=GEN.ident, hash=GEN.link,
           peer_role=3 - end.role, **end.capacity)
    for stream in STREAMS.values():
        end.node.supply(example.LABEL, stream, 0, GEN.read(stream, 0, example.SUPPLY))
    end.do('gen-open', label=example.LABEL, generation=GEN.ident)


def renew(name):
    """The end anew, with nothing spent."""
    end = ENDS[name]
    end.remove()
    ENDS[name] = End(end.qkd, 'qkd0', SITES[name][0], example.IDS, confirm='none',
                     pad_capacity=1 << 20, key_capacity=1 << 16)
    for what in ('policy', 'state'):
        ip('-n', name, 'xfrm', what, 'flush')
    begin(name)


def ends_of(spi):
    return {'mode': 'tunnel', 'src': socket.inet_aton(example.OUTER[0]),
            'dst': socket.inet_aton(example.OUTER[1]), 'reqid': spi & 0xff}


def add_sa(name, direction, spi, esn, inner, cipher='otp', **more):
    """The SA, and a policy for the destination of an inner packet."""
    reqid = str(spi & 0xff)
    ENDS[name].do('esp-add', cipher=cipher, dir=direction, spi=spi, esn=esn,
                  replay_window=WINDOW if direction == 'in' else None,
                  **ends_of(spi), **bind(example.BINDS.get(spi)), **more)
    ip('-n', name, 'xfrm', 'policy', 'add', 'src', '10.1.0.1/32', 'dst',
       socket.inet_ntoa(inner[16:20]) + '/32', 'dir', direction, 'tmpl', 'src',
       example.OUTER[0], 'dst', example.OUTER[1], 'proto', 'esp', 'reqid', reqid,
       'mode', 'tunnel')


def add_sas(name, direction):
    for section in ('without ESN', 'with ESN', 'of a bound SA'):
        spi, _, esn, _, inner = example.PACKETS[section]
        add_sa(name, direction, spi, esn, inner)


def secret(number):
    """The attributes of an external secret: a logon key of this process."""
    if not number:
        return {}
    add_key(f'qkd:vector{number}', example.SECRETS[number])
    return {'secret': f'qkd:vector{number}', 'secret_number': number}


def bind(value):
    """The attribute of an SA that is bound to this, likewise."""
    if not value:
        return {}
    add_key('qkd:bind', value)
    return {'bind': 'qkd:bind'}


def add_key(name, value):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ADD_KEY, b'logon', name.encode(), value, len(value), PROCESS_KEYRING) < 0:
        raise OSError(ctypes.get_errno(), 'add_key')


def skip_to_seq(name, out, spi, esn, seq):
    """This sequence number is the SA's next."""
    esp_wire.newae(name, spi, example.OUTER[1], seq - 1, 0 if out else WINDOW, esn)


def esp_frames(sock, seconds=5):
    """The next ESP packet that a packet socket sees."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sock.settimeout(max(0.01, end - time.monotonic()))
        frame = sock.recv(65536)
        packet = pcap.network(1, frame)
        found = packet and pcap.transport(packet, pcap.Reassembly())
        if found and found[2] == pcap.ESP:
            return found[3]
    raise AssertionError('no ESP packet came')


def outer(packet):
    """The packet in IPv4, from alice to bob, in Ethernet."""
    header = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(packet), 1, 0x4000, 64, 50, 0)
    header += b''.join(socket.inet_aton(a) for a in example.OUTER)
    header = header[:10] + example.checksum(header) + header[12:]
    return bytes.fromhex('020000000002' '020000000001' '0800') + header + packet


def test_page():
    """the hex in wire-format.md, ike.md and vectors/ is what the reference computes"""
    page = {}
    for name in ('wire-format.md', 'ike.md'):
        for folder in ('doc', '../Documentation', '../Documentation/abi'):
            path = os.path.join(HERE, folder, name)
            if os.path.exists(path):
                page.update(example.from_page(path))
                break
    want = example.as_hex(WANT)
    equal(sorted(page), sorted(want), 'sections')
    for section, values in want.items():
        equal(page[section], values, section)
    for name, part in example.FILES.items():
        with open(os.path.join(HERE, 'vectors', name), encoding='ascii') as file:
            equal(json.load(file), example.as_hex(part()), name)
    return f'{sum(len(v) for v in want.values())} values'


def test_send():
    """the module sends the example's packets, byte for byte"""
    begin(ALICE)
    add_sas(ALICE, 'out')
    watch = in_netns(BOB, socket.socket, socket.AF_PACKET, socket.SOCK_RAW,
                     socket.htons(ETH_P_ALL))
    raw = in_netns(ALICE, socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with watch, raw:
        raw.bind(('10.1.0.1', 0))       # the policy sees this, not the header
        for section, (spi, seq, esn, _, inner) in example.PACKETS.items():
            if section.endswith('late'):
                skip_to_seq(ALICE, True, spi, esn, seq)
            raw.sendto(inner, (socket.inet_ntoa(inner[16:20]), 0))
            equal(esp_frames(watch).hex(), WANT['packet ' + section]['packet'].hex(), section)
    spent = sum(len(WANT['packet ' + s]['slice']) for s in example.PACKETS)
    equal(ENDS[ALICE].accounts()[STREAMS['a2b-pad']]['taken'], spent, 'bytes of pad')
    equal(accounts.problems_of_end(ENDS[ALICE].show()), [])
    return f'{len(example.PACKETS)} packets'


def test_receive():
    """the module accepts the reference's packets, once, and no forged one"""
    begin(BOB)
    add_sas(BOB, 'in')
    inject = in_netns(ALICE, socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw = in_netns(BOB, socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    forged = 0
    with inject, raw:
        inject.bind(('v0', 0))
        for section, (spi, seq, esn, _, _) in example.PACKETS.items():
            if section.endswith('late'):
                skip_to_seq(BOB, False, spi, esn, seq)
            packet = WANT['packet ' + section]['packet']
            for at in (0, 4, 8, 9, 15, 16, len(packet) - 17, len(packet) - 16, len(packet) - 1):
                wrong = bytearray(packet)
                wrong[at] ^= 1
                inject.send(outer(bytes(wrong)))
                forged += 1
            raw.settimeout(0.3)
            no_packet(raw)
            inject.send(outer(packet))
            raw.settimeout(5)
            equal(raw.recv(65536).hex(), WANT['packet ' + section]['inner packet'].hex(), section)
            inject.send(outer(packet))
            raw.settimeout(0.3)
            no_packet(raw)
    spent = sum(len(WANT['packet ' + s]['slice']) for s in example.PACKETS)
    equal(ENDS[BOB].accounts()[STREAMS['a2b-pad']]['taken'], spent, 'bytes of pad')
    for spi, packets in ((0x01020304, 1), (0x01020305, 2), (0x01020309, 1)):
        shown = ENDS[BOB].do('esp-get', dir='in', spi=spi)
        equal((shown['packets'], shown['key-bytes']), (packets, packets * 80), 'counters')
        if not shown['refused']['icv']:
            raise AssertionError(f'no bad ICV was counted: {shown}')
    return f'{len(example.PACKETS)} packets, {forged} forged ones'


def skip_to_unit(unit):
    """Has alice draw this one next: those before go to keys of nobody."""
    left = (unit - 1) * 32
    while left:
        size = min(left, node.SIZE_MAX)
        ENDS[ALICE].node.read(size)
        left -= size


def check_epoch(name, direction, section):
    """What an end shows of an example's epoch."""
    _, spi, _, _, _, counter, number, _ = example.EPOCHS[section]
    shown = ENDS[name].do('esp-get', dir=direction, spi=spi)['epoch']
    begun = section.split(', second packet')[0]
    equal(shown['key-id'].hex(), WANT['packet under ' + begun]['key ID'].hex(), section)
    equal((shown['packets'], shown.get('secret-number', 0)), (counter + 1, number), section)


def test_send_epochs():
    """the module sends the example's packets under aes and hybrid, byte for byte"""
    watch = in_netns(BOB, socket.socket, socket.AF_PACKET, socket.SOCK_RAW,
                     socket.htons(ETH_P_ALL))
    raw = in_netns(ALICE, socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with watch, raw:
        raw.bind(('10.1.0.1', 0))
        for section, what in example.EPOCHS.items():
            cipher, spi, seq, esn, unit, counter, number, inner = what
            if not counter:
                renew(ALICE)
                skip_to_unit(unit)
                add_sa(ALICE, 'out', spi, esn, inner, CIPHERS[cipher], **secret(number))
                skip_to_seq(ALICE, True, spi, esn, seq)
            raw.sendto(inner, (socket.inet_ntoa(inner[16:20]), 0))
            equal(esp_frames(watch).hex(), WANT['packet under ' + section]['packet'].hex(), section)
            check_epoch(ALICE, 'out', section)
    return f'{len(example.EPOCHS)} packets'


def test_receive_epochs():
    """the module accepts the reference's packets under aes and hybrid, once, and no forged one"""
    renew(BOB)
    for cipher, spi, _, esn, _, counter, number, inner in example.EPOCHS.values():
        if not counter and number < 2:
            add_sa(BOB, 'in', spi, esn, inner, CIPHERS[cipher], **secret(number))
    inject = in_netns(ALICE, socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw = in_netns(BOB, socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    forged = 0
    with inject, raw:
        inject.bind(('v0', 0))
        for section, (_, spi, seq, esn, _, counter, number, _) in example.EPOCHS.items():
            packet = WANT['packet under ' + section]['packet']
            if seq >> 32:
                skip_to_seq(BOB, False, spi, esn, seq)
            if number == 2:
                not_taken(inject, raw, [packet])
                ENDS[BOB].do('esp-set', dir='in', spi=spi, **secret(number))
            wrong = [flipped(packet, at) for at in
                     (0, 4, *range(8, 17), len(packet) - 17, len(packet) - 16, len(packet) - 1)]
            not_taken(inject, raw, wrong)
            forged += len(wrong)
            taken = key_taken()
            inject.send(outer(packet))
            raw.settimeout(5)
            equal(raw.recv(65536).hex(), WANT['packet under ' + section]['inner packet'].hex(),
                  section)
            equal(key_taken() - taken, 0 if counter else 32, f'{section}: taken')
            check_epoch(BOB, 'in', section)
            not_taken(inject, raw, [packet])
    equal(ENDS[BOB].do('esp-get', dir='in', spi=0x01020308)['refused']['phase'] > 0, True, 'phase')
    equal(accounts.problems_of_end(ENDS[BOB].show()), [])
    return f'{len(example.EPOCHS)} packets, {forged} forged ones'


def test_bind():
    """an SA takes the packets of one that is bound to the same, and no others"""
    renew(BOB)
    inject = in_netns(ALICE, socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw = in_netns(BOB, socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with inject, raw:
        inject.bind(('v0', 0))
        for section, cipher, spi, inner in (
                ('of a bound SA', 'otp', 0x01020309, example.PACKETS['of a bound SA'][-1]),
                ('under aes of a bound SA', 'aes', 0x0102030a,
                 example.EPOCHS['aes of a bound SA'][-1])):
            packet = WANT['packet ' + section]['packet']
            right = example.BINDS[spi]
            add_sa(BOB, 'in', spi, False, inner, cipher)
            for value in (bytes(15) + b'\1', flipped(right, 0), flipped(right, 15), None):
                ENDS[BOB].do('esp-replace', cipher=cipher, dir='in', spi=spi,
                             replay_window=WINDOW, **ends_of(spi), **bind(value))
                not_taken(inject, raw, [packet])
                equal(ENDS[BOB].do('esp-get', dir='in', spi=spi)['refused']['icv'], 1, section)
            ENDS[BOB].do('esp-replace', cipher=cipher, dir='in', spi=spi,
                         replay_window=WINDOW, **ends_of(spi), **bind(right))
            inject.send(outer(packet))
            raw.settimeout(5)
            equal(raw.recv(65536).hex(), inner.hex(), section)
    return 'otp and aes'


def key_taken():
    return sum(ENDS[BOB].accounts()[STREAMS[name]]['taken'] for name in ('a2b-key', 'a2b-pad'))


def flipped(packet, at):
    return packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1:]


def not_taken(inject, raw, packets):
    """Packets that bob must refuse, and that cost nothing."""
    taken = key_taken()
    for packet in packets:
        inject.send(outer(packet))
    raw.settimeout(0.3)
    no_packet(raw)
    equal(key_taken(), taken, 'taken by what was refused')


def no_packet(sock):
    try:
        packet = sock.recv(65536)
    except TimeoutError:
        return
    raise AssertionError(f'delivered: {packet.hex()}')


def test_keys():
    """the module makes the example's keys and key IDs, and its peer finds them"""
    for section, (_, klass, offset, size, kind, context) in example.KEYS.items():
        want = WANT[section]
        if kind == 'none':
            ident, key = ENDS[ALICE].node.read(size)
        else:
            (ident, handle), = ENDS[ALICE].get(size, klass, kind, context)
            key = ENDS[ALICE].node.key(handle)
        equal(ident.hex(), want['key ID'].hex(), f'{section} at {offset}, class {CLASSES[klass]}')
        equal(key.hex(), want['key'].hex(), section)
        refused(errno.EKEYREJECTED, ENDS[BOB].node.claim, ident, size, CONTEXTS['user'], b'?')
        equal(ENDS[BOB].node.claim(ident, size, CONTEXTS[kind], context), key, section)


def test_tags():
    """the module makes the example's confirmation tags"""
    qkd = genl.Qkd()
    bob = End(qkd, 'vec', 'bob', example.IDS, confirm='tag')
    try:
        bob.do('gen-begin', label=example.LABEL, generation=GEN.ident, hash=GEN.link,
               peer_role='alice', **bob.capacity)
        for name, (stream, offset, length, s) in example.TAGS.items():
            number = STREAMS[stream]
            for at, size in ((0, offset), (offset, length)):
                if size:
                    bob.node.supply(example.LABEL, number, at, GEN.read(number, at, size), s)
            tag = bob.do('block-tag', label=example.LABEL, stream=number, offset=offset,
                         length=length)['tag']
            equal(tag.hex(), WANT['confirmation ' + name]['tag'].hex(), name)
    finally:
        bob.remove()


if __name__ == '__main__':
    try:
        set_up()
        run([test_page, test_send, test_receive, test_keys, test_tags, test_send_epochs,
             test_receive_epochs, test_bind])
    finally:
        tear_down()
