# SPDX-License-Identifier: GPL-2.0-only
"""The reference against published vectors and against itself."""
import os
import tempfile

import accounts
import check
import epoch
import esp
import flows
import keys
import link
import pcap
import sak
import scan
from primitives import (chacha20, chacha20_block_by_hand, hkdf, poly1305, poly1305_by_hand)

POLY = (  # RFC 8439: 2.5.2, A.3 vectors 4 and 7 to 9
    ('85d6be7857556d337f4452fe42d506a8', '0103808afb0db2fd4abff6af4149f51b',
     b'Cryptographic Forum Research Group'.hex(), 'a8061dc1305136c6c22b8baf0c0127a9'),
    ('02000000000000000000000000000000', '00' * 16, 'ff' * 16,
     '03000000000000000000000000000000'),
    ('02000000000000000000000000000000', 'ff' * 16, '02' + '00' * 15,
     '03000000000000000000000000000000'),
    ('01000000000000000000000000000000', '00' * 16,
     'ff' * 16 + 'f0' + 'ff' * 15 + '11' + '00' * 15, '05000000000000000000000000000000'),
    ('01000000000000000000000000000000', '00' * 16,
     'ff' * 16 + 'fb' + 'fe' * 15 + '01' * 16, '00' * 16),
)
HKDF = (  # RFC 5869, A.1 to A.3: IKM, salt, info, OKM
    ('0b' * 22, '000102030405060708090a0b0c', 'f0f1f2f3f4f5f6f7f8f9',
     '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'),
    (bytes(range(0x50)).hex(), bytes(range(0x60, 0xb0)).hex(), bytes(range(0xb0, 0x100)).hex(),
     'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6'
     '5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87'),
    ('0b' * 22, '', '',
     '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'),
)
CHACHA = (  # RFC 8439, A.1 vectors 1 and 2: blocks 0 and 1 of the zero key
    '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7'
    'da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586'
    '9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed'
    '29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f')


GCM = (  # McGrew and Viega, "The Galois/Counter Mode of Operation", cases 13, 14 and 16:
    # key, nonce, text, associated data, ciphertext, tag
    ('00' * 32, '00' * 12, '', '', '', '530f8afbc74536b9a963b4f1c4cb738b'),
    ('00' * 32, '00' * 12, '00' * 16, '', 'cea7403d4d606b6e074ec5d3baf39d18',
     'd0d1c8a799996bf0265b98b5d48ab919'),
    ('feffe9928665731c6d6a8f9467308308' * 2, 'cafebabefacedbaddecaf888',
     'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72'
     '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
     'feedfacedeadbeeffeedfacedeadbeefabaddad2',
     '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa'
     '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662',
     '76fc6ece0f4e1768cddf8853bb2d551b'),
)
MACSEC = (  # IEEE 802.1AE-2018, annex C, 60-byte packet encryption: SAK, frame, text
    'ad7a2bd03eac835a6f620fdcb506b345',
    'd609b1f056637a0d46df998d88e52e00b2c2846512153524c0895e81'
    '701afa1cc039c0d765128a665dab69243899bf7318ccdc81c9931da17fbe8edd7d17cb8b4c26fc81'
    'e3284f2b7fba713d4f8d55e7d3f06fd5a13c0c29b9d5b880',
    '08000f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233343536373839'
    '3a0002')
SECRETS = {1: bytes(range(32)), 2: bytes(range(32, 96))}


def poly_vectors():
    for r, s, text, want in POLY:
        r, s, text = bytes.fromhex(r), bytes.fromhex(s), bytes.fromhex(text)
        assert poly1305(r, s, text).hex() == want
        assert poly1305_by_hand(r, s, text).hex() == want


