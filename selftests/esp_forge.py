# SPDX-License-Identifier: GPL-2.0-only
"""What an attacker on the wire can do to ESP under otp, and which counter moves.

After each forgery the genuine packet must still pass: what fails takes nothing.
"""
import os
import struct
import sys
import time

import esp_wire as wire

CIPHER, LABEL = 62, 60
GRANULE = (1 << 60) - 1
ICV_ALARM = 1 << 20


def edit_iv(change):
    def edit(esp):
        iv = struct.unpack_from('>Q', esp, wire.HEADER)[0]
        struct.pack_into('>Q', esp, wire.HEADER, change(iv))
        return esp
    return edit


def flip(at):
    def edit(esp):
        esp[at] ^= 1
        return esp
    return edit


def granule(change):
    return edit_iv(lambda iv: iv & ~GRANULE | change(iv & GRANULE) & GRANULE)


def cipher(value):
    return edit_iv(lambda iv: iv & ((1 << CIPHER) - 1) | value << CIPHER)


def forgeries(lab):
    text = wire.HEADER + wire.IV
    for name, edit, want in (
            ('a flipped bit of the ICV', flip(-1), 'icv'),
            ('a flipped bit of the text', flip(text + 7), 'icv'),
            ('a flipped bit of the sequence number', flip(7), 'icv'),
            ('an IV that names bytes not used yet', granule(lambda g: g + 64), 'icv'),
            ('an IV that names bytes ahead of supply', granule(lambda g: g + (1 << 30)),
             'not_here'),
            ('an IV with the largest offset', granule(lambda g: GRANULE), 'not_here'),
            ("an IV that names a segment's head", granule(lambda g: 0), 'not_here'),
            ('an IV that names bytes used just now', granule(lambda g: g - 20), 'duplicate'),
            ('an IV of cipher 0', cipher(0), 'cipher'),
            ('an IV of the cipher aes', cipher(2), 'cipher'),
            ('an IV of the cipher hybrid', cipher(3), 'cipher'),
            ('an IV with an unknown label', edit_iv(lambda iv: iv ^ 1 << LABEL), 'stale'),
            ('an ICV that is cut short', lambda esp: esp[:text + 12], 'length'),
            ('a text that is cut short', lambda esp: esp[:text] + esp[text + 16:], 'icv'),
            ('a text that is longer', lambda esp: esp[:text] + bytes(16) + esp[text:], 'icv')):
        lab.refused(f'{name}: {want}, and the genuine packet passes', edit, {want: 1})


def orders(lab):
    frames, data = lab.hold(40)
    before = wire.counters('bob', 'in')
    lab.inject(reversed(frames))
    lab.check('40 packets in reverse order all pass', lab.received(), data[::-1])
    lab.inject(frames)
    want = {'packets': 40, 'duplicate': 40}
    got = wire.wait_difference('bob', 'in', before, want)
    lab.check('all of them again, without a replay window: duplicate',
              [got, lab.received()], [want, []])

    frames, data = lab.hold(20)
    before = wire.counters('bob', 'in')
    lab.inject(frame for frame in frames for _ in range(3))
    want = {'packets': 20, 'duplicate': 40}
    got = wire.wait_difference('bob', 'in', before, want)
    lab.check('each packet three times: delivered once', [got, lab.received()], [want, data])

    frames, data = lab.hold(30)
    before = wire.counters('bob', 'in')
    lab.inject(frames[::3])
    want = {'packets': 10}
    got = wire.wait_difference('bob', 'in', before, want)
    lab.check('two of three packets are lost: the others pass',
              [got, lab.received()], [want, data[::3]])


def forged_flood(lab):
    """A thousand forgeries that name one slice take nothing of it."""
    frames, data = lab.hold(1)
    before = wire.counters('bob', 'in')
    for _ in range(1000):
        esp = bytearray(frames[0][wire.ESP_AT:])
        esp[-16:] = os.urandom(16)
        lab.inject([wire.with_esp(frames[0], esp)])
    got = wire.wait_difference('bob', 'in', before, {'icv': 1000})
    lab.inject(frames)
    lab.check('1000 forged ICVs on one slice, then the genuine packet',
              [got, lab.received()], [{'icv': 1000}, data])


