# SPDX-License-Identifier: GPL-2.0-only
"""The worked examples of Documentation/wire-format.md and abi/ike.md."""
import re
import struct

import epoch
import esp
import ike
import keys
import psk
import sak
from link import (CLASSES, CONTEXTS, GRANULE, STREAMS, Generation, generation, link_hash)
from primitives import be, len16, sha256

IDS = {'alice': 'alice.example', 'bob': 'bob.example'}
NONCES = {'alice': bytes(range(16)), 'bob': bytes(range(0xf0, 0x100))}
LABEL = 6
OUTER = ('198.51.100.1', '198.51.100.2')
SUPPLY = 4096               # bytes of each stream that the example supplies


def stream_bytes(stream, offset, length):
    """32 bytes each of SHA-256("qkd example", stream, number)."""
    first, last = offset // 32, (offset + length + 31) // 32
    data = b''.join(sha256(b'qkd example', be(stream, 1), be(n, 8)) for n in range(first, last))
    return data[offset - first * 32:][:length]


def make_generation():
    ident = generation(link_hash(IDS['alice'], IDS['bob']), NONCES['alice'], NONCES['bob'])
    return Generation(IDS, ident, LABEL, stream_bytes)


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return be(~total & 0xffff, 2)


def echo(src, dst, number, text):
    """An IPv4 packet with an ICMP echo request."""
    icmp = struct.pack('>BBHHH', 8, 0, 0, 0x5149, number) + text
    icmp = icmp[:2] + checksum(icmp) + icmp[4:]
    header = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(icmp), 0x1234, 0, 64, 1, 0)
    header += b''.join(bytes(map(int, a.split('.'))) for a in (src, dst))
    return header[:10] + checksum(header) + header[12:] + icmp


PACKETS = {  # section: spi, sequence number, ESN, granule, inner packet
    'without ESN': (0x01020304, 1, False, 1,
                    echo('10.1.0.1', '10.2.0.2', 1, b'QKD one-time pad 001')),
    'with ESN': (0x01020305, 1, True, 6,
                 echo('10.1.0.1', '10.2.0.3', 2, b'QKD one-time pad 002')),
    'with ESN, late': (0x01020305, 1 << 32 | 2, True, 11,
                       echo('10.1.0.1', '10.2.0.3', 3, b'QKD one-time pad 003')),
    'of a bound SA': (0x01020309, 1, False, 16,
                      echo('10.1.0.1', '10.2.0.7', 9, b'QKD one-time pad 004')),
}
BINDS = {0x01020309: bytes(range(0x40, 0x50)), 0x0102030a: bytes(range(0x50, 0x60))}
SECRETS = {1: bytes(range(0x60, 0x80)), 2: bytes(range(0x80, 0xb0))}
EPOCHS = {  # section: cipher, spi, sequence number, ESN, unit, counter, secret, inner packet
    'aes': (2, 0x01020306, 1, False, 4, 0, 0,
            echo('10.1.0.1', '10.2.0.4', 4, b'QKD AES-256-GCM 0001')),
    'aes, second packet': (2, 0x01020306, 2, False, 4, 1, 0,
                           echo('10.1.0.1', '10.2.0.4', 5, b'QKD AES-256-GCM 0002')),
    'aes with ESN': (2, 0x01020307, 1 << 32 | 2, True, 36, 0, 0,
                     echo('10.1.0.1', '10.2.0.5', 6, b'QKD AES-256-GCM 0003')),
    'aes of a bound SA': (2, 0x0102030a, 1, False, 52, 0, 0,
                          echo('10.1.0.1', '10.2.0.8', 10, b'QKD AES-256-GCM 0004')),
    'hybrid, secret 1': (3, 0x01020308, 1, False, 68, 0, 1,
                         echo('10.1.0.1', '10.2.0.6', 7, b'QKD and ML-KEM 00001')),
    'hybrid, secret 2': (3, 0x01020308, 2, False, 100, 0, 2,
                         echo('10.1.0.1', '10.2.0.6', 8, b'QKD and ML-KEM 00002')),
}
KEYS = {  # section: stream, class, offset, size, context type, context
    'a key for export': ('a2b-key', 'export', 32, 32, 'none', b''),
    'a PPK': ('a2b-key', 'control', 64, 48, 'ppk', b'alice@example'),
}
SAKS = {  # section: offset of the unit, SCI, AN, cipher suite, packet number
    'a SAK': (160, 0x0200000000010001, 0, 'gcm-aes-128', 1),
    'a SAK with extended packet numbers': (192, 0x0200000000010001, 1, 'gcm-aes-xpn-256',
                                           0x100000002),
}
EXCHANGES = {  # section: method, bytes of the initiator's and the responder's ML-KEM, secret
    'qkd': ('qkd', b'', b'', None),
    'qkd_mlkem768': ('qkd_mlkem768', bytes(range(64)), bytes(range(64, 128)),
                     bytes(range(0xa0, 0xc0))),
}
TAGS = {  # section: stream, offset, length, s
    'of pad': ('a2b-pad', 0, 1024, bytes(range(0x50, 0x60))),
    'of key': ('a2b-key', 1024, 2048, bytes(range(0x60, 0x70))),
}


