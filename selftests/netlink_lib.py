# SPDX-License-Identifier: GPL-2.0-only
"""KTAP cases, the kernel's YNL client, and pairs of fed links, for selftests."""
import contextlib
import ctypes
import errno
import fcntl
import os
import pickle
import socket
import struct
import sys
import time
import traceback

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = os.path.join(HERE, 'doc', 'qkd.yaml')
sys.path.insert(0, os.path.join(HERE, 'ynl'))
from lib.ynl import Netlink, NlAttr, NlError, NlMsgs, YnlFamily  # noqa: E402

A2B_PAD, A2B_KEY, B2A_PAD, B2A_KEY = range(4)
QKD_IOC_KEY = 0xc0105141


def spec_once():
    """The client reads its spec for each socket: parse it for the first alone."""
    with open(SPEC, encoding='utf-8') as file:
        parsed = pickle.dumps(yaml.load(file, Loader=yaml.CSafeLoader))
    yaml.safe_load = lambda stream: pickle.loads(parsed)


spec_once()


class Ktap:
    """Test cases, each a KTAP line; a case collects what did not hold."""

    def __init__(self):
        self.number = self.failed = 0
        self.wrong = []
        print('TAP version 13', flush=True)

    @contextlib.contextmanager
    def case(self, name):
        self.wrong, self.checks, start = [], 0, time.monotonic()
        try:
            yield self
        except Exception:                       # a case fails, the rest runs
            self.wrong.append(traceback.format_exc())
        for text in self.wrong[:20]:
            print('# ' + text.rstrip().replace('\n', '\n#   '))
        self.number += 1
        self.failed += bool(self.wrong)
        print(f'{"not " if self.wrong else ""}ok {self.number} - {name}'
              f' ({self.checks} checks, {time.monotonic() - start:.1f} s)', flush=True)

    def expect(self, what, condition):
        self.checks += 1
        if not condition:
            self.wrong.append(what)
        return condition

    def equal(self, what, got, wanted):
        return self.expect(f'{what}: {got!r}, expected {wanted!r}', got == wanted)

    def finish(self):
        print(f'1..{self.number}')
        sys.exit(1 if self.failed else 0)


class Recorder:
    """A socket of which every received byte is kept."""

    heard = []

    def __init__(self, sock):
        self.sock = sock

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def recv(self, *args):
        data = self.sock.recv(*args)
        Recorder.heard.append(data)
        return data


class Qkd(YnlFamily):
    """The family through the kernel's client; do() and dump() raise NlError."""

    def __init__(self, recv_size=0):
        super().__init__(SPEC, schema='', recv_size=recv_size)
        self.sock = Recorder(self.sock)

    def close(self):
        self.sock.close()

    def listen(self):
        """Joins the group. (The client cannot take requests beside events.)"""
        with contextlib.suppress(OSError):      # it has sent, so it is bound
            self.sock.bind((0, 0))
        self.sock.setsockopt(Netlink.SOL_NETLINK, Netlink.NETLINK_ADD_MEMBERSHIP,
                             self.nlproto.genl_family['mcast']['events'])

    def events(self):
        self.check_ntf()
        queue, self.async_msg_queue = self.async_msg_queue, []
        return [entry['msg'] for entry in queue]

    def link(self, name):
        return self.do('link-get', {'name': name})

    def family_id(self):
        return self.nlproto.family_id

    def raw(self, cmd, payload, flags=0, version=1, reserved=0, nl_type=None,
            length=None):
        """Sends a message made by hand; (errno, extack) of the answer."""
        body = struct.pack('=BBH', cmd, version, reserved) + payload
        head = struct.pack('=IHHII', 16 + len(body) if length is None else length,
                           self.family_id() if nl_type is None else nl_type,
                           Netlink.NLM_F_REQUEST | Netlink.NLM_F_ACK | flags, 7, 0)
        self.sock.send(head + body)
        while True:
            for msg in NlMsgs(self.sock.recv(1 << 17)):
                if msg.done or msg.error:
                    return -msg.error, msg.extack or {}


def nla(kind, payload, length=None):
    size = 4 + len(payload) if length is None else length
    return struct.pack('=HH', size, kind) + payload + bytes(-len(payload) % 4)


def refused(k, qkd, op, attrs, number, attr=None, missing=None, text='', dump=False):
    """Expects a refusal with this errno, a message, and the attribute named."""
    what = f'{op} {attrs}'
    try:
        got = qkd.dump(op, attrs) if dump else qkd.do(op, attrs)
    except NlError as error:
        extack = error.nl_msg.extack or {}
        k.expect(f'{what}: {errno.errorcode.get(error.error, error.error)}, '
                 f'expected {errno.errorcode[number]} ({extack})',
                 error.error == number)
        k.expect(f'{what}: no message', extack.get('msg'))
        k.expect(f'{what}: said {extack.get("msg")!r}, expected {text!r}',
                 text in extack.get('msg', ''))
        if attr:
            k.expect(f'{what}: blames {extack}, expected {attr}',
                     extack.get('bad-attr', '').endswith('.' + attr))
        if missing:
            k.expect(f'{what}: misses {extack}, expected {missing}',
                     extack.get('miss-type') == missing)
        return True
    return k.expect(f'{what}: not refused: {got}', False)


