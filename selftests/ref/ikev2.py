# SPDX-License-Identifier: GPL-2.0-only
"""The initiator's half of IKEv2, as little as it takes to be refused, or not.

x25519, AES-CBC-256, HMAC-SHA-256-128, PRF-HMAC-SHA-256; pre-shared keys; RFC 8784's
PPKs; RFC 9370's additional key exchanges in IKE_INTERMEDIATE. All that it names may be
anything, right or wrong.

    peer = Initiator(sock)
    peer.init()
    peer.auth('alice.example', psk, ppk_id=b'...', ppk=b'...')  -> True if it is taken
"""
import hmac
import os
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from primitives import be, hmac as prf

IKE_SA_INIT, IKE_AUTH, INFORMATIONAL, IKE_INTERMEDIATE = 34, 35, 37, 43
SA, KE, IDI, IDR, AUTH, NONCE, NOTIFY, DELETE, TSI, TSR, SK = (33, 34, 35, 36, 39, 40, 41, 42,
                                                               44, 45, 46)
NO_PROPOSAL_CHOSEN, AUTHENTICATION_FAILED = 14, 24
COOKIE, USE_PPK, PPK_IDENTITY, INTERMEDIATE_EXCHANGE_SUPPORTED = 16390, 16435, 16436, 16438
ENCR, PRF, INTEG, DH, ESN, ADDKE1 = 1, 2, 3, 4, 5, 6
X25519 = 31
IKE_TRANSFORMS = ((ENCR, 12, 256), (PRF, 5, 0), (INTEG, 12, 0), (DH, X25519, 0))
ESP_TRANSFORMS = ((ENCR, 20, 256), (ESN, 0, 0))
FQDN, PPK_ID_FIXED = 2, 2
INITIATOR, RESPONSE = 0x08, 0x20
HEAD, ICV, BLOCK = 28, 16, 16
TRIES, WAIT = 6, 2.0


class Refused(Exception):
    """The peer answered with a notify of this number instead."""

    def __init__(self, number):
        super().__init__(f'notify {number}')
        self.number = number


