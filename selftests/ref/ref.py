#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Independent reference of the key streams, keys and ESP packets.

Written from the design alone; shares no code with the module. The bytes come
from an emulated link (--seed-file and --gen, or --gstar for a pair in one
kernel) or from a file with the bytes of one stream (--bytes, --gstar, --gen,
--id-alice, --id-bob).

    ref.py emu --seed-file F --gen 7
    ref.py stream --seed-file F --gen 7 --stream a2b-pad --offset 16 --length 64
    ref.py head --seed-file F --gen 7 --stream a2b-key --segment 0
    ref.py key --seed-file F --gen 7 --stream a2b-key --offset 32 --class export --size 32
    ref.py resolve --seed-file F --gen 7 --id HEX [--size 32]
    ref.py id HEX
    ref.py tag --seed-file F --gen 7 --stream a2b-pad --offset 0 --length 1024 --s HEX
    ref.py seal --seed-file F --gen 7 --role alice --granule 1 --spi 0x100 --seq 1 \\
                --payload HEX --next-header 4
    ref.py open --seed-file F --gen 7 --role alice --packet HEX
    ref.py epoch --seed-file F --gen 7 --role alice --unit 1 --spi 0x100 --cipher aes
    ref.py sak --seed-file F --gen 7 --id HEX --sci HEX --an 0 --suite gcm-aes-xpn-128
    ref.py seal ... --cipher hybrid --secret-number 1 --secret HEX --unit 1 --counter 0
    ref.py open ... --cipher aes --supply UNITS
    ref.py check-pcap --seed-file F --gen 7 --pcap F [--plain F] [--ranges-out F]
    ref.py check-pcap --seed-file F --gen 7 --pcap F --sas F [--epochs-out F]
    ref.py scan-ram --seed-file F --gen 7 --dump F --ranges F --expect none
    ref.py accounts FILE [PEER] [--link NAME --peer-link NAME] [--lossless]
    ref.py supply --seed-file F --gen 7 --stream a2b-pad --offset 0 --length 65536 --node DEV
    ref.py vector [--section NAME | --file otp.json]
    ref.py selftest