class Pair:
    """Two user links of one namespace that are each other's peers, fed alike."""

    def __init__(self, qkd, name, confirm='none', **more):
        self.qkd, self.names = qkd, (name + 'a', name + 'b')
        self.index, self.files = [], []
        ids = (name + '.alice', name + '.bob')
        for role in (0, 1):
            reply = qkd.do('link-new', {
                'name': self.names[role], 'type': 'user',
                'role': ('alice', 'bob')[role], 'id': ids[role],
                'peer-id': ids[1 - role], 'confirm': confirm, **more})
            self.index.append(reply['index'])
        self.confirm = confirm
        self.hash = qkd.link(self.names[0])['hash']
        self.label = 0
        self.files = [os.open(f'/dev/qkd{i}', os.O_RDWR) for i in self.index]

    def begin(self, end=None, **wrong):
        """The generation handshake's outcome, at one end or both."""
        label = wrong.pop('label', self.label + 1)
        if end in (None, 0):
            self.gen = os.urandom(32)
        for role in (0, 1) if end is None else (end,):
            self.qkd.do('gen-begin', {
                'link-name': self.names[role], 'label': label,
                'generation': self.gen, 'hash': self.hash,
                'peer-role': ('bob', 'alice')[role],
                'pad-capacity': 16 << 20, 'key-capacity': 1 << 20, **wrong})
        self.label = label
        self.sent = []

    def open(self):
        for name in self.names:
            self.qkd.do('gen-open', {'link-name': name, 'label': self.label,
                                     'generation': self.gen})

    def supply(self, stream, length, ends=(1, 0), flip=False):
        """One block to both ends, rx first; its (offset, length)."""
        ends = ends if stream in (A2B_PAD, A2B_KEY) else tuple(1 - e for e in ends)
        block, s = os.urandom(length), b''
        if self.confirm == 'tag':
            s = os.urandom(16)
        offset = self.next(stream)
        head = struct.pack('=HBBIQ', self.label, stream, 0, length, offset)
        self.sent.append(block)
        for n, end in enumerate(ends):
            if flip and n:
                block = bytes([block[0] ^ 1]) + block[1:]
            os.write(self.files[end], head + block + s)
        return offset, length

    def next(self, stream):
        """The offset that a stream's next block has."""
        return self.qkd.link(self.names[0])['stat'][stream]['supplied']

    def up(self, key=1 << 15):
        """A generation with key in both directions."""
        self.begin()
        self.open()
        for stream in (A2B_KEY, B2A_KEY):
            self.supply(stream, key)

    def fetch(self, end, handle, size):
        """A handle's key, by the node."""
        buffer = bytearray(size)
        array = (ctypes.c_char * size).from_buffer(buffer)
        arg = struct.pack('=IIQ', handle, size, ctypes.addressof(array))
        fcntl.ioctl(self.files[end], QKD_IOC_KEY, arg)
        del array
        return bytes(buffer)

    def close(self):
        for file in self.files:
            os.close(file)
        self.files = []
        for name in self.names:
            with contextlib.suppress(NlError):
                self.qkd.do('link-del', {'name': name})


SYS_ADD_KEY, SYS_KEYCTL = 248, 250
PROCESS_KEYRING = -2
KEYCTL_REVOKE, KEYCTL_SETPERM, KEYCTL_UNLINK, KEYCTL_SET_TIMEOUT = 3, 5, 9, 15
LIBC = ctypes.CDLL(None, use_errno=True)


def add_key(description, payload, kind=b'logon', ring=PROCESS_KEYRING):
    """A key of the process, as external secrets are handed over; its number."""
    serial = LIBC.syscall(SYS_ADD_KEY, kind, description.encode(), payload, len(payload),
                          ring)
    if serial < 0:
        raise OSError(ctypes.get_errno(), 'add_key')
    return serial


def keyctl(*args):
    if LIBC.syscall(SYS_KEYCTL, *args) < 0:
        raise OSError(ctypes.get_errno(), f'keyctl {args}')


def in_child(function, *args):
    """Runs function in a child; its returned string, '' for all well."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(read)
            result = function(*args) or ''
        except BaseException:
            result = traceback.format_exc()
        os.write(write, result.encode()[:60000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, 'rb') as pipe:
        result = pipe.read().decode()
    os.waitpid(pid, 0)
    return result


def scaled(count):
    return max(1, count * int(os.environ.get('QKD_SCALE', '100')) // 100)
