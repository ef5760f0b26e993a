#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Two key managers by ETSI GS QKD 004 for selftests, with faults that can be switched
on. Both have the same key streams, as two with a QKD link between them would.

    etsi004_server.py serve DIR [OPTION...]    says "ready PORT PORT" when they listen

Certificates are those of "kme_server.py certificates DIR NAME...". The application
that opens a stream first is at one end of it, the next one, which has to know its
Key_stream_ID, at the other.
"""
import argparse
import json
import os
import ssl
import struct
import threading
import time
import uuid

import peer_server

VERSION = bytes((1, 0, 1))
OPEN_CONNECT, GET_KEY, CLOSE = 2, 4, 8
# As faults name them; "take" is GET_KEY by who came to a stream of the other end's.
NAMES = {OPEN_CONNECT: 'open', GET_KEY: 'get', CLOSE: 'close'}
QOS = struct.Struct('>7I256s')
CHUNK_MAX = 16384
NO_STREAM = bytes(16)


class Refused(Exception):
    """A status other than 0."""


class Stream:
    """Key that grows at a rate; each end takes each chunk once."""

    def __init__(self, qos, rate, opener):
        self.qos, self.opener = qos, opener
        self.chunks = {}
        self.taken = (set(), set())
        self.names = [None, None]
        self.begun = time.monotonic()
        self.rate = rate

    @property
    def size(self):
        return self.qos[0]

    def available(self):
        """Chunks that there have been so far."""
        if not self.rate:
            return 1 << 32
        return int((time.monotonic() - self.begun) * self.rate / 8 / self.size)

    def chunk(self, index):
        return self.chunks.setdefault(index, os.urandom(self.size))

    def take(self, end, index):
        if index in self.taken[end]:
            raise Refused(2)
        if index >= self.available():
            raise Refused(2)
        chunk = self.chunk(index)
        self.taken[end].add(index)
        if index in self.taken[1 - end]:
            self.chunks[index] = None       # both ends have it
        return chunk


class Streams:
    def __init__(self, args):
        self.lock = threading.RLock()
        self.streams = {}
        self.record = peer_server.Record(args.record)
        self.rate, self.hops = args.rate, args.hops

    def open(self, end, who, qos, name):
        """Returns status, QoS, name."""
        with self.lock:
            if name == NO_STREAM:
                name = uuid.uuid4().bytes
            stream = self.streams.get(name)
            if stream is None:
                if not 1 <= qos[0] <= CHUNK_MAX:
                    return 7, (min(max(qos[0], 1), CHUNK_MAX), *qos[1:]), NO_STREAM
                mimetype = qos[7].rstrip(b'\0')
                if mimetype not in (b'', b'application/json'):
                    return 7, (*qos[:7], b'application/json'), NO_STREAM
                stream = self.streams[name] = Stream(qos, self.rate, end)
            if stream.names[end] not in (None, who):
                return 5, stream.qos, NO_STREAM
            stream.names[end] = who
            return (0 if stream.names[1 - end] else 1), stream.qos, name

    def get(self, end, name, index, room, padding):
        with self.lock:
            stream = self.streams.get(name)
            if not stream or not stream.names[end]:
                raise Refused(4)
            if not stream.names[1 - end]:
                raise Refused(3)
            metadata = b''
            if stream.qos[7].rstrip(b'\0'):
                metadata = json.dumps({'age': 1200, 'hops': self.hops,
                                       **({'note': 'x' * padding} if padding else {})}).encode()
            if len(metadata) > room:
                raise Refused(8, len(metadata))
            key = stream.take(end, index)
            self.record.add(f'{name.hex()}/{index}', key)
            return key, metadata

    def call(self, end, service, payload):
        """What faults call it."""
        stream = self.streams.get(payload[:16])
        return 'take' if service == GET_KEY and stream and stream.opener != end else NAMES[service]

    def close(self, end, name):
        with self.lock:
            stream = self.streams.get(name)
            if not stream or not stream.names[end]:
                raise Refused(4)
            stream.names[end] = None
            if not any(stream.names):
                del self.streams[name]


def frame(service, payload):
    return VERSION + struct.pack('>BI', service, len(payload)) + payload


def get_answer(index, key, metadata):
    return (struct.pack('>III', 0, index, len(key)) + key +
            struct.pack('>I', len(metadata)) + metadata)


# What becomes of a chunk: fault -> function of index, key and metadata to a payload.
CHUNKS = {
    'short': lambda i, k, m: get_answer(i, k[:-1], m),
    'long': lambda i, k, m: get_answer(i, k + k[:1], m),
    'half': lambda i, k, m: get_answer(i, k[:len(k) // 2], m),
    'cut-key': lambda i, k, m: get_answer(i, k, m)[:-len(m) - 10],
    'no-metadata': lambda i, k, m: get_answer(i, k, b''),
    'bad-metadata': lambda i, k, m: get_answer(i, k, b'{"age":1200,"hops":'),
    'odd-metadata': lambda i, k, m: get_answer(i, k, b'{"age":-1,"hops":"0"}'),
    'more-metadata': lambda i, k, m: get_answer(i, k, m + b' ' * 8192),
    'trailing': lambda i, k, m: get_answer(i, k, m) + b'x',
    'hops': lambda i, k, m: get_answer(i, k, b'{"age":7,"hops":3}'),
    'back': lambda i, k, m: get_answer(max(i - 1, 0), k, m),
    'differ': lambda i, k, m: get_answer(i, bytes([k[0] ^ 1]) + k[1:], m),
}
STATUSES = tuple(f'status-{n}' for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 4294967295))


class Handler(peer_server.Handler):
    def wrap(self, sock):
        context = self.server.context(self.server.fault('')[0])
        sock = context.wrap_socket(sock, server_side=True)
        subject = dict(x[0] for x in (sock.getpeercert() or {}).get('subject', []))
        self.who = subject.get('commonName', 'nobody')
        return sock

    def receive(self, size):
        data = b''
        while len(data) < size:
            more = self.request.recv(size - len(data))
            if not more:
                raise peer_server.Gone
            data += more
        return data

    def talk(self):
        while True:
            header = self.receive(8)
            service, size = struct.unpack('>3xBI', header)
            payload = self.receive(size)
            if header[:3] != VERSION or service not in NAMES:
                return
            call = self.server.streams.call(self.server.end, service, payload)
            fault, argument = self.misbehave(call)
            answer = frame(service + 1, self.answer(service, payload, fault, argument))
            answer = self.spoil(answer, fault)
            for start in range(0, len(answer), 1 if fault == 'drip' else len(answer)):
                self.request.sendall(answer[start:start + (1 if fault == 'drip' else len(answer))])
            if fault == 'cut':
                raise peer_server.Gone

    @staticmethod
    def spoil(answer, fault):
        """Faults of a whole frame."""
        return {'version': lambda: b'\1\0\0' + answer[3:],
                'service': lambda: answer[:3] + b'\6' + answer[4:],
                'other-service': lambda: answer[:3] + bytes([answer[3] ^ 6]) + answer[4:],
                'huge': lambda: answer[:4] + b'\xff\xff\xff\xff' + answer[8:],
                'empty': lambda: answer[:4] + bytes(4),
                'cut': lambda: answer[:-1],
                'html': lambda: b'HTTP/1.1 400 Bad Request\r\n\r\n',
                'twice': lambda: answer + answer,
                }.get(fault, lambda: answer)()

    def answer(self, service, payload, fault, argument):
        status, rest = 0, b''
        try:
            if fault.startswith('status-'):
                raise Refused(int(fault[7:]), int(argument or 0))
            if service == OPEN_CONNECT:
                return self.open(payload, fault)
            if service == GET_KEY:
                return self.get(payload, fault, argument)
            self.server.streams.close(self.server.end, payload)
        except Refused as refused:
            status = refused.args[0]
            if service == GET_KEY and len(refused.args) > 1:
                rest = struct.pack('>III', 0, 0, refused.args[1])
        self.note(service, status)
        return struct.pack('>I', status) + rest

    def note(self, service, status, what=''):
        self.server.log(f'{self.server.end} {self.who} {NAMES[service]} {status} {what}'.rstrip())

    def open(self, payload, fault):
        source, destination, rest = payload.split(b'\0', 2)
        qos, name = QOS.unpack(rest[:-16]), rest[-16:]
        status, qos, name = self.server.streams.open(self.server.end, self.who, qos, name)
        self.note(OPEN_CONNECT, status, f'{source.decode()} {destination.decode()} {name.hex()}')
        if fault == 'other-stream':
            name = os.urandom(16)
        if fault == 'no-stream':
            name = NO_STREAM
        if fault == 'chunk':
            qos = (qos[0] + 16, *qos[1:])
        return struct.pack('>I', status) + QOS.pack(*qos) + name

    def get(self, payload, fault, argument):
        name, index, room = struct.unpack('>16sII', payload)
        if fault == 'jump':                 # what is between is nobody's
            index += int(argument)
        key, metadata = self.server.streams.get(self.server.end, name, index, room,
                                                1500 if fault == 'wide' else 0)
        self.note(GET_KEY, 0, f'{name.hex()} {index}')
        return CHUNKS.get(fault, get_answer)(index, key, metadata)


class Server(peer_server.Server):
    calls = (*NAMES.values(), 'take')
    faults = (*peer_server.Server.faults, *CHUNKS, *STATUSES, 'version', 'service',
              'other-service', 'huge', 'empty', 'cut', 'html', 'twice', 'drip', 'jump', 'wide',
              'other-stream', 'no-stream', 'chunk', 'no-ask', 'other-ca')

    def __init__(self, address, args, end, streams):
        super().__init__(address, Handler, args)
        self.end, self.streams = end, streams

    def context(self, fault):
        name = 'other' if fault == 'other-ca' else 'kme'
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f'{self.args.dir}/{name}.pem', f'{self.args.dir}/{name}.key')
        context.load_verify_locations(f'{self.args.dir}/ca.pem')
        context.verify_mode = ssl.CERT_NONE if fault == 'no-ask' else ssl.CERT_REQUIRED
        return context


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    command = commands.add_parser('serve')
    peer_server.arguments(command)
    command.add_argument('--rate', type=int, default=0, help='of a stream, in bit/s')
    command.add_argument('--hops', type=int, default=0, help='that its key has')
    args = parser.parse_args()
    streams = Streams(args)
    addresses = args.address or ['127.0.0.1:0'] * 2
    peer_server.serve([Server(address, args, end, streams)
                       for end, address in enumerate(addresses)])


if __name__ == '__main__':
    main()
