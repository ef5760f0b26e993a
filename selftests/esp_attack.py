# SPDX-License-Identifier: GPL-2.0-only
"""esp_attack.py SEED GENERATION CASE...: the known forgeries against SAs with
epochs, for real.

Eve is on the wire from alice to bob, as in esp_forge.py, and in some cases she
knows more than she can: the link's bytes, from its seed, so that the tag in her
IVs is right, or all of QKD under hybrid. Whatever she sends is refused under
the right reason, takes nothing and delivers nothing; then the genuine packets
pass.
"""
import os
import random
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'ref'))

import accounts                                             # noqa: E402
import epoch                                                # noqa: E402
import esp                                                  # noqa: E402
import esp_wire as wire                                     # noqa: E402
import flows                                                # noqa: E402
from esp_forge import flip                                  # noqa: E402
from ktap import scaled                                     # noqa: E402
from link import KEY_SEGMENT, PAD_SEGMENT, STREAMS, UNIT, Emulated      # noqa: E402
from primitives import be, hkdf                             # noqa: E402

A2B, B2A, SPI_AES, SPI_OTHER = 0x1001, 0x1002, 0x2001, 0x3001
BOB = '10.1.0.2'
WINDOW = 64
KEY, PAD = STREAMS['a2b-key'], STREAMS['a2b-pad']
PER_SEGMENT = KEY_SEGMENT // UNIT
FREE = 1000                     # a unit that alice does not come to where this is used
SECRETS = {number: bytes([number]) * 32 for number in (1, 2, 3)}     # esp_attack.sh


