#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Two key providers by SKIP (draft-cisco-skip) for selftests, with faults that can
be switched on. They share keys, as two with a QKD link between them would.

    skip_server.py keys DIR                 psk, other: pre-shared keys; dh, certificate
    skip_server.py serve DIR [OPTION...]    says "ready PORT PORT" when they listen

The first address is the provider "site-a", the second one "site-b". Encryptors
have the identity "encryptor" and the key of DIR/psk.
"""
import argparse
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.parse

import peer_server

IDENTITY = 'encryptor'
SYSTEMS = ('site-a', 'site-b')
SIZES = (128, 192, 256)
SUITES = ('DHE-PSK-AES256-GCM-SHA384', 'PSK-AES256-GCM-SHA384')


def make_keys(folder):
    os.makedirs(folder, exist_ok=True)
    for name in ('psk', 'other'):
        with open(os.open(f'{folder}/{name}', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                  'w', encoding='ascii') as file:
            print(os.urandom(32).hex(), file=file)
    quiet = {'check': True, 'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    subprocess.run(['openssl', 'genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt',
                    'group:ffdhe2048', '-out', f'{folder}/dh'], **quiet)
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
                    '-keyout', f'{folder}/certificate', '-out', f'{folder}/chain'], **quiet)


class Refused(Exception):
    """An answer other than 200."""


class Pool:
    """Keys that one provider has given away and the other one has not yet."""

    def __init__(self, record):
        self.lock = threading.Lock()
        self.keys = {}
        self.last = None
        self.record = record

    def take_new(self, here, there, size, again):
        with self.lock:
            if again and self.last:
                return self.last
            self.last = os.urandom(16).hex(), os.urandom(size // 8)
            self.keys[self.last[0]] = (self.last[1], here, there)
            self.record.add(*self.last)
            return self.last

    def take(self, here, there, name, keep):
        with self.lock:
            key, maker, reader = self.keys.get(name.lower(), (None, None, None))
            if (maker, reader) != (there, here):
                raise Refused(400)
            if not keep:
                del self.keys[name.lower()]
            return name.lower(), key


def text_of(name, key):
    return json.dumps({'keyId': name, 'key': key.hex()}).encode()


# What becomes of a key: fault -> function of the ID and the key.
ANSWERS = {
    'malformed': lambda name, key: text_of(name, key)[:-10],
    'garbage': lambda name, key: text_of(name, key).replace(b'"key":', b'"key" '),
    'html': lambda name, key: b'<html><body>It works!</body></html>',
    'empty': lambda name, key: b'',
    'array': lambda name, key: b'[' + text_of(name, key) + b']',
    'short': lambda name, key: text_of(name, key[:16]),
    'long': lambda name, key: text_of(name, key + key[:1]),
    'odd': lambda name, key: json.dumps({'keyId': name, 'key': key.hex()[1:]}).encode(),
    'no-hex': lambda name, key: json.dumps({'keyId': name, 'key': 'g' + key.hex()[1:]}).encode(),
    'no-id': lambda name, key: json.dumps({'key': key.hex()}).encode(),
    'other-id': lambda name, key: text_of(os.urandom(16).hex(), key),
    'twice': lambda name, key: text_of(name, key)[:-1] + b',"key":"' + key.hex().encode() + b'"}',
    'huge': lambda name, key: text_of(name, key)[:-1] + b',"junk":"' + b'x' * (1 << 20) + b'"}',
    'differ': lambda name, key: text_of(name, bytes([key[0] ^ 1]) + key[1:]),
    # what does no harm
    'upper': lambda name, key: text_of(name, key).upper().replace(b'KEYID', b'keyId')
                                                 .replace(b'"KEY"', b'"key"'),
    'id-48': lambda name, key: text_of(name + os.urandom(8).hex(), key),
}
CODES = ('400', '401', '403', '404', '405', '418', '500', '503', '504')


class Handler(peer_server.Handler):
    def wrap(self, sock):
        context = self.server.context(self.server.fault('')[0])
        sock = context.wrap_socket(sock, server_side=True)
        self.server.log(f'{sock.version()} {sock.cipher()[0]}')
        return sock

    def talk(self):
        file = self.request.makefile('rb')
        while True:
            line = file.readline(4096).decode('ascii').split()
            while file.readline(4096) not in (b'\r\n', b''):
                pass
            if len(line) != 3:
                return
            method, target, _ = line
            try:
                if method != 'GET':
                    raise Refused(405)
                self.answer(target, 200, *self.serve(urllib.parse.urlparse(target)))
            except Refused as refused:
                self.answer(target, refused.args[0], b'')

    def answer(self, target, code, body, missing=0):
        self.server.log(f'{self.server.name} {target} {code}')
        self.request.sendall(f'HTTP/1.1 {code} as you wish\r\nContent-Type: application/json\r\n'
                             f'Content-Length: {len(body) + missing}\r\n\r\n'.encode() + body)

    def serve(self, url):
        query = urllib.parse.parse_qs(url.query)
        call = {'/capabilities': 'capabilities', '/entropy': 'entropy',
                '/key': 'new'}.get(url.path, 'key')
        fault, _ = self.misbehave(call)
        if fault in CODES:
            raise Refused(int(fault))
        if call == 'capabilities':
            return [json.dumps({'entropy': True, 'key': True, 'algorithm': 'reference',
                                'localSystemID': self.server.name,
                                'remoteSystemID': ['nobody', self.server.peer[:-1] + '*']}).encode()]
        if call == 'entropy':
            size = int(query.get('minentropy', ['256'])[0])
            return [json.dumps({'randomStr': os.urandom(size // 8).hex(),
                                'minentropy': size}).encode()]
        name, key = self.key(call, url.path, query, fault)
        body = ANSWERS.get(fault, text_of)(name, key)
        return (body[:-1], 1) if fault == 'cut' else [body]

    def key(self, call, path, query, fault):
        here, there = self.server.name, query.get('remoteSystemID', [''])[0]
        if there != self.server.peer:
            raise Refused(400)
        if call == 'new':
            size = int(query.get('size', ['256'])[0])
            if size not in SIZES:
                raise Refused(400)
            return self.server.pool.take_new(here, there, size, fault == 'repeat')
        path = re.fullmatch('/key/([0-9a-fA-F]+)', path)
        if not path:
            raise Refused(404)
        # what is answered wrongly stays, so that it can be asked for again
        return self.server.pool.take(here, there, path[1][:32], bool(fault))


class Server(peer_server.Server):
    calls = ('capabilities', 'new', 'key', 'entropy')
    faults = (*peer_server.Server.faults, *ANSWERS, *CODES, 'cut', 'repeat', 'tls13', 'psk-only',
              'certificate', 'other-psk')

    def __init__(self, address, args, index, pool):
        super().__init__(address, Handler, args)
        self.pool, self.name, self.peer = pool, SYSTEMS[index], SYSTEMS[1 - index]

    def context(self, fault):
        folder = self.args.dir
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if fault == 'certificate':          # what any web server does
            context.load_cert_chain(f'{folder}/chain', f'{folder}/certificate')
            return context
        with open(f'{folder}/{"other" if fault == "other-psk" else "psk"}',
                  encoding='ascii') as file:
            psk = bytes.fromhex(file.read())
        context.set_ciphers(':'.join(SUITES[fault == 'psk-only':]))
        context.load_dh_params(f'{folder}/dh')
        context.set_psk_server_callback(lambda name: psk if name == IDENTITY else b'')
        if fault == 'tls13':
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        else:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('keys').add_argument('dir')
    peer_server.arguments(commands.add_parser('serve'))
    args = parser.parse_args()
    if args.command == 'keys':
        make_keys(args.dir)
        return
    pool = Pool(peer_server.Record(args.record))
    addresses = args.address or ['127.0.0.1:0'] * 2
    peer_server.serve([Server(address, args, index, pool)
                       for index, address in enumerate(addresses)])


main()