def packet_example(gen, spi, seq, esn, granule, inner):
    bind = BINDS.get(spi, b'')
    packet = esp.seal(gen, 1, granule, spi, seq, inner, 4, esn, bind)
    text = inner + esp.trailer(inner, 4)
    r, s, pad = esp.keys_at(gen, STREAMS['a2b-pad'], granule, len(text))
    associated = esp.aad(spi, seq, esn, packet[8:16])
    taken = gen.read(STREAMS['a2b-pad'], granule * GRANULE, esp.slice_length(len(text)))
    more = {'bind': bind, 'r XOR bind': esp.bound(r, bind)} if bind else {}
    return {'inner packet': inner, 'text': text, 'slice': taken, 'r': r, **more, 's': s,
            'pad': pad, 'ciphertext': packet[16:-16], 'IV': packet[8:16], 'AAD': associated,
            'MAC input': esp.mac_input(associated, packet[16:-16]), 'ICV': packet[-16:],
            'packet': packet}


def epoch_example(gen, cipher, spi, seq, esn, unit, counter, number, inner):
    stream, offset = STREAMS['a2b-key'], 32 * unit
    secret = SECRETS.get(number, b'')
    bind = BINDS.get(spi, b'')
    one = epoch.Epoch(gen, stream, unit, cipher, spi, number, secret, bind)
    packet = one.seal(counter, seq, inner, 4, esn)
    out = {'inner packet': inner, 'text': inner + esp.trailer(inner, 4)}
    if not counter:
        data = gen.read(stream, offset, 32)
        out['unit'] = data
        if secret:
            out.update({'secret': secret, 'IKM': data + len16(secret)})
        if bind:
            out['bind'] = bind
        out.update({'context': one.context, 'PRK': one.prk,
                    'info of key': one.info(32, b'qkd key v1'), 'key': one.key,
                    'info of base': one.info(12, b'qkd nonce v1'), 'base': one.base,
                    'tag': be(one.tag, 1), 'key ID': one.ident()})
    out.update({'nonce': one.nonce(counter), 'IV': packet[8:16],
                'AAD': esp.aad(spi, seq, esn, packet[8:16]), 'ciphertext': packet[16:-16],
                'ICV': packet[-16:], 'packet': packet})
    return out


def key_example(gen, stream, klass, offset, size, kind, context):
    what = (gen, STREAMS[stream], CLASSES[klass], offset, size, CONTEXTS[kind], context)
    units = {f'unit {i}': gen.read(STREAMS[stream], offset + 32 * i, 32)
             for i in range(keys.units_of(size))}
    return {'k_seg': gen.head(STREAMS[stream], 0), **units, 'context': context,
            'info of unit 0': keys.info(gen, STREAMS[stream], CLASSES[klass], offset, size,
                                        CONTEXTS[kind], context),
            'key': keys.derive(*what), 'key ID': keys.name(*what)}


def sak_example(gen, offset, sci, an, suite, pn):
    one = sak.Sak(gen, STREAMS['a2b-key'], offset, sci, an, suite)
    out = {'k_seg': gen.head(STREAMS['a2b-key'], 0),
           'unit 0': gen.read(STREAMS['a2b-key'], offset, 32), 'context': one.context,
           'info of key': one.infos['key'], 'SAK': one.key}
    if one.xpn:
        out.update({'info of salt': one.infos['salt'], 'salt': one.salt,
                    'info of SSCI': one.infos['ssci'], 'SSCI': one.ssci})
    out.update({'key ID': one.ident, 'PN': be(pn, 8 if one.xpn else 4), 'nonce': one.nonce(pn)})
    return out