"""
import argparse
import json
import os
import struct
import sys
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import accounts                                             # noqa: E402
import check                                                # noqa: E402
import epoch                                                # noqa: E402
import esp                                                  # noqa: E402
import flows                                                # noqa: E402
import keys                                                 # noqa: E402
import link as links                                        # noqa: E402
import pcap                                                 # noqa: E402
import sak                                                  # noqa: E402
import scan                                                 # noqa: E402
import example                                              # noqa: E402

RECORD = struct.Struct('=HBBIQ')
RECORD_MAX = 65536


def show(**values):
    """name: value lines, bytes in hex."""
    for name, value in values.items():
        print(f"{name}: {value.hex() if isinstance(value, bytes) else value}")


def number(text):
    return int(text, 0)


def one_of(table):
    def convert(text):
        if text in table:
            return table[text]
        raise argparse.ArgumentTypeError('one of ' + ', '.join(table))
    return convert


def generation_of(args):
    """The generation that the arguments name."""
    if args.seed_file:
        with open(args.seed_file, 'rb') as file:
            return links.Emulated(file.read(), args.gen, args.gstar)
    if args.seed is not None:
        return links.Emulated(args.seed, args.gen, args.gstar)
    if args.bytes and args.gstar:
        return links.Generation({'alice': args.id_alice, 'bob': args.id_bob}, args.gstar,
                                args.gen, links.from_file(args.bytes, args.base))
    sys.exit('ref.py: needs --seed-file or --seed, or --bytes and --gstar')


def cmd_emu(args, gen):
    show(id_alice=gen.ids['alice'], id_bob=gen.ids['bob'],
         nonce_alice=gen.nonces['alice'], nonce_bob=gen.nonces['bob'],
         L=gen.link, G=gen.ident, label=gen.label)


def cmd_stream(args, gen):
    data = gen.read(args.stream, args.offset, args.length)
    if args.raw:
        sys.stdout.buffer.write(data)
    else:
        print(data.hex())


def cmd_head(args, gen):
    print(gen.head(args.stream, args.segment).hex())


def cmd_key(args, gen):
    what = (gen, args.stream, args.klass, args.offset, args.size, args.context_type,
            args.context)
    ident = keys.name(*what)
    show(id=ident, uuid=keys.uuid(ident), key=keys.derive(*what))


def cmd_resolve(args, gen):
    print(keys.resolve(gen, args.id, args.size, args.context_type, args.context).hex())


def cmd_id(args, gen):
    fields = keys.unpack(args.ident)
    fields['stream'] = links.STREAM_NAMES[fields['stream']]
    fields.update(link=f"{fields['link']:04x}", tag=f"{fields['tag']:010x}")
    show(uuid=keys.uuid(args.ident), **fields)


def cmd_tag(args, gen):
    print(gen.confirm_tag(args.stream, args.offset, args.length, args.s).hex())


CIPHERS = {name: number for number, name in esp.CIPHERS.items()}


def epoch_of(args, gen):
    return epoch.Epoch(gen, links.stream_of(args.role, 'key'), args.unit, args.cipher,
                       args.spi, args.secret_number, args.secret)


def cmd_epoch(args, gen):
    one = epoch_of(args, gen)
    show(key_id=one.ident(), uuid=keys.uuid(one.ident()), key=one.key, base=one.base,
         tag=f'{one.tag:02x}', context=one.context)


def cmd_sak(args, gen):
    one = sak.of_id(gen, args.id, args.sci, args.an, args.suite)
    show(sak=one.key, context=one.context)
    if one.xpn:
        show(salt=one.salt, ssci=one.ssci)


def cmd_seal(args, gen):
    if args.cipher == CIPHERS['otp']:
        packet = esp.seal(gen, args.role, args.granule, args.spi, args.seq, args.payload,
                          args.next_header, args.esn)
    else:
        packet = epoch_of(args, gen).seal(args.counter, args.seq, args.payload,
                                          args.next_header, args.esn)
    print(packet.hex())


def cmd_open(args, gen):
    try:
        if args.cipher == CIPHERS['otp']:
            show(**esp.open_(gen, args.role, args.packet, args.esn, args.seq_high))
        else:
            secrets = {args.secret_number: args.secret} if args.secret else {}
            show(**epoch.open_(gen, args.role, args.packet, args.supply, args.cipher, secrets,
                               args.esn, args.seq_high))
    except esp.Refused as why:
        sys.exit(f'refused: {why}')


def write_json(path, value):
    if path:
        with open(path, 'w', encoding='ascii') as file:
            json.dump(value, file)


def check_flows(args, gen):
    """The ciphers with epochs: what the SAs are is told by a file."""
    with open(args.sas, encoding='ascii') as file:
        capture = flows.Flows(gen, json.load(file))
    if args.plain:
        capture.inner = Counter()
    for path in args.pcap:
        capture.read(path)
    result = capture.summary()
    if args.plain:
        capture.inner.subtract(pcap.ip_packets(args.plain))
        result['missing_plain'] = sum((+capture.inner).values())
    write_json(args.ranges_out, capture.ranges())
    if args.epochs_out:
        write_json(args.epochs_out, capture.epoch_list())
    print(json.dumps(result))
    bad = sum(capture.refused.values()) > args.allow_refused
    return int(bad or bool(result['problems']) or result.get('missing_plain', 0) > 0 or
               result['packets'] < args.min_packets)


def cmd_check_pcap(args, gen):
    if args.sas:
        return check_flows(args, gen)
    capture = check.Capture(gen, args.esn)
    for path in args.pcap:
        capture.read(path)
    result = capture.summary()
    if args.plain:
        result['missing_plain'] = capture.missing_plain(args.plain)
    write_json(args.ranges_out, capture.ranges())
    print(json.dumps(result))
    bad = sum(capture.refused.values()) > args.allow_refused
    return int(bad or result['reused'] > 0 or result['clear'] > 0 or
               result.get('missing_plain', 0) > 0 or result['packets'] < args.min_packets)


def secrets_of(args, gen):
    """(name, bytes) of what scan-ram looks for."""
    if args.keys:
        with open(args.keys, encoding='ascii') as file:
            return [('key ' + line.strip(),
                     keys.resolve(gen, bytes.fromhex(line.strip().replace('-', ''))))
                    for line in file]
    if args.ranges:
        with open(args.ranges, encoding='ascii') as file:
            ranges = json.load(file)
    else:
        ranges = [[args.stream, args.offset, args.length]]
    return [(f'{links.STREAM_NAMES[stream]}+{offset}', gen.read(stream, offset, length))
            for stream, offset, length in ranges]


def cmd_scan_ram(args, gen):
    secrets = secrets_of(args, gen)
    hits = scan.scan(args.dump, secrets)
    for at, name, where, length in hits[:40]:
        print(f'# {length} bytes of {name}, from byte {where}, at {at:#x}')
    print(f'{len(hits)} runs of {sum(len(data) for _, data in secrets)} bytes')
    return int(bool(hits) != (args.expect == 'found'))


def load_links(path):
    with (sys.stdin if path == '-' else open(path, encoding='utf-8')) as file:
        found = json.load(file)
    return found if isinstance(found, list) else [found]


def cmd_accounts(args, gen):
    one = accounts.find(load_links(args.file), args.link_name)
    problems = accounts.problems_of_end(one)
    if args.peer:
        other = accounts.find(load_links(args.peer), args.peer_link)
        problems += accounts.problems_of_end(other)
        problems += accounts.problems_across(one, other, args.lossless)
    for problem in problems:
        print(problem)
    return int(bool(problems))


def cmd_supply(args, gen):
    node = os.open(args.node, os.O_WRONLY)
    at, end = args.offset, args.offset + args.length
    if args.gap:
        os.write(node, RECORD.pack(gen.label, args.stream, 1, 0, args.offset))
        end = at
    size = links.segment_size(args.stream)
    while at < end:
        length = min(end - at, RECORD_MAX, size - at % size)
        record = RECORD.pack(gen.label, args.stream, 0, length, at)
        os.write(node, record + gen.read(args.stream, at, length) + args.s)
        at += length
    os.close(node)


def cmd_vector(args, gen):
    if args.section:
        print(example.block(args.section))
    else:
        print(json.dumps(example.as_hex(example.FILES[args.file]()), indent=1))


def cmd_selftest(args, gen):
    import selfcheck
    return selfcheck.main()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument('--seed-file')
    source.add_argument('--seed', type=bytes.fromhex, help='hex')
    source.add_argument('--gen', type=number, default=1, help='label of the generation')
    source.add_argument('--gstar', type=bytes.fromhex, help='G* in hex')
    source.add_argument('--id-alice', default='alice')
    source.add_argument('--id-bob', default='bob')
    source.add_argument('--bytes', help='file with the bytes of the stream')
    source.add_argument('--base', type=number, default=0, help='offset of its first byte')
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument('--stream', type=one_of(links.STREAMS), default=0)
    place.add_argument('--offset', type=number, default=0, help='in bytes')
    place.add_argument('--length', type=number, default=0)
    context = argparse.ArgumentParser(add_help=False)
    context.add_argument('--size', type=number, default=0, help='of the key, in bytes')
    context.add_argument('--class', dest='klass', type=one_of(links.CLASSES), default=3)
    context.add_argument('--context-type', type=one_of(links.CONTEXTS), default=0)
    context.add_argument('--context', type=bytes.fromhex, default=b'', help='hex')
    packet = argparse.ArgumentParser(add_help=False)
    packet.add_argument('--role', type=one_of(links.ROLES), default=1, help='sender')
    packet.add_argument('--esn', action='store_true')
    packet.add_argument('--cipher', type=one_of(CIPHERS), default=1)
    packet.add_argument('--unit', type=number, default=1, help='of the epoch')
    packet.add_argument('--secret', type=bytes.fromhex, default=b'', help='hex, of hybrid')
    packet.add_argument('--secret-number', type=number, default=0)

    def command(name, function, *parents, needs_source=True):
        sub = commands.add_parser(name, parents=[*([source] if needs_source else []), *parents])
        sub.set_defaults(function=function, needs_source=needs_source)
        return sub

    command('emu', cmd_emu)
    command('stream', cmd_stream, place).add_argument('--raw', action='store_true')
    command('head', cmd_head, place).add_argument('--segment', type=number, default=0)
    command('key', cmd_key, place, context)
    command('resolve', cmd_resolve, context).add_argument('--id', type=bytes.fromhex)
    command('id', cmd_id, needs_source=False).add_argument('ident', type=bytes.fromhex)
    command('tag', cmd_tag, place).add_argument('--s', type=bytes.fromhex, required=True)
    command('epoch', cmd_epoch, packet).add_argument('--spi', type=number, required=True)
    sub = command('sak', cmd_sak)
    sub.add_argument('--id', type=lambda text: bytes.fromhex(text.replace('-', '')),
                     required=True, help='key identifier, hex or a UUID')
    sub.add_argument('--sci', type=lambda text: int(text, 16), required=True, help='hex')
    sub.add_argument('--an', type=number, required=True)
    sub.add_argument('--suite', choices=sak.SUITES, required=True)
    sub = command('seal', cmd_seal, packet)
    sub.add_argument('--granule', type=number, default=1, help='under otp')
    sub.add_argument('--counter', type=number, default=0, help='under aes and hybrid')
    sub.add_argument('--spi', type=number, required=True)
    sub.add_argument('--seq', type=number, required=True)
    sub.add_argument('--payload', type=bytes.fromhex, required=True, help='hex')
    sub.add_argument('--next-header', type=number, default=4)
    sub = command('open', cmd_open, packet)
    sub.add_argument('--packet', type=bytes.fromhex, required=True, help='hex')
    sub.add_argument('--seq-high', type=number, default=0)
    sub.add_argument('--supply', type=number, default=1 << 17,
                     help="end of the receiver's supply, in units")
    sub = command('check-pcap', cmd_check_pcap)
    sub.add_argument('--pcap', action='append', required=True)
    sub.add_argument('--plain', help='capture that must have every decrypted packet')
    sub.add_argument('--esn', action='store_true')
    sub.add_argument('--sas', help='JSON: what the SAs are, see flows.py')
    sub.add_argument('--epochs-out', help='each epoch with its key ID')
    sub.add_argument('--allow-refused', type=number, default=0, help='packets, e.g. forged')
    sub.add_argument('--min-packets', type=number, default=1)
    sub.add_argument('--ranges-out', help='the slices used, for scan-ram')
    sub = command('scan-ram', cmd_scan_ram, place)
    sub.add_argument('--dump', required=True)
    sub.add_argument('--ranges', help='JSON list of [stream number, offset, length]')
    sub.add_argument('--keys', help='key IDs, one a line: keys made of whole units')
    sub.add_argument('--expect', choices=('none', 'found'), default='none')
    sub = command('accounts', cmd_accounts, needs_source=False)
    sub.add_argument('file')
    sub.add_argument('peer', nargs='?')
    sub.add_argument('--link', dest='link_name')
    sub.add_argument('--peer-link')
    sub.add_argument('--lossless', action='store_true')
    sub = command('supply', cmd_supply, place)
    sub.add_argument('--node', required=True)
    sub.add_argument('--gap', action='store_true', help='jump forward to the offset')
    sub.add_argument('--s', type=bytes.fromhex, default=b'',
                     help='16 bytes for the tag, of a link with confirmation')
    sub = command('vector', cmd_vector, needs_source=False)
    sub.add_argument('--section', help='as it stands in Documentation/wire-format.md')
    sub.add_argument('--file', choices=example.FILES, default='otp.json', help='in vectors/')
    command('selftest', cmd_selftest, needs_source=False)
    return parser.parse_args()


def main():
    args = arguments()
    gen = generation_of(args) if args.needs_source else None
    return args.function(args, gen) or 0


if __name__ == '__main__':
    sys.exit(main())