def hkdf_vectors():
    for ikm, salt, info, want in HKDF:
        okm = hkdf(bytes.fromhex(salt), bytes.fromhex(ikm), bytes.fromhex(info), len(want) // 2)
        assert okm.hex() == want


def chacha_vectors():
    assert chacha20(bytes(32), 0, 128).hex() == CHACHA
    key = bytes(range(32))
    for block in (0, 1, 0xfffffffe, 0xffffffff, 1 << 32, (1 << 32) + 1, (1 << 57) + 5):
        want = chacha20_block_by_hand(key, block)
        assert chacha20(key, block * 64, 64) == want, block
    edge = (1 << 38) - 100                      # across the 32-bit counter's end
    assert chacha20(key, edge, 200)[100:164] == chacha20_block_by_hand(key, 1 << 32)
    whole = chacha20(key, 0, 4096)
    for at, length in ((0, 1), (1, 63), (63, 2), (64, 64), (100, 1000), (4095, 1), (7, 0)):
        assert chacha20(key, at, length) == whole[at:at + length]


def gcm_vectors():
    for vector in GCM:
        key, nonce, text, associated, ciphertext, tag = map(bytes.fromhex, vector)
        assert epoch.gcm(key, nonce, text, associated) == (ciphertext, tag)


def key_ids():
    gen = link.Emulated(b'seed', 65535)
    for offset in (1, 2047, 2049, (1 << 16) + 1, (1 << 28) + 5, (1 << 39) - 1):
        fields = {'link': 0xabcd, 'label': 0xffff, 'stream': 3, 'class': 3, 'offset': offset,
                  'units': 63, 'tag': (1 << 40) - 1}
        assert keys.unpack(keys.pack(fields)) == fields
    ident = keys.name(gen, 1, 3, 32, 48)
    assert keys.resolve(gen, ident, 48) == keys.derive(gen, 1, 3, 32, 48)
    for bit in range(128):
        wrong = bytearray(ident)
        wrong[bit // 8] ^= 0x80 >> bit % 8
        try:
            keys.resolve(gen, bytes(wrong), 48)
        except ValueError:
            continue
        raise AssertionError(f'bit {bit} of a key ID is not covered')
    assert link.next_label(65535) == 1 and link.next_label(1) == 2


def packets():
    gen = link.Emulated(b'seed', 7)
    last = link.PAD_SEGMENT // link.GRANULE
    for role in link.ROLES.values():
        for esn in (False, True):
            for size in (0, 1, 2, 13, 14, 15, 16, 17, 1400, 65000):
                packet = esp.seal(gen, role, 1, 0x1234, 1 << 32 | 5, bytes(size), 59, esn)
                found = esp.open_(gen, role, packet, esn, 1)
                assert found['payload'] == bytes(size) and found['slice'] % 16 == 0
                for at in (0, 7, 8, 15, 16, len(packet) - 1):
                    wrong = bytearray(packet)
                    wrong[at] ^= 1
                    try:
                        esp.open_(gen, role, bytes(wrong), esn, 1)
                    except esp.Refused:
                        continue
                    raise AssertionError(f'byte {at} is not covered')
    for granule, fits in ((0, False), (last - 2, True), (last - 1, False), (last, False),
                          (last + 1, True)):
        try:
            esp.seal(gen, 1, granule, 1, 1, b'', 59)
            assert fits
        except esp.Refused:
            assert not fits


def refused(why, call, *args, **values):
    try:
        call(*args, **values)
    except esp.Refused as reason:
        assert str(reason) == why, f'{reason}, not {why}'
        return
    raise AssertionError(f'not refused: {why}')


def windows():
    """The epoch of an IV around the end of supply."""
    for end in (1, 131072, 393216, 1 << 19, (1 << 19) + 77, (1 << 33) + 5):
        for unit in (end - 393216, end - 1, end, end + 131071):
            assert epoch.expand(unit % (1 << 19), end) == unit
        assert epoch.expand((end + 131072) % (1 << 19), end) == end - 393216
    iv = epoch.iv_pack(7, 3, (1 << 19) + 5, 0xab, 0xfffffffe, 1)
    assert iv.hex() == 'f80005abfffffffe'
    assert epoch.iv_parse(iv) == (3, 3, 1, 5, 0xab, 0xfffffffe)
    try:
        epoch.iv_pack(7, 2, 1, 0, 1 << 32)
    except ValueError:
        return
    raise AssertionError('a counter past its end')


def epochs():
    """Packets under aes and hybrid."""
    gen = link.Emulated(b'seed', 7)
    for role in link.ROLES.values():
        stream = link.stream_of(role, 'key')
        for cipher, number in ((2, 0), (3, 1), (3, 2)):
            for esn, size in ((False, 0), (True, 1), (False, 14), (True, 15), (True, 65000)):
                one = epoch.Epoch(gen, stream, 2049, cipher, 0x1234, number,
                                  SECRETS.get(number, b''))
                packet = one.seal(size, 1 << 32 | 5, bytes(size), 59, esn)
                what = {'cipher': cipher, 'secrets': SECRETS, 'esn': esn, 'high': 1}
                found = epoch.open_(gen, role, packet, 3000, **what)
                assert found['payload'] == bytes(size) and found['unit'] == 2049
                assert (found['counter'], found['number']) == (size, number)
                assert keys.unpack(found['key_id'])['units'] == 1
                refused('ahead of supply', epoch.open_, gen, role, packet, 2049, **what)
                for at in (0, 7, 8, 9, 10, 11, 15, 16, len(packet) - 1):
                    wrong = bytearray(packet)
                    wrong[at] ^= 1
                    try:
                        epoch.open_(gen, role, bytes(wrong), 3000, **what)
                    except esp.Refused:
                        continue
                    raise AssertionError(f'byte {at} is not covered')
    refused("the epoch is a segment's head", epoch.Epoch, gen, 1, 2048, 2, 5)
    one = epoch.Epoch(gen, 1, 5, 2, 0x1234)
    assert one.key == keys.derive(gen, 1, 2, 160, 32, 1, bytes.fromhex('020000123400000000'))
    assert len({epoch.Epoch(gen, *what).key for what in (
        (1, 5, 2, 0x1234), (1, 5, 2, 0x1235), (1, 6, 2, 0x1234), (3, 5, 2, 0x1234),
        (1, 5, 3, 0x1234, 1, SECRETS[1]), (1, 5, 3, 0x1234, 3, SECRETS[1]),
        (1, 5, 3, 0x1234, 1, SECRETS[2]))}) == 7
    assert len({one.nonce(counter) for counter in (0, 1, 1 << 31, (1 << 32) - 1)}) == 4


def flow(gen, spi, role, cipher, first, per, count, esn=False, seq=1, number=0):
    """Packets of one SA, `per` in each epoch."""
    unit, out = first, []
    while len(out) < count:
        if not unit % 2048:
            unit += 1
        one = epoch.Epoch(gen, link.stream_of(role, 'key'), unit, cipher, spi, number,
                          SECRETS.get(number, b''))
        for counter in range(per):
            out.append(one.seal(counter, seq + len(out), bytes(20), 4, esn))
        unit += 1
    return out[:count]


def flow_sas(**more):
    return [{'spi': '0x1001', 'role': 'alice', 'cipher': 'aes', 'esn': True, **more},
            {'spi': 0x1002, 'role': 'bob', 'cipher': 'hybrid',
             'secrets': {'1': SECRETS[1].hex(), '2': SECRETS[2].hex()}},
            {'spi': 0x1003, 'role': 'alice', 'cipher': 'otp', 'on_empty': True}]


def checked(gen, packets, **more):
    found = flows.Flows(gen, flow_sas(**more))
    for packet in packets:
        found.add(packet)
    return found


def captured_flows():
    """Captures of SAs with epochs: what is sound, and each thing that is not."""
    gen = link.Emulated(b'seed', 7)
    aes = flow(gen, 0x1001, 1, 2, (1 << 19) - 10, 3, 60, True, (1 << 32) - 30)
    hybrid = flow(gen, 0x1002, 2, 3, 1, 2, 10, number=1) + \
        flow(gen, 0x1002, 2, 3, 33, 2, 10, seq=11, number=2)
    pad = [esp.seal(gen, 1, granule, 0x1003, seq, bytes(20), 4)
           for seq, granule in ((1, 1), (2, 9), (4, 17))]
    empty = flow(gen, 0x1003, 1, 2, (1 << 19) + 100, 1, 1, seq=3)
    late = [aes[0], aes[2], aes[1], *aes[3:], aes[5], *hybrid, *pad, *empty]
    found = checked(gen, late, rekey_packets=3).summary()
    assert not found['problems'] and not found['refused'], found
    assert (found['packets'], found['duplicates'], found['epochs']) == (84, 1, 31), found
    assert found['sas'][1]['secrets'] == {1: 5, 2: 5}
    assert found['sas'][2]['packets'] == {'otp': 3, 'aes': 1}
    assert found['sas'][0]['last_seq'] == (1 << 32) + 29
    assert len(checked(gen, late).ranges()) == 34

    assert checked(gen, aes, rekey_packets=2).problems == {
        'an epoch is longer than it should be': 20}
    one = epoch.Epoch(gen, 1, 50, 2, 0x1001)
    twice = [one.seal(0, seq, bytes(20), 4, True) for seq in (1, 2)]
    assert checked(gen, twice).all_problems() == {
        'a counter served two packets': 1, 'a nonce repeats under a key': 1}
    other = epoch.Epoch(gen, 1, 50, 2, 0x1003).seal(0, 1, bytes(20), 4)
    assert checked(gen, [twice[0], other]).all_problems() == {'a unit made two keys': 1}
    both = [epoch.Epoch(gen, 3, 50, 3, 0x1002, n, SECRETS[n]).seal(0, n, bytes(20), 4)
            for n in (1, 2)]
    assert checked(gen, both).all_problems() == {'a unit made two keys': 1}
    overlap = [esp.seal(gen, 1, granule, 0x1003, 1, bytes(20), 4) for granule in (1, 3)]
    assert checked(gen, overlap).all_problems() == {'a byte of pad served two packets': 1}
    forged = checked(gen, [bytes(8) + aes[0][8:], aes[0][:-1] + bytes([aes[0][-1] ^ 1]),
                           *flow(gen, 0x1001, 1, 3, 1, 1, 1, True, number=1),
                           *flow(gen, 0x1001, 2, 2, 1, 1, 1, True)])
    assert not forged.epochs and sum(forged.refused.values()) == 4


def frames():
    """MACsec: a published frame, SAKs by key ID, and what they depend on."""
    gen = link.Emulated(b'seed', 7)
    key, frame, text = map(bytes.fromhex, MACSEC)
    one = sak.Sak(gen, 1, 64, 0x12153524c0895e81, 2, 'gcm-aes-128')
    one.key = key
    assert one.open(frame) == text
    try:
        one.open(frame[:-1] + b'\0')
        raise AssertionError('a bad ICV')
    except ValueError:
        pass
    saks = [sak.Sak(gen, 1, offset, sci, an, suite) for offset in (64, 96) for sci in (1, 2)
            for an in (0, 3) for suite in sak.SUITES]
    assert len({s.key[:16] for s in saks}) == len({s.ident for s in saks}) == len(saks)
    assert len({s.salt for s in saks if s.xpn}) == len(saks) // 2
    for one in saks:
        assert sak.of_id(gen, one.ident, one.sci, one.an, one.suite).key == one.key
        try:
            sak.of_id(gen, one.ident, one.sci, one.an ^ 1, one.suite)
            raise AssertionError('another AN')
        except ValueError:
            pass


def captures():
    gen = link.Emulated(b'seed', 7)
    one = esp.seal(gen, 1, 1, 5, 1, bytes(100), 59)
    two = esp.seal(gen, 1, 8, 5, 2, bytes(100), 59)     # overlaps the first
    capture = check.Capture(gen)
    capture.add(one)
    capture.add(one)
    assert capture.duplicates == 1 and not capture.reused()
    capture.add(two)
    assert len(capture.reused()) == 1
    capture.add(one[:-1] + b'\0')
    assert capture.refused or one[-1] == 0
    esn = check.Capture(gen, True)
    for seq, granule in ((0xffffffff, 1), (1 << 32, 20), (0xfffffffe, 40), (1 << 32 | 1, 60)):
        esn.add(esp.seal(gen, 1, granule, 5, seq, b'', 59, True))
    assert len(esn.opened) == 4, esn.refused
    join = pcap.Reassembly()
    assert join.add('k', 8, False, b'b' * 3) is None
    assert join.add('k', 0, True, b'a' * 8) == b'a' * 8 + b'b' * 3


def memory():
    secret = chacha20(bytes(32), 0, 4096)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'dump')
        for size, begin, place, want in ((16, 48, 3, 1), (15, 48, 3, 0), (40, 51, 101, 1),
                                         (16, 4080, 9984, 1), (4096, 0, 4, 1), (16, 7, 0, 1)):
            with open(path, 'wb') as file:
                file.truncate(10000)
                file.seek(place)
                file.write(secret[begin:begin + size])
            hits = scan.scan(path, [('z', bytes(range(104))), ('x', secret)])
            assert len(hits) == want, (size, place, hits)
            if want:
                assert hits[0] == (place, 'x', begin, size), hits


def identities():
    tx = {'stream': 'a2b-key', 'dir': 'out', 'supplied': 65536, 'taken': 320, 'skipped': 0,
          'lost': 64, 'head': 32, 'live': 65536 - 320 - 64 - 32}
    rx = dict(tx, dir='in', supplied=131072, taken=320, head=64, live=131072 - 320 - 64 - 64)
    one, other = {'name': 'a', 'stat': [tx]}, {'name': 'b', 'stat': [rx]}
    assert not accounts.problems_of_end(one) and not accounts.problems_of_end(other)
    assert not accounts.problems_across(one, other, True)
    assert accounts.problems_across(other, {'name': 'a', 'stat': [dict(tx, taken=319)]})
    assert accounts.problems_of_end({'name': 'a', 'stat': [dict(tx, live=1)]})


TESTS = (poly_vectors, hkdf_vectors, chacha_vectors, gcm_vectors, key_ids, packets, windows,
         epochs, frames, captures, captured_flows, memory, identities)


def main():
    """KTAP of all of them."""
    print('TAP version 13')
    print(f'1..{len(TESTS)}')
    failed = 0
    for count, test in enumerate(TESTS, 1):
        try:
            test()
            print(f'ok {count} - reference: {test.__name__}')
        except AssertionError as why:
            print(f'# {why}')
            print(f'not ok {count} - reference: {test.__name__}')
            failed += 1
    return int(failed > 0)
