#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A KME by ETSI GS QKD 014 for selftests, with faults that can be switched on.

All SAEs come to this one server and share its pool, as they would that of two
KMEs. Who calls is the common name of the client's certificate.

    kme_server.py certificates DIR SAE...   ca, kme, other (of another CA) and SAEs
    kme_server.py serve DIR [OPTION...]     says "ready" when it listens

What is wrong is in a file, read at each connection and each request: "" for
nothing, or "[@SAE] [CALL] FAULT [ARGUMENT]" with a FAULT of the tables below.
With an SAE, only its requests go wrong.
"""
import argparse
import base64
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

SIZE, SIZE_MIN, SIZE_MAX = 256, 64, 1024
NUMBER_MAX = 128


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates(folder, saes):
    """DIR/NAME.{pem,key}; the KME's has the name kme.example and no other."""
    os.makedirs(folder, exist_ok=True)
    key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    for ca in ('ca', 'other-ca'):
        run('openssl', 'req', '-x509', *key, '-subj', f'/CN={ca}', '-keyout',
            f'{folder}/{ca}.key', '-out', f'{folder}/{ca}.pem',
            '-addext', 'keyUsage=critical,keyCertSign')
    for name in ('kme', 'other', 'stranger', *saes):
        ca = 'other-ca' if name in ('other', 'stranger') else 'ca'
        who = 'kme.example' if name in ('kme', 'other') else name
        run('openssl', 'req', '-x509', *key, '-CA', f'{folder}/{ca}.pem', '-CAkey',
            f'{folder}/{ca}.key', '-subj', f'/CN={who}', '-keyout',
            f'{folder}/{name}.key', '-out', f'{folder}/{name}.pem',
            '-addext', 'basicConstraints=CA:FALSE',
            *(['-addext', f'subjectAltName=DNS:{who}'] if who == 'kme.example' else []))


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, code, message=None):
        super().__init__()
        self.code, self.message = code, message