def prf_plus(key, seed, length):
    out, block = b'', b''
    while len(out) < length:
        block = prf(key, block, seed, bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def transform(kind, number, bits):
    attribute = struct.pack('>HH', 0x800e, bits) if bits else b''
    return struct.pack('>BBH', kind, 0, number) + attribute


def security(protocol, spi, transforms):
    """The body of a SA payload of one proposal."""
    body = b''
    for left, one in reversed(list(enumerate(reversed(transforms)))):
        data = transform(*one)
        body += struct.pack('>BBH', 3 if left else 0, 0, 4 + len(data)) + data
    return struct.pack('>BBHBBBB', 0, 0, 8 + len(spi) + len(body), 1, protocol, len(spi),
                       len(transforms)) + spi + body


def notify(number, data=b''):
    return NOTIFY, struct.pack('>BBH', 0, 0, number) + data


def selector(address):
    """The body of a TS payload: all of an IPv4 address."""
    raw = bytes(map(int, address.split('.')))
    return struct.pack('>BxxxBBHHH', 1, 7, 0, 16, 0, 65535) + raw + raw


def chain(payloads, last=0):
    """Payloads in a row, and the type of the first."""
    out = b''
    for i, (_, body) in enumerate(payloads):
        following = payloads[i + 1][0] if i + 1 < len(payloads) else last
        out += struct.pack('>BBH', following, 0, 4 + len(body)) + body
    return (payloads[0][0] if payloads else last), out


def unchain(kind, data):
    out = []
    while kind and len(data) >= 4:
        following, _, length = struct.unpack_from('>BBH', data)
        out.append((kind, data[4:length]))
        kind, data = following, data[length:]
    return out


def bodies(payloads, kind):
    return [body for one, body in payloads if one == kind]


def notifies(payloads):
    """{number: data}"""
    return {struct.unpack_from('>H', body, 2)[0]: body[4 + body[1]:]
            for body in bodies(payloads, NOTIFY)}


def refusal(payloads):
    """The error among the notifies."""
    for number in notifies(payloads):
        if number < 16384:
            raise Refused(number)


class Initiator:
    """Of one IKE_SA, by a UDP socket that is connected to the peer. `private` saves
    making a key; `methods` are those of additional key exchanges."""

    def __init__(self, sock, methods=(), ppk=True, private=None):
        self.sock, self.methods, self.ppk = sock, methods, ppk
        self.private = private or X25519PrivateKey.generate()
        self.spi_i, self.spi_r = os.urandom(8), bytes(8)
        self.nonce_i, self.number = os.urandom(32), 0
        self.int_auth = None

    def first(self, cookie=None):
        """The first message."""
        transforms = IKE_TRANSFORMS + tuple((ADDKE1 + i, number, 0)
                                            for i, number in enumerate(self.methods))
        payloads = [notify(COOKIE, cookie)] if cookie else []
        payloads += [(SA, security(1, b'', transforms)),
                     (KE, struct.pack('>HH', X25519, 0) +
                      self.private.public_key().public_bytes_raw()),
                     (NONCE, self.nonce_i)]
        payloads += [notify(USE_PPK)] * self.ppk
        payloads += [notify(INTERMEDIATE_EXCHANGE_SUPPORTED)] * bool(self.methods)
        return self.header(IKE_SA_INIT, *chain(payloads))

    def header(self, exchange, kind, body):
        return (self.spi_i + self.spi_r + struct.pack(
            '>BBBBII', kind, 0x20, exchange, INITIATOR, self.number, HEAD + len(body)) + body)

    def answer(self, message):
        """What comes back for it; it is sent again until something does."""
        self.sock.settimeout(WAIT)
        for _ in range(TRIES):
            self.sock.send(message)
            try:
                while True:
                    data = self.sock.recv(1 << 16)
                    number = struct.unpack_from('>I', data, 20)[0]
                    if data[:8] == self.spi_i and data[19] & RESPONSE and number == self.number:
                        return data
            except TimeoutError:
                pass
        raise TimeoutError(f'no answer to message {self.number}')

    def init(self):
        """IKE_SA_INIT, and the keys of it."""
        self.sent = self.first()
        self.got = self.answer(self.sent)
        payloads = unchain(self.got[16], self.got[HEAD:])
        cookie = notifies(payloads).get(COOKIE)
        if cookie:
            self.sent = self.first(cookie)
            self.got = self.answer(self.sent)
            payloads = unchain(self.got[16], self.got[HEAD:])
        refusal(payloads)
        self.spi_r = self.got[8:16]
        self.nonce_r = bodies(payloads, NONCE)[0]
        public = X25519PublicKey.from_public_bytes(bodies(payloads, KE)[0][4:])
        self.derive(prf(self.nonce_i + self.nonce_r, self.private.exchange(public)))
        self.number = 1

    def derive(self, skeyseed):
        seed = self.nonce_i + self.nonce_r + self.spi_i + self.spi_r
        (self.d, self.ai, self.ar, self.ei, self.er, self.pi, self.pr) = struct.unpack(
            '32s' * 7, prf_plus(skeyseed, seed, 7 * 32))

    def seal(self, exchange, payloads):
        """An encrypted message, and what RFC 9242 authenticates of it."""
        kind, plain = chain(payloads)
        pad = -(len(plain) + 1) % BLOCK
        iv = os.urandom(BLOCK)
        aes = Cipher(algorithms.AES(self.ei), modes.CBC(iv)).encryptor()
        body = iv + aes.update(plain + bytes(pad) + bytes([pad])) + aes.finalize()
        body = struct.pack('>BBH', kind, 0, 4 + len(body) + ICV) + body
        message = self.header(exchange, SK, body + bytes(ICV))[:-ICV]
        covered = self.covered(message, plain)
        return message + prf(self.ai, message)[:ICV], covered

    @staticmethod
    def covered(message, plain):
        """A and P of RFC 9242, 3.3.2, with the lengths as if not encrypted."""
        return (message[:24] + be(HEAD + 4 + len(plain), 4) + message[HEAD:HEAD + 2] +
                be(4 + len(plain), 2) + plain)

    def open(self, message):
        if not hmac.compare_digest(prf(self.ar, message[:-ICV])[:ICV], message[-ICV:]):
            raise ValueError('ICV')
        body = message[HEAD + 4:-ICV]
        aes = Cipher(algorithms.AES(self.er), modes.CBC(body[:BLOCK])).decryptor()
        plain = aes.update(body[BLOCK:]) + aes.finalize()
        plain = plain[:-1 - plain[-1]]
        return unchain(message[HEAD], plain), self.covered(message, plain)

    def exchange(self, exchange, payloads):
        """An encrypted request; the payloads of the answer, and what both cover."""
        message, sent = self.seal(exchange, payloads)
        answer, got = self.open(self.answer(message))
        self.number += 1
        refusal(answer)
        return answer, sent, got

    def intermediate(self, method, value):
        """An additional key exchange; the peer's value."""
        answer, sent, got = self.exchange(
            IKE_INTERMEDIATE, [(KE, struct.pack('>HH', method, 0) + value)])
        before = self.int_auth or (b'', b'')
        self.int_auth = prf(self.pi, before[0], sent), prf(self.pr, before[1], got)
        return bodies(answer, KE)[0][4:]

    def add(self, secret):
        """The secret of that exchange (RFC 9370, 2.2.2)."""
        self.derive(prf(self.d, secret, self.nonce_i, self.nonce_r))

    def proof(self, identity, psk, ppk):
        """AUTH, by a pre-shared key."""
        pi = prf_plus(ppk, self.pi, 32) if ppk else self.pi
        covered = self.sent + self.nonce_r + prf(pi, identity)
        if self.int_auth:
            covered += self.int_auth[0] + self.int_auth[1] + be(self.number, 4)
        return prf(prf(psk, b'Key Pad for IKEv2'), covered)

    def auth_request(self, identity, psk, ppk_id=None, ppk=None, to=None, inner=None):
        """The payloads of IKE_AUTH; `inner`: addresses of a CHILD_SA."""
        me = bytes([FQDN, 0, 0, 0]) + identity.encode()
        mine, its = inner or ('10.1.0.1', '10.2.0.1')
        payloads = [(IDI, me)]
        if to:
            payloads.append((IDR, bytes([FQDN, 0, 0, 0]) + to.encode()))
        payloads += [(AUTH, bytes([2, 0, 0, 0]) + self.proof(me, psk, ppk)),
                     (SA, security(3, os.urandom(4), ESP_TRANSFORMS)),
                     (TSI, selector(mine)), (TSR, selector(its))]
        if ppk_id is not None:
            payloads.append(notify(PPK_IDENTITY, ppk_id))
        return payloads

    def auth(self, *args, **values):
        """IKE_AUTH; Refused if the peer does."""
        answer, _, _ = self.exchange(IKE_AUTH, self.auth_request(*args, **values))
        if not bodies(answer, AUTH):
            raise ValueError('no AUTH')

    def delete(self):
        self.exchange(INFORMATIONAL, [(DELETE, struct.pack('>BBH', 1, 0, 0))])


def fixed(ident):
    """The PPK_ID of a key ID, as bytes of text."""
    return bytes([PPK_ID_FIXED]) + ident.encode()