def macsec_examples():
    gen = make_generation()
    return {name: sak_example(gen, *what) for name, what in SAKS.items()}


def wireguard_examples():
    """The public keys are those of nobody."""
    gen = make_generation()
    alice, bob = (sha256(b'qkd example', end) for end in (b'alice', b'bob'))
    one = psk.Psk(gen, STREAMS['a2b-key'], 224, alice, bob)
    return {'a preshared key': {
        'k_seg': gen.head(STREAMS['a2b-key'], 0),
        'unit 0': gen.read(STREAMS['a2b-key'], 224, 32), 'context': one.context,
        'info of key': one.info, 'PSK': one.key, 'key ID': one.ident}}


def examples():
    """section -> name -> bytes, of all files"""
    return {section: values for part in FILES.values() for section, values in part().items()}


def aes_examples():
    gen = make_generation()
    return {'packet under ' + name: epoch_example(gen, *what) for name, what in EPOCHS.items()}


def otp_examples():
    gen = make_generation()
    out = {'identities': {
        'nonce_alice': NONCES['alice'], 'nonce_bob': NONCES['bob'], 'L': gen.link,
        'G*': gen.ident, 'a2b-pad, segment 0, r': gen.head(0, 0),
        'a2b-key, segment 0, k_seg': gen.head(1, 0)}}
    for name, what in PACKETS.items():
        out['packet ' + name] = packet_example(gen, *what)
    for name, what in KEYS.items():
        out[name] = key_example(gen, *what)
    for name, (stream, offset, length, s) in TAGS.items():
        number = STREAMS[stream]
        out['confirmation ' + name] = {
            'r': gen.confirm_r(number, 0), 's': s,
            'tag': gen.confirm_tag(number, offset, length, s)}
    return out


def ike_examples():
    """ML-KEM's values are shortened: the combiner takes them as they are."""
    id_i, id_r, key_i, key_r = (sha256(b'qkd example', text)[:size] for text, size in (
        (b'ID_i', 16), (b'ID_r', 16), (b'key_i', 32), (b'key_r', 32)))
    out = {}
    for section, (method, kem_i, kem_r, kem) in EXCHANGES.items():
        value_i, value_r = id_i + kem_i, id_r + kem_r
        out['key exchange ' + section] = {
            'method': be(ike.METHODS[method], 2), 'value_i': value_i, 'value_r': value_r,
            'key_i': key_i, 'key_r': key_r, **({'ML-KEM': kem} if kem else {}),
            'info': ike.info(method, value_i, value_r),
            'secret': ike.secret(method, value_i, key_i, value_r, key_r, kem)}
    out['N(QKD_SA)'] = {
        'data': ike.statement(make_generation(), 'alice', ('otp', 'aes'), 'block')}
    return out


FILES = {'otp.json': otp_examples, 'aes.json': aes_examples,      # in vectors/
         'macsec.json': macsec_examples, 'wireguard.json': wireguard_examples,
         'ike.json': ike_examples}


def as_hex(found):
    return {section: {name: value.hex() for name, value in values.items()}
            for section, values in found.items()}


def block(section):
    """The lines of one section, as they stand in the page."""
    lines = []
    for name, value in examples()[section].items():
        text = value.hex()
        pieces = [text[i:i + 64] for i in range(0, len(text), 64)] or ['']
        lines.append(f'{name:<14} = {pieces[0]}'.rstrip())
        lines += [' ' * 17 + piece for piece in pieces[1:]]
    return '\n'.join(lines)


def from_page(path):
    """The same structure read back from the page: fenced blocks that begin with
    ```example SECTION."""
    out, section, name = {}, None, None
    with open(path, encoding='utf-8') as file:
        for line in file:
            line = line.rstrip('\n')
            begin = re.match(r'```example (.*)', line)
            if begin:
                section = out.setdefault(begin[1], {})
            elif line.startswith('```'):
                section = None
            elif section is not None:
                pair = re.match(r'(\S.*?) *= ?([0-9a-f]*)$', line)
                if pair:
                    name = pair[1]
                    section[name] = pair[2]
                else:
                    section[name] += line.strip()
    return out
