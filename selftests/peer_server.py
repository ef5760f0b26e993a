# SPDX-License-Identifier: GPL-2.0-only
"""What servers of key for selftests have in common: an address in a network
namespace, TLS, faults that a file switches on, a log and a record of keys.

What is wrong is in a file, read at each connection and each call: "" for nothing,
or "[CALL] FAULT [ARGUMENT]" with a FAULT and a CALL of the server's own tables.
"""
import os
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time


class Gone(OSError):
    """This connection has ended, as it was told to."""


class Handler(socketserver.BaseRequestHandler):
    """A connection; wrap() and talk() are the protocol's."""

    def handle(self):
        server = self.server
        if server.fault('')[0] == 'silent-tls':
            time.sleep(600)
        self.request.settimeout(60)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.request = self.wrap(self.request)
        except (OSError, ssl.SSLError) as error:
            server.log(f'TLS: {error}')
            return
        try:
            self.talk()
        except (OSError, ssl.SSLError):
            pass
        finally:
            try:
                self.request.close()
            except OSError:
                pass

    def misbehave(self, call):
        """Faults that are the same in any protocol; returns the fault and its argument."""
        fault, argument = self.server.fault(call)
        if fault == 'hang':
            self.server.log(f'{call} hangs')
            self.request.recv(1)
            raise Gone
        if fault == 'slow':
            time.sleep(int(argument) / 1000)
        if fault == 'reset':
            self.server.log(f'{call} resets')
            raise Gone
        return fault, argument


class Server(socketserver.ThreadingTCPServer):
    """Listens at [NETNS@]HOST:PORT."""
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    calls = ()                      # that a fault may be meant for
    faults = ('hang', 'slow', 'reset', 'silent-tls')

    def __init__(self, address, handler, args):
        netns, _, address = address.rpartition('@')
        host, _, port = address.rpartition(':')
        with open('/proc/self/ns/net', encoding='ascii') as here:
            if netns:
                with open(f'/run/netns/{netns}', encoding='ascii') as there:
                    os.setns(there.fileno(), os.CLONE_NEWNET)
            super().__init__((host, int(port)), handler)
            os.setns(here.fileno(), os.CLONE_NEWNET)
        self.args = args

    def fault(self, call):
        """The fault of this call and its argument, "" if there is none."""
        try:
            with open(self.args.fault, encoding='ascii') as file:
                words = file.read().split()
        except (OSError, TypeError):
            return '', ''
        if words and words[0] in self.calls:
            words = words[1:] if words[0] == call else []
        if words and words[0] not in self.faults:
            sys.exit(f'no fault "{words[0]}"')
        return (words + ['', ''])[:2]

    def log(self, line):
        if self.args.log:
            with open(self.args.log, 'a', encoding='utf-8') as file:
                print(line, file=file)

    def handle_error(self, request, client_address):
        self.log(f'error: {sys.exc_info()[1]!r}')


class Record:
    """A line "ID KEY" of each key, for who wants to look for it elsewhere."""

    def __init__(self, path):
        self.file = open(path, 'a', encoding='ascii') if path else None
        self.lock = threading.Lock()

    def add(self, name, key):
        if self.file:
            with self.lock:
                print(name, key.hex(), file=self.file, flush=True)


def arguments(parser):
    parser.add_argument('dir', help='of the certificates or keys')
    parser.add_argument('--address', action='append', help='[NETNS@]HOST:PORT; twice: two ends')
    parser.add_argument('--fault', help='file that says what is wrong')
    parser.add_argument('--log', help='file for a line per answer, without keys')
    parser.add_argument('--record', help='file for "ID KEY" of each key')


def serve(servers):
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print('ready', *(server.server_address[1] for server in servers), flush=True)
    signal.pause()
