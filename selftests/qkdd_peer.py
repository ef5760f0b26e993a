# SPDX-License-Identifier: GPL-2.0-only
"""A peer of qkdd(8) for selftests that says what it is told: bob.example, to
alice.example (Documentation/abi/qkdd-channel.md)."""
import os
import socket
import ssl
import struct

PKI = '/run/qkd/pki/'
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'doc/qkdd-channel.md')
(HELLO, PING, LINK, GONE, OFFER, BEGUN, TAG, VERDICT, EDGE, SECY, SAK, ANSWER, SWITCH,
 DRAINED, MKA, SUPPLY, SUPPLIED) = range(1, 18)
INSTALLED, REFUSED = 1, 2
A2B_PAD, A2B_KEY, B2A_PAD = 0, 1, 2


def name(text):
    return bytes([len(text)]) + text.encode()


def frame(kind, seq, body=b'', sender='bob.example', receiver='alice.example', version=1):
    rest = struct.pack('>BBQ', version, kind, seq) + name(sender) + name(receiver) + body
    return struct.pack('>I', len(rest)) + rest


def unframe(data):
    """Type and fields of a message without its length."""
    kind, rest = data[1], data[10:]
    for _ in range(2):
        rest = rest[1 + rest[0]:]
    return kind, rest


class Peer:
    """link: what `qkd -j link show` says of alice's."""

    def __init__(self, link, address='10.1.0.1'):
        self.link = link
        context = ssl.create_default_context(cafile=PKI + 'ca.pem')
        context.load_cert_chain(PKI + 'bob.pem', PKI + 'bob.key')
        raw = socket.create_connection((address, 7676), timeout=15)
        self.tls = context.wrap_socket(raw, server_hostname='alice.example')
        self.seq = 0
        self.heard = b''

    def send(self, *frames):
        self.tls.sendall(b''.join(frames))

    def next(self, kind, body=b'', **other):
        self.seq += 1
        return frame(kind, self.seq, body, **other)

    def hello(self):
        self.send(self.next(HELLO))

    def wait_closed(self):
        """The daemon closes; without a goodbye if it likes."""
        try:
            while self.tls.recv(4096):
                pass
        except (ssl.SSLError, ConnectionError):
            pass

    def show(self, role=2, state=3):
        """Bob's LINK, in alice's own generation."""
        link = self.link
        body = name('qkd0') + bytes([role, 1, 1, 2, state, 0]) + \
            struct.pack('>QQ', 1 << 24, 1 << 20) + bytes.fromhex(link['hash']) + \
            struct.pack('>H', link.get('label', 0)) + \
            bytes.fromhex(link.get('generation', '00' * 32)) + bytes(16)
        self.send(self.next(LINK, body))

    def block(self, kind, stream, offset, rest=b'', label=None):
        body = name('qkd0') + struct.pack('>HBQ', label or self.link['label'], stream, offset)
        return self.next(kind, body + rest)

    def sa(self, kind, sci, an, ident, rest=b''):
        """A message about an SA of macsec0."""
        body = name('qkd0') + name('macsec0') + struct.pack('>QB', sci, an) + ident
        self.send(self.next(kind, body + rest))

    def secy(self, sci, suite, ready=1):
        self.send(self.next(SECY, name('qkd0') + name('macsec0') +
                            struct.pack('>QBB', sci, suite, ready)))

    def messages(self):
        """Those that have come; raises ConnectionError when there will be no more."""
        self.tls.settimeout(0.1)
        try:
            data = self.tls.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self.heard += data
        except TimeoutError:
            pass
        except ssl.SSLError as why:
            raise ConnectionResetError from why
        out = []
        while len(self.heard) > 4:
            size = 4 + struct.unpack_from('>I', self.heard)[0]
            if len(self.heard) < size:
                break
            out.append(unframe(self.heard[4:size]))
            self.heard = self.heard[size:]
        return out

    def saks(self, kind=SAK):
        """SCI, AN and key ID of messages of that type that have come."""
        found = []
        for what, fields in self.messages():
            if what == kind:
                fields = fields[len(name('qkd0') + name('macsec0')):]
                found.append((*struct.unpack_from('>QB', fields), fields[9:25], fields[25:]))
        return found