class Attack(wire.Lab):
    """Counts what is taken, and knows the link's bytes."""

    def __init__(self, seed, label):
        super().__init__()
        self.gen = flows.Units(Emulated(seed, label))

    def taken(self):
        """What bob has taken of each stream."""
        return {number: stream['taken']
                for number, stream in accounts.streams(wire.link('bob')).items()
                if not stream['tx']}

    def supplied(self):
        """Where bob's supply of key ends, in units."""
        return accounts.streams(wire.link('bob'))[KEY]['supplied'] // UNIT

    def epoch(self, unit, cipher=epoch.AES, spi=A2B, number=0, secret=b''):
        return epoch.Epoch(self.gen, KEY, unit, cipher, spi, number, secret)

    def tag(self, unit, spi=A2B):
        return epoch.tag_of(self.gen.head(KEY, unit // PER_SEGMENT), spi, unit)

    def unit_of(self, frame):
        """The unit of a genuine packet."""
        return epoch.expand(epoch.iv_parse(iv_of(frame))[3], self.supplied())

    def free_unit(self, ahead=500):
        """One that alice has not come to and bob has."""
        frames, _ = self.pass_on(1)
        unit = self.unit_of(frames[0]) + ahead
        return unit + (unit % PER_SEGMENT == 0)

    def pass_on(self, count):
        """Genuine packets that bob gets."""
        frames, data = self.hold(count)
        self.inject(frames)
        got = self.received()
        if got != data:
            raise RuntimeError(f'{len(got)} of {count} genuine packets passed')
        return frames, data

    def forged(self, name, packets, want, spi=A2B):
        """Packets that bob must refuse for a reason: a number if for any."""
        frames, data = self.hold(1)
        before, taken = wire.counters('bob', 'in', spi), self.taken()
        self.inject(wire.with_esp(frames[0], packet) for packet in packets)
        got = wire.wait_difference('bob', 'in', before, want, spi=spi)
        cost = wire.difference(taken, self.taken())
        came = self.received()
        self.inject(frames)
        came += self.received()
        if want == sum(got.values()) and 'packets' not in got:
            want = got
        self.check(name, [got, cost, came], [want, {}, data])

    def edited(self, name, edit, want):
        """A genuine packet with a change, and then as it was."""
        frames, data = self.hold(1)
        before, taken = wire.counters('bob', 'in', A2B), self.taken()
        self.inject([wire.with_esp(frames[0], edit(bytearray(frames[0][wire.ESP_AT:])))])
        got = wire.wait_difference('bob', 'in', before, want, spi=A2B)
        cost = wire.difference(taken, self.taken())
        self.inject(frames)
        self.check(name, [got, cost, self.received()], [want, {}, data])


def iv_of(frame):
    return frame[wire.ESP_AT + wire.HEADER:][:wire.IV]


def packet_of(spi, seq, iv, sealed):
    return be(spi, 4) + be(seq, 4) + iv + sealed


def garbage(spi, seq, iv, size=120):
    """A packet whose ICV is no better than chance."""
    return packet_of(spi, seq, iv, os.urandom(size + wire.ICV))


def wrong_tag(tag):
    return (tag + random.randrange(1, 256)) % 256


def iv_bits(lab):
    """Each bit of the IV."""
    frames, data = lab.hold(1)
    before, taken = wire.counters('bob', 'in', A2B), lab.taken()
    packets = []
    for bit in range(64):
        packet = bytearray(frames[0][wire.ESP_AT:])
        packet[wire.HEADER + bit // 8] ^= 0x80 >> bit % 8
        packets.append(packet)
    lab.inject(wire.with_esp(frames[0], packet) for packet in packets)
    got = wire.wait_difference('bob', 'in', before, 64)
    cost = wire.difference(taken, lab.taken())
    lab.inject(frames)
    came = lab.received()
    print(f'the 64 bits: {got}')
    lab.check('each bit of the IV of a genuine packet flipped: refused, and it passes',
              [sum(got.values()), got.get('packets', 0), got.get('cipher'), got.get('stale'),
               got.get('phase'), cost, came], [64, 0, 2, 2, 1, {}, data])


def ciphers(lab):
    """The cipher that a packet claims, with all else right."""
    def claim(value):
        def edit(packet):
            packet[wire.HEADER] = packet[wire.HEADER] & 0x3f | value << 6
            return packet
        return edit

    for value, name in ((0, '0'), (1, 'otp'), (3, 'hybrid')):
        lab.edited(f'a genuine packet that claims cipher {name}: cipher', claim(value),
                   {'cipher': 1})
    lab.edited('a genuine packet with a flipped bit of the text: icv',
               flip(wire.HEADER + wire.IV + 5), {'icv': 1})
    lab.edited('a genuine packet with a flipped bit of the ICV: icv', flip(-1), {'icv': 1})
    lab.edited('a genuine packet with a flipped bit of the sequence number: icv', flip(7),
               {'icv': 1})
    lab.edited('a genuine packet that is cut short: icv', lambda packet: packet[:-20],
               {'icv': 1})


def hybrid_for_aes(lab):
    """Sealed as hybrid, with a secret that Eve has made up, on an aes SA."""
    unit = lab.free_unit()
    lab.forged('a packet sealed as hybrid on an aes SA: cipher',
               [lab.epoch(unit, epoch.HYBRID, A2B, 1, SECRETS[1]).seal(0, 5000, bytes(84), 4)],
               {'cipher': 1})


def unallocated(lab):
    """Epochs that alice never began."""
    label = lab.gen.label
    unit = lab.free_unit()
    tag, end = lab.tag(unit), lab.supplied()

    def iv(at, tag, label=label, phase=0):
        return epoch.iv_pack(label, epoch.AES, at, tag, 0, phase)

    lab.forged('an epoch that was never begun, wrong tag: icv',
               [garbage(A2B, 5001, iv(unit, wrong_tag(tag)))], {'icv': 1})
    lab.forged('all 255 wrong tags of one: icv',
               [garbage(A2B, 5002, iv(unit, t)) for t in range(256) if t != tag], {'icv': 255})
    lab.forged('the right tag, a wrong ICV: icv, and its unit stays',
               [garbage(A2B, 5003, iv(unit, tag))], {'icv': 1})
    lab.forged('the right tag, another SA\'s key: icv',
               [packet_of(A2B, 5004, iv(unit, tag),
                          lab.epoch(unit, spi=SPI_OTHER).seal(0, 5004, bytes(84), 4)[16:])],
               {'icv': 1})
    head = (unit // PER_SEGMENT + 1) * PER_SEGMENT
    head -= 0 if head < end else PER_SEGMENT
    lab.forged("a segment's head, with the right tag: not here",
               [garbage(A2B, 5005, iv(head, lab.tag(head)))], {'not_here': 1})
    lab.forged('the next epochs ahead of supply, with the right tags: refused',
               [garbage(A2B, 5006 + i, iv(end + 1 + i, lab.tag(end + 1 + i))) for i in range(8)],
               8)
    far = end + (1 << 16)
    lab.forged('one far ahead of supply: not here',
               [garbage(A2B, 5020, iv(far, lab.tag(far)))], {'not_here': 1})
    lab.forged('the largest epoch: not here',
               [garbage(A2B, 5021, iv((1 << 19) - 1, lab.tag((1 << 19) - 1)))], {'not_here': 1})
    lab.forged('an epoch with the label of another generation: stale',
               [garbage(A2B, 5022, iv(unit, tag, label + 1))], {'stale': 1})
    lab.forged('a phase under aes: phase', [garbage(A2B, 5023, iv(unit, tag, phase=1))],
               {'phase': 1})
    frames, _ = lab.pass_on(1)
    used = lab.unit_of(frames[0])
    lab.forged('the epoch of a packet that passed, with a later counter: icv',
               [garbage(A2B, 5024, iv_of(frames[0])[:4] + be(77, 4))], {'icv': 1})
    lab.forged('the same with the counter of that packet: duplicate',
               [garbage(A2B, 5025, iv_of(frames[0]))], {'duplicate': 1})
    lab.forged('its epoch with a wrong tag: icv',
               [garbage(A2B, 5026, iv(used, wrong_tag(lab.tag(used))))], {'icv': 1})


def control(lab):
    """The toolkit seals as alice does: with the right key its packet is taken. Should
    alice come to that unit, her epoch will be refused: this one is far ahead."""
    frames, _ = lab.pass_on(1)
    unit = lab.free_unit(400)
    inner = example_packet()
    before, taken = wire.counters('bob', 'in', A2B), lab.taken()
    lab.inject([wire.with_esp(frames[0], lab.epoch(unit).seal(0, 6000, inner, 4))])
    got = wire.wait_difference('bob', 'in', before, {'packets': 1}, spi=A2B)
    lab.check('control: with the right key Eve\'s packet is accepted, and takes one unit',
              [got, wire.difference(taken, lab.taken()), lab.received()],
              [{'packets': 1}, {KEY: UNIT}, [b'control']])


def example_packet():
    """IPv4 and UDP from alice's inner address to bob's."""
    data = b'control'
    header = struct.pack('>BBHHHBBH', 0x45, 0, 28 + len(data), 1, 0, 64, 17, 0)
    header += socket.inet_aton('10.2.1.1') + socket.inet_aton('10.2.2.1')
    header = header[:10] + be(wire.checksum(header), 2) + header[12:]
    return header + struct.pack('>HHHH', 7, 9, 8 + len(data), 0) + data


def copies(lab):
    """The same packets again: under XFRM's window, and after it was set back."""
    frames, data = lab.hold(20)
    before, taken, stat = wire.counters('bob', 'in', A2B), lab.taken(), wire.xfrm_stat('bob')
    lab.inject(frame for frame in frames for _ in range(3))
    came = lab.received()
    got = wire.difference(before, wire.counters('bob', 'in', A2B))
    late = wire.xfrm_stat('bob')['XfrmInStateSeqError'] - stat['XfrmInStateSeqError']
    # in whatever order: the first of an epoch may have to wait
    lab.check('each packet three times: delivered once',
              [sorted(came), got['packets'], got.get('duplicate', 0) + late],
              [sorted(data), 20, 40])
    lab.check('... and each epoch taken once', wire.difference(taken, lab.taken()),
              {KEY: UNIT * sum(iv_of(frame)[4:] == bytes(4) for frame in frames)})
    for number in range(3):
        before, taken = wire.counters('bob', 'in', A2B), lab.taken()
        wire.newae('bob', A2B, BOB, 0, WINDOW)
        lab.inject(frames)
        got = wire.wait_difference('bob', 'in', before, {'duplicate': 20}, spi=A2B)
        lab.check(f'all of them after XFRM_MSG_NEWAE set the window back, {number + 1}: duplicate',
                  [got, lab.received(), wire.difference(taken, lab.taken())],
                  [{'duplicate': 20}, [], {}])
    high = int.from_bytes(frames[-1][wire.ESP_AT + 4:][:4], 'big')
    wire.newae('bob', A2B, BOB, high, WINDOW)
    lab.pass_on(1)


def rewound(lab):
    """alice's sequence numbers are set back under traffic, with ESN to where their
    high half changes: no nonce repeats."""
    esn = any(sa.get('esn') for sa in wire.sas('bob'))
    seen = flows.Flows(lab.gen, [{'spi': A2B, 'role': 'alice', 'cipher': 'aes', 'esn': esn}])
    before, taken = wire.counters('bob', 'in', A2B), lab.taken()
    count = scaled(1000, 50)
    for high in (0, esn, 0, 2 * esn):
        last = (high << 32) - count // 2 if high else 0
        wire.newae('alice', A2B, BOB, last, esn=esn)
        wire.newae('bob', A2B, BOB, last, WINDOW, esn)
        wire.drain(lab.wire_in, 0.05)
        for number in range(count):
            lab.alice.sendto(os.urandom(50), ('10.2.2.1', 9))
            if not number % 10:         # no more than may wait for an epoch
                time.sleep(0.005)
        for frame in wire.drain(lab.wire_in):
            if wire.is_esp(frame):
                seen.add(frame[wire.ESP_AT:])
    came = len(lab.received())
    found = seen.summary()
    begun = sum(0 in one.seen for one in seen.epochs.values())
    got = wire.difference(before, wire.counters('bob', 'in', A2B))
    what = ' with ESN' if esn else ''
    lab.check(f'sequence numbers{what} set back four times under traffic: all packets pass',
              [came, got, found['packets'], found['refused']],
              [4 * count, {'packets': 4 * count}, 4 * count, {}])
    lab.check('... no nonce repeats, and each epoch costs one unit',
              [found['problems'], found['nonces'], wire.difference(taken, lab.taken())],
              [{}, 4 * count, {KEY: UNIT * begun}])


def reflected(lab):
    """alice's packets, sent back to her under the SPI that she receives."""
    frames, _ = lab.hold(1)
    out = wire.packet_socket('bob', 'vb')
    packet = bytearray(frames[0][wire.ESP_AT:])
    struct.pack_into('>I', packet, 0, B2A)
    _, _, _, field, _, _ = epoch.iv_parse(bytes(packet[8:16]))
    right = epoch.tag_of(lab.gen.head(STREAMS['b2a-key'], field // PER_SEGMENT), B2A, field)
    for name, tag in (('', None), (', with the tag of her direction', right)):
        if tag is not None:
            packet[8 + 3] = tag
        frame = bytearray(wire.with_esp(frames[0], packet))
        frame[0:12] = frame[6:12] + frame[0:6]
        at = wire.ETH + 12
        frame[at:at + 8] = frame[at + 4:at + 8] + frame[at:at + 4]
        before = wire.counters('alice', 'in', B2A)
        taken = accounts.streams(wire.link('alice'))[STREAMS['b2a-key']]['taken']
        out.send(frame)
        got = wire.wait_difference('alice', 'in', before, 1, spi=B2A)
        cost = accounts.streams(wire.link('alice'))[STREAMS['b2a-key']]['taken'] - taken
        lab.check(f"alice's packet sent back to her{name}: refused",
                  [sum(got.values()), got.get('packets', 0), cost], [1, 0, 0])
        print(f'sent back{name}: {got}')
    lab.inject(frames)
    lab.received()


def two_addresses(lab):
    """One SPI on two addresses (U6): it cannot be, and a packet verifies nowhere else."""
    for what, words in (('another address', ['dst', '10.1.0.77']),
                        ('a mark', ['dst', BOB, 'mark', '5']),
                        ('an if-id', ['dst', BOB, 'if-id', '5'])):
        add = subprocess.run(['ip', 'netns', 'exec', 'bob', 'qkd', 'esp', 'add', 'src', '10.1.0.1',
                              'spi', hex(A2B), 'dir', 'in', 'dev', 'qkd0', 'cipher', 'aes', 'mode',
                              'tunnel', 'replay-window', '64', *words],
                             capture_output=True, text=True, check=False)
        lab.check(f'the SPI again, with {what}: refused',
                  [add.returncode != 0, 'SA with this SPI' in add.stderr], [True, True])
    wire.run('bob', 'ip', 'addr', 'add', '10.1.0.77/24', 'dev', 'vb')
    wire.run('bob', 'qkd', 'esp', 'add', 'src', '10.1.0.1', 'dst', '10.1.0.77', 'spi',
             hex(SPI_OTHER), 'dir', 'in', 'dev', 'qkd0', 'cipher', 'aes', 'mode', 'tunnel',
             'reqid', '1', 'replay-window', str(WINDOW), 'park-time', '1s')
    frames, data = lab.hold(1)
    frame = bytearray(frames[0])
    frame[wire.ETH + 16:wire.ETH + 20] = socket.inet_aton('10.1.0.77')
    before, taken = wire.xfrm_stat('bob'), lab.taken()
    packet = bytearray(frame[wire.ESP_AT:])
    lab.inject([wire.with_esp(bytes(frame), packet)])
    time.sleep(0.3)
    stat = wire.xfrm_stat('bob')
    lab.check('a packet redirected to another address: no such SA',
              stat['XfrmInNoStates'] - before['XfrmInNoStates'], 1)
    struct.pack_into('>I', packet, 0, SPI_OTHER)
    unit = lab.unit_of(frames[0])
    redirected = []
    for tag in (packet[11], lab.tag(unit, SPI_OTHER)):
        packet[11] = tag
        redirected.append(wire.with_esp(bytes(frame), packet))
    before = wire.counters('bob', 'in', SPI_OTHER)
    lab.inject(redirected)
    got = wire.wait_difference('bob', 'in', before, {'icv': 2}, spi=SPI_OTHER)
    cost = wire.difference(taken, lab.taken())
    lab.inject(frames)
    lab.check("... and under that address's SPI, with its tag too: icv",
              [got, cost, lab.received()], [{'icv': 2}, {}, data])
    wire.run('bob', 'qkd', 'esp', 'del', 'spi', hex(SPI_OTHER), 'dir', 'in', 'dev', 'qkd0')
    wire.run('bob', 'ip', 'addr', 'del', '10.1.0.77/24', 'dev', 'vb')


def flood(lab):
    """Forged epochs beside genuine traffic."""
    flooded(lab, 'tags at random', scaled(10000), lambda unit: random.randrange(256))
    flooded(lab, 'right tags', scaled(2000), lab.tag)


def flooded(lab, what, count, tag):
    """Twenty forgeries for each genuine packet, which has an epoch of its own."""
    first, end = lab.free_unit(300), lab.supplied()
    before, taken, sent = wire.counters('bob', 'in', A2B), lab.taken(), []
    frame = lab.frame
    for number in range(count):
        unit = random.randrange(first, end)
        unit += unit % PER_SEGMENT == 0
        iv = epoch.iv_pack(lab.gen.label, epoch.AES, unit, tag(unit), random.getrandbits(32))
        lab.inject([wire.with_esp(frame, garbage(A2B, 1 << 20, iv))])
        if not number % 20:
            sent.append(os.urandom(50))
            lab.alice.sendto(sent[-1], ('10.2.2.1', 9))
    came = lab.received()
    want = count + len(sent)
    got = wire.wait_difference('bob', 'in', before, want, 20, spi=A2B)
    late = sum(one != other for one, other in zip(came, sent))
    print(f'{count} forged epochs, {what}: {got}; {late} of {len(came)} not in their place')
    lab.check(f'{what}: {len(sent)} genuine packets pass beside {count} forged epochs',
              [sorted(came) == sorted(sent), got.get('packets'), sum(got.values())], [True, len(sent), want])
    cost = wire.difference(taken, lab.taken())
    lab.check(f'{what}: the forgeries took nothing', cost, {KEY: UNIT * len(sent)})


def sealed_with_pad(lab, frame, spi):
    """AES packets under keys made from the pad of a packet that Eve dropped, whose
    text she knows. The epoch is where the draft had the pad's bytes, or free."""
    _, _, granule = esp.iv_parse(iv_of(frame))
    _, _, pad = esp.keys_at(lab.gen.gen, PAD, granule, len(frame) - wire.ESP_AT - 32)
    r = lab.gen.gen.head(PAD, granule * 16 // PAD_SEGMENT)
    first = (granule + 2) // 2
    for unit in {first, first + 1, first % PER_SEGMENT, FREE}:
        if not unit % PER_SEGMENT:
            continue
        for at in range(0, len(pad) - 44, 16):
            for tag in (lab.tag(unit, spi), wrong_tag(lab.tag(unit, spi))):
                iv = epoch.iv_pack(lab.gen.label, epoch.AES, unit, tag, 0)
                info = lab.epoch(unit, spi=spi).info(32, b'qkd key v1')
                for key, base in ((pad[at:at + 32], pad[at + 32:at + 44]),
                                  (pad[at:at + 32], bytes(12)),
                                  (hkdf(b'', pad[at:at + 32], info), bytes(12)),
                                  (hkdf(r, pad[at:at + 32], info), bytes(12)),
                                  (hkdf(pad[at:at + 32], pad[at:at + 32], info), bytes(12))):
                    text = example_packet() + esp.trailer(example_packet(), 4)
                    sealed = b''.join(epoch.gcm(key, base, text, esp.aad(spi, 7000, False, iv)))
                    yield packet_of(spi, 7000, iv, sealed)


def pad_as_epoch(lab):
    """U1, on an otp SA with on-empty aes, and on an aes SA of the same link."""
    for spi, what in ((A2B, 'an otp SA with on-empty aes'), (SPI_AES, 'an aes SA')):
        frames, data = lab.hold(1, 400)
        while iv_of(frames[0])[0] >> 6 != 1:    # the one packet a minute under AES
            lab.inject(frames)
            lab.received()
            frames, data = lab.hold(1, 400)
        packets = list(sealed_with_pad(lab, frames[0], spi))
        before, taken = wire.counters('bob', 'in', spi), lab.taken()
        for at in range(0, len(packets), 20):
            lab.inject(wire.with_esp(frames[0], packet) for packet in packets[at:at + 20])
            time.sleep(0.02)
        got = wire.wait_difference('bob', 'in', before, len(packets), 20, spi=spi)
        cost = wire.difference(taken, lab.taken())
        came = lab.received()
        lab.inject(frames)
        came += lab.received()
        print(f'pad as key on {what}: {got}')
        lab.check(f'pad of a dropped packet as the key of an epoch, on {what}: refused, '
                  'and the packet passes', [sum(got.values()), got.get('packets', 0), cost, came],
                  [len(packets), 0, {}, data])


def aes_for_otp(lab):
    """AES packets on an otp SA without on-empty aes."""
    packet = lab.epoch(FREE).seal(0, 7001, example_packet(), 4)
    lab.forged('an AES packet, sealed with the right key, on a mere otp SA: cipher', [packet],
               {'cipher': 1})


def phases(lab):
    """hybrid: Eve knows all of QKD and not the secret; phases and secrets at odds."""
    unit = lab.free_unit()
    secret = os.urandom(32)
    inner = example_packet()
    lab.forged('all of QKD and a wrong secret: icv',
               [lab.epoch(unit, epoch.HYBRID, A2B, 1, secret).seal(0, 8000, inner, 4)], {'icv': 1})
    lab.forged('all of QKD and no secret, as cipher aes: cipher',
               [lab.epoch(unit).seal(0, 8001, inner, 4)], {'cipher': 1})
    plain = lab.epoch(unit)
    iv = epoch.iv_pack(lab.gen.label, epoch.HYBRID, unit, plain.tag, 0, 1)
    sealed = epoch.gcm(plain.key, plain.base, inner + esp.trailer(inner, 4),
                       esp.aad(A2B, 8002, False, iv))
    lab.forged('the same in the clothes of hybrid: icv',
               [packet_of(A2B, 8002, iv, b''.join(sealed))], {'icv': 1})
    lab.forged('the other phase, of which bob has no secret: phase',
               [lab.epoch(unit, epoch.HYBRID, A2B, 2, SECRETS[1]).seal(0, 8003, inner, 4)],
               {'phase': 1})
    lab.forged("the right secret under a number that it hasn't: icv",
               [lab.epoch(unit, epoch.HYBRID, A2B, 3, SECRETS[1]).seal(0, 8004, inner, 4)],
               {'icv': 1})
    wire.run('bob', 'qkd', 'esp', 'set', 'spi', hex(A2B), 'dir', 'in', 'dev', 'qkd0',
             'secret-file', '/tmp/secret.2', 'secret-number', '2')
    lab.forged('two secrets, and the first under the phase of the second: icv',
               [lab.epoch(unit, epoch.HYBRID, A2B, 2, SECRETS[1]).seal(0, 8005, inner, 4)],
               {'icv': 1})
    lab.forged('two secrets, and the second under the phase of the first: icv',
               [lab.epoch(unit, epoch.HYBRID, A2B, 1, SECRETS[2]).seal(0, 8006, inner, 4)],
               {'icv': 1})
    frames, _ = lab.pass_on(1)
    used = lab.unit_of(frames[0])
    lab.forged("an epoch that passed, under the other secret: duplicate, its unit is taken",
               [lab.epoch(used, epoch.HYBRID, A2B, 2, SECRETS[2]).seal(9, 8007, inner, 4)],
               {'duplicate': 1})
    wire.run('alice', 'qkd', 'esp', 'set', 'spi', hex(A2B), 'dir', 'out', 'dev', 'qkd0',
             'secret-file', '/tmp/secret.2', 'secret-number', '2')
    frames, _ = lab.pass_on(3)
    lab.check('alice switches to the second secret, and her packets pass',
              {epoch.iv_parse(iv_of(frame))[2] for frame in frames}, {0})


def main():
    with open(sys.argv[1], 'rb') as file:
        lab = Attack(file.read(), int(sys.argv[2]))
    lab.frame = lab.pass_on(1)[0][0]
    for case in sys.argv[3:]:
        try:
            globals()[case](lab)
        except RuntimeError as why:
            lab.check(f'{case}: {why}', False, True)
    sys.exit(lab.failed)


if __name__ == '__main__':
    main()