class Pool:
    """Keys that were given to one SAE and not yet to the other."""

    def __init__(self, record):
        self.lock = threading.Lock()
        self.keys = {}
        self.last = None
        self.record = record

    def take_new(self, master, slave, number, size, again):
        with self.lock:
            if again and self.last:
                return [self.last]
            keys = [(str(uuid.uuid4()), os.urandom(size // 8)) for _ in range(number)]
            for name, key in keys:
                self.keys[name] = (key, (master, slave))
                if self.record:
                    print(name, key.hex(), file=self.record, flush=True)
            self.last = keys[-1]
            return keys

    def take(self, master, slave, names, keep):
        with self.lock:
            found = [self.keys.get(name) for name in names]
            if not all(found):
                raise Refused(400, 'one or more keys specified are not found on KME')
            if any(owners != (master, slave) for _, owners in found):
                raise Refused(401)
            if not keep:
                for name in names:
                    self.keys.pop(name, None)
            return [(name, key) for name, (key, _) in zip(names, found)]


def integer(value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(400, 'a number is no integer')
    return value


def key_request(body, most):
    """Number and size."""
    if body.get('extension_mandatory'):
        raise Refused(400, 'not all extension_mandatory parameters are supported')
    number, size = integer(body.get('number', 1)), integer(body.get('size', SIZE))
    if size % 8:
        raise Refused(400, 'size shall be a multiple of 8')
    if not SIZE_MIN <= size <= SIZE_MAX or not 1 <= number <= most:
        raise Refused(400, 'size or number is out of range')
    return number, size


# What becomes of the text of an answer: fault -> function of list of (ID, key).
def entries(keys):
    return [{'key_ID': name, 'key': base64.b64encode(key).decode()} for name, key in keys]


def text_of(value):
    return json.dumps(value).encode()


CONTAINERS = {
    'malformed': lambda keys: text_of({'keys': entries(keys)})[:-20],
    'garbage': lambda keys: text_of({'keys': entries(keys)}).replace(b'"key":', b'"key" ', 1),
    'html': lambda keys: b'<html><body>It works!</body></html>',
    'array': lambda keys: text_of(entries(keys)),
    'empty': lambda keys: b'',
    'none': lambda keys: text_of({'keys': []}),
    'fewer': lambda keys: text_of({'keys': entries(keys[1:])}),
    'more': lambda keys: text_of({'keys': entries(keys + [(str(uuid.uuid4()), keys[0][1])])}),
    'twice': lambda keys: text_of({'keys': entries(keys[:1] * max(len(keys), 2))}),
    'short': lambda keys: text_of({'keys': entries([(n, k[:len(k) // 2]) for n, k in keys])}),
    'long': lambda keys: text_of({'keys': entries([(n, k + k[:1]) for n, k in keys])}),
    'other-id': lambda keys: text_of({'keys': entries([(str(uuid.uuid4()), k)
                                                       for _, k in keys])}),
    'no-uuid': lambda keys: text_of({'keys': entries([('key-1', k) for _, k in keys])}),
    'base64': lambda keys: text_of({'keys': [{**e, 'key': '*' + e['key'][1:]}
                                             for e in entries(keys)]}),
    'huge': lambda keys: text_of({'keys': entries(keys), 'junk': 'x' * (1 << 20)}),
    'differ': lambda keys: text_of({'keys': entries([(n, bytes([k[0] ^ 1]) + k[1:])
                                                     for n, k in keys])}),
    # deviations that do no harm
    'upper': lambda keys: text_of({'keys': entries([(n.upper(), k) for n, k in keys])}),
    'keys': lambda keys: text_of({'Keys': entries(keys)}),
    'member': lambda keys: text_of({'keys': [{**e, 'master_SAE_ID': 'x'}
                                             for e in entries(keys)]}),
}
CODES = ('400', '401', '404', '409', '412', '418', '500', '503', '504')
REST = ('hang', 'slow', 'reset', 'cut', 'redirect', 'repeat', 'reusable', 'count', 'integers',
        'silent-tls', 'no-ask', 'other-ca')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def setup(self):
        fault = self.server.fault('')
        self.sae = None
        if fault == 'silent-tls':
            time.sleep(600)
        context = self.server.contexts[fault if fault in self.server.contexts else '']
        self.request.settimeout(60)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.request = context.wrap_socket(self.request, server_side=True)
            subject = dict(x[0] for x in (self.request.getpeercert() or {}).get('subject', []))
            self.sae = subject.get('commonName', 'nobody')
        except (OSError, ssl.SSLError) as error:
            self.server.log(f'TLS: {error}')
        super().setup()

    def handle(self):
        try:
            if self.sae:
                super().handle()
        except (OSError, ssl.SSLError):
            pass

    def finish(self):
        try:
            super().finish()
        except (OSError, ssl.SSLError, ValueError):
            pass

    def log_message(self, format, *args):   # pylint: disable=redefined-builtin
        pass

    def answer(self, code, body=b'', more=0):
        self.server.log(f'{self.sae} {self.command} {self.path} {code}')
        self.send_response(code)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body) + more))
        if code == 302:
            self.send_header('Location', self.path)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, refused):
        body = {'message': refused.message or 'as you wish', 'details': []}
        self.answer(refused.code, b'' if refused.code == 401 else text_of(body))

    def misbehave(self, fault, argument):
        """Faults that need no request."""
        if fault in CODES:
            raise Refused(int(fault), argument)
        if fault == 'hang':
            self.server.log(f'{self.sae} {self.command} {self.path} hangs')
            self.connection.recv(1)
            raise OSError
        if fault == 'slow':
            self.server.log(f'{self.sae} {self.command} {self.path} waits')
            time.sleep(int(argument) / 1000)
        if fault == 'reset':
            self.server.log(f'{self.sae} {self.command} {self.path} resets')
            raise OSError
        if fault == 'redirect':
            raise Refused(302)

    def serve(self, body):
        path = re.fullmatch(r'/api/v1/keys/([^/]+)/(status|enc_keys|dec_keys)',
                            urllib.parse.urlparse(self.path).path)
        if not path:
            raise Refused(404, 'no such call')
        other, call = urllib.parse.unquote(path[1]), path[2]
        fault, argument = (self.server.fault(call, self.sae).split(maxsplit=1) + ['', ''])[:2]
        self.misbehave(fault, argument)
        if call == 'status':
            return self.status(other, fault)
        try:
            body = json.loads(body or b'{}')
        except ValueError:
            raise Refused(400, 'malformed JSON') from None
        if call == 'enc_keys':
            keys = self.server.pool.take_new(self.sae, other, *key_request(body, self.server.args.most),
                                             fault == 'repeat')
        else:
            names = [entry['key_ID'] for entry in body['key_IDs']]
            if len(names) > self.server.args.most:
                raise Refused(400, 'too many keys at once')
            # what is answered wrongly stays, so that it can be asked for again
            keys = self.server.pool.take(other, self.sae, names, bool(fault))
        make = CONTAINERS.get(fault, lambda keys: text_of({'keys': entries(keys)}))
        return self.answer(200, make(keys)[:-1 if fault == 'cut' else None],
                           more=fault == 'cut')

    def status(self, other, fault):
        name = (lambda text: sum(text.encode())) if fault == 'integers' else str
        self.answer(200, CONTAINERS[fault]([]) if fault in ('html', 'malformed') else text_of({
            'source_KME_ID': name('kme-a'), 'target_KME_ID': name('kme-b'),
            'master_SAE_ID': name(self.sae), 'slave_SAE_ID': name(other),
            'key_size': SIZE, 'min_key_size': SIZE_MIN, 'max_key_size': SIZE_MAX,
            'stored_key_count': 25000, 'max_key_count': 10 if fault == 'count' else 100000,
            'max_key_per_request': self.server.args.most, 'max_SAE_ID_count': 0}))

    def do_POST(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        try:
            self.serve(body)
        except Refused as refused:
            self.refuse(refused)
        except (KeyError, TypeError):
            self.refuse(Refused(400, 'the request lacks something'))
        except OSError:
            self.close_connection = True

    do_GET = do_POST


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, args, pool):
        netns, _, address = address.rpartition('@')
        host, _, port = address.rpartition(':')
        with open('/proc/self/ns/net', encoding='ascii') as here:
            if netns:
                with open(f'/run/netns/{netns}', encoding='ascii') as there:
                    os.setns(there.fileno(), os.CLONE_NEWNET)
            super().__init__((host, int(port)), Handler)
            os.setns(here.fileno(), os.CLONE_NEWNET)
        self.args, self.pool = args, pool
        self.contexts = {'': self.context('kme', True), 'no-ask': self.context('kme', False),
                         'other-ca': self.context('other', True)}

    def context(self, name, ask):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f'{self.args.dir}/{name}.pem', f'{self.args.dir}/{name}.key')
        context.load_verify_locations(f'{self.args.dir}/ca.pem')
        context.verify_mode = ssl.CERT_REQUIRED if ask else ssl.CERT_NONE
        return context

    def fault(self, call, sae=None):
        """The fault of this call, "" if there is none."""
        try:
            with open(self.args.fault, encoding='ascii') as file:
                words = file.read().strip()
        except (OSError, TypeError):
            return ''
        first, _, rest = words.partition(' ')
        if first.startswith('@'):
            words = rest if first[1:] == sae else ''
            first, _, rest = words.partition(' ')
        if first in ('status', 'enc_keys', 'dec_keys'):
            words = rest if first == call else ''
        known = words.partition(' ')[0]
        if known and known not in (*CONTAINERS, *CODES, *REST):
            sys.exit(f'kme_server: no fault "{known}"')
        return words

    def log(self, line):
        if self.args.log:
            with open(self.args.log, 'a', encoding='utf-8') as file:
                print(line, file=file)


def serve(args):
    record = open(args.record, 'a', encoding='ascii') if args.record else None
    pool = Pool(record)
    servers = []
    for address in args.address or ['127.0.0.1:0']:
        server = Server(address, args, pool)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    print('ready', *(server.server_address[1] for server in servers), flush=True)
    signal.pause()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    make = commands.add_parser('certificates')
    make.add_argument('dir')
    make.add_argument('sae', nargs='+')
    run_it = commands.add_parser('serve')
    run_it.add_argument('dir', help='of the certificates')
    run_it.add_argument('--address', action='append', help='[NETNS@]HOST:PORT; more than once')
    run_it.add_argument('--most', type=int, default=NUMBER_MAX, help='keys in a request')
    run_it.add_argument('--fault', help='file that says what is wrong')
    run_it.add_argument('--log', help='file for a line per answer, without keys')
    run_it.add_argument('--record', help='file for "ID KEY" of each key')
    args = parser.parse_args()
    if args.command == 'certificates':
        certificates(args.dir, args.sae)
    else:
        serve(args)


main()