def reports():
    return wire.run('bob', 'dmesg').count(f'{ICV_ALARM} bad ICVs checked with one secret')


def icv_alarm(lab):
    """As many on one segment as are reported. Whatever the segment has seen
    before, among so many is one that makes a multiple of it."""
    frames, data = lab.hold(1)
    before, said = wire.counters('bob', 'in'), reports()
    esp = flip(-1)(bytearray(frames[0][wire.ESP_AT:]))
    forged = wire.with_esp(frames[0], esp)
    left = ICV_ALARM
    while left > 0:
        lab.inject([forged] * min(left, 10000))
        left = ICV_ALARM - wire.difference(before, wire.counters('bob', 'in')).get('icv', 0)
    lab.inject(frames)
    lab.check('2^20 bad ICVs on one segment: reported once; then the genuine packet',
              [reports() - said, lab.received()], [1, data])


def is_up(label):
    ends = [wire.link(name) for name in ('alice', 'bob')]
    return all(end['state'] == 'up' and end['label'] != label for end in ends)


def link_up(label):
    """The generation after that of the label."""
    wire.run('alice', 'qkd', 'link', 'set', 'qkd0', 'up')
    end = time.monotonic() + 10
    while not is_up(label) and time.monotonic() < end:
        time.sleep(0.1)


def reflected(lab):
    """alice's own packet, sent back to her under the SPI that she receives."""
    label = wire.link('alice')['label']
    wire.run('alice', 'qkd', 'link', 'set', 'qkd0', 'down')
    link_up(label)      # so that her offset is one that bob has not used
    wire.wait_for_pad()
    frames, _ = lab.hold(1)
    esp = bytearray(frames[0][wire.ESP_AT:])
    spi = next(sa['spi'] for sa in wire.sas('alice') if sa['dir'] == 'in')
    struct.pack_into('>I', esp, 0, int(str(spi), 0))
    frame = bytearray(wire.with_esp(frames[0], esp))
    frame[0:12] = frame[6:12] + frame[0:6]
    at = wire.ETH + 12
    frame[at:at + 8] = frame[at + 4:at + 8] + frame[at:at + 4]
    before = wire.counters('alice', 'in')
    out = wire.packet_socket('bob', 'vb')
    out.send(frame)
    got = wire.wait_difference('alice', 'in', before, {'icv': 1})
    lab.check("alice's packet sent back to her: icv, the streams differ", got, {'icv': 1})


def last_generation(lab):
    """What was sent before the link began its next generation."""
    frames, _ = lab.hold(5)
    label = wire.link('alice')['label']
    wire.run('alice', 'qkd', 'link', 'set', 'qkd0', 'down')
    before = wire.counters('bob', 'in')
    lab.inject(frames[:2])
    got = wire.wait_difference('bob', 'in', before, {'link': 2})
    lab.check('packets for a link that is down: link', [got, lab.received()], [{'link': 2}, []])
    link_up(label)
    before = wire.counters('bob', 'in')
    lab.inject(frames)
    got = wire.wait_difference('bob', 'in', before, {'stale': 5})
    lab.check('packets of the last generation: stale', [got, lab.received()], [{'stale': 5}, []])
    time.sleep(1)
    frames, data = lab.hold(3)
    lab.inject(frames)
    lab.check('packets of the new one pass', lab.received(), data)


def replay_window(lab):
    """XFRM's own window stops what is behind it before it comes to us."""
    frames, data = lab.hold(5)
    lab.inject(frames)
    first = lab.received()
    before, stat = wire.counters('bob', 'in'), wire.xfrm_stat('bob')
    lab.inject(frames)
    again = lab.received()
    seen = wire.xfrm_stat('bob')
    lab.check('with a replay window XFRM refuses duplicates itself',
              [first, again, wire.difference(before, wire.counters('bob', 'in')),
               seen['XfrmInStateSeqError'] - stat['XfrmInStateSeqError']],
              [data, [], {}, 5])


def main():
    lab = wire.Lab()
    for case in sys.argv[1:]:
        globals()[case](lab)
    sys.exit(lab.failed)


if __name__ == '__main__':
    main()
