# SPDX-License-Identifier: GPL-2.0-only
"""A small client of the netlink family qkd, driven by its YAML spec.

    qkd = Qkd()
    qkd.do('link-new', name='qkd0', type='user', role='alice', ...)
    qkd.do('key-get', link_name='qkd0', class_='export', size=32) -> dict
    qkd.dump('link-dump') -> [dict, ...]

Attributes are named as in the spec, with _ or -; enums by name or number; flags
lists as lists of names. A refusal raises Refused with errno, the message and
the name of the offending attribute.
"""
import errno
import os
import socket
import struct

import yaml

GENL_CTRL = 16
CTRL_GETFAMILY, CTRL_ATTR_ID, CTRL_ATTR_NAME, CTRL_ATTR_GROUPS = 3, 1, 2, 7
NLM_REQUEST, NLM_MULTI, NLM_ACK, NLM_DUMP = 1, 2, 4, 0x300
NLM_CAPPED, NLM_ACK_TLVS = 0x100, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, ADD_MEMBERSHIP, EXT_ACK = 270, 1, 11
RCVBUFFORCE = 33
NESTED = 0x8000
SCALARS = {'u8': 1, 'u16': 2, 'u32': 4, 'u64': 8}

HERE = os.path.dirname(os.path.abspath(__file__))
SPECS = (os.path.join(HERE, '..', 'doc', 'qkd.yaml'),
         os.path.join(HERE, '..', '..', 'Documentation', 'netlink', 'specs', 'qkd.yaml'))


class Refused(OSError):
    """A refusal, with .errno, .message and .attribute (or None)."""

    def __init__(self, number, message, attribute):
        super().__init__(number, message or os.strerror(number))
        self.message, self.attribute = message, attribute

    def __str__(self):
        name = errno.errorcode.get(self.errno, self.errno)
        return f'{name}: {self.message} (attribute {self.attribute})'


def attribute(kind, payload):
    return struct.pack('=HH', 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(data):
    """(type, payload, where the attribute begins)"""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from('=HH', data, at)
        if length < 4 or at + length > len(data):
            raise ValueError('malformed attributes')
        yield kind & 0x3fff, data[at + 4:at + length], at
        at += (length + 3) & ~3


class Spec:
    def __init__(self, path=None):
        path = path or next(p for p in SPECS if os.path.exists(p))
        with open(path, encoding='utf-8') as file:
            # pure Python takes a second of an emulated machine for this
            spec = yaml.load(file, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
        self.enums = {}
        for entry in spec['definitions']:
            if entry['type'] not in ('enum', 'flags'):
                continue
            names = [e if isinstance(e, str) else e['name'] for e in entry['entries']]
            first = entry.get('value-start', 0)
            self.enums[entry['name']] = {
                n: 1 << i if entry['type'] == 'flags' else first + i for i, n in enumerate(names)}
        self.sets = {s['name']: {a['name']: dict(a, number=i)
                                 for i, a in enumerate(s['attributes'], 1)}
                     for s in spec['attribute-sets']}
        self.ops = {op['name']: dict(op, number=i)
                    for i, op in enumerate(spec['operations']['list'], 1)}
        self.op_names = {op['number']: op['name'] for op in self.ops.values()}

    def scalar(self, attr, value):
        if isinstance(value, (list, tuple)):
            return sum(self.scalar(attr, v) for v in value)
        if isinstance(value, str):
            return self.enums[attr['enum']][value]
        return int(value)

    def encode(self, set_name, values):
        out = b''
        for name, value in values.items():
            attr = self.sets[set_name][name.rstrip('_').replace('_', '-')]
            if value is None or value is False and attr['type'] == 'flag':
                continue
            for item in value if attr.get('multi-attr') else [value]:
                nested = NESTED if attr['type'] == 'nest' else 0
                out += attribute(attr['number'] | nested, self.payload(attr, item))
        return out

    def payload(self, attr, value):
        if isinstance(value, Raw):
            return value
        if attr['type'] in SCALARS:
            order = 'big' if attr.get('byte-order') == 'big-endian' else 'little'
            return self.scalar(attr, value).to_bytes(SCALARS[attr['type']], order)
        if attr['type'] == 'string':
            return value.encode() + b'\0'
        if attr['type'] == 'nest':
            return self.encode(attr['nested-attributes'], value)
        return b'' if attr['type'] == 'flag' else bytes(value)

    def decode(self, set_name, data):
        by_number = {a['number']: a for a in self.sets[set_name].values()}
        out = {}
        for kind, payload, _ in attributes(data):
            attr = by_number.get(kind)
            if attr is None or attr['type'] == 'pad':
                continue
            value = self.value(attr, payload)
            if attr.get('multi-attr'):
                out.setdefault(attr['name'], []).append(value)
            else:
                out[attr['name']] = value
        return out

    def value(self, attr, payload):
        if attr['type'] in SCALARS:
            order = 'big' if attr.get('byte-order') == 'big-endian' else 'little'
            number = int.from_bytes(payload, order)
            if 'enum' not in attr:
                return number
            names = {v: n for n, v in self.enums[attr['enum']].items()}
            if attr.get('enum-as-flags'):
                return [n for v, n in names.items() if number & v]
            return names.get(number, number)
        if attr['type'] == 'string':
            return payload.rstrip(b'\0').decode()
        if attr['type'] == 'nest':
            return self.decode(attr['nested-attributes'], payload)
        return True if attr['type'] == 'flag' else payload


class Raw(bytes):
    """A payload that goes out as it is, to try what a client should not send."""


class Qkd:
    def __init__(self, spec=None):
        self.spec = spec or Spec()
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        self.sock.bind((0, 0))
        self.seq = 0
        self.groups = {}
        self.family = GENL_CTRL
        self.find_family()

    def close(self):
        self.sock.close()

    def find_family(self):
        reply = self.request(CTRL_GETFAMILY, attribute(CTRL_ATTR_NAME, b'qkd\0'), NLM_ACK, 2)[0]
        for kind, payload, _ in attributes(reply):
            if kind == CTRL_ATTR_ID:
                self.family = struct.unpack('=H', payload)[0]
            elif kind == CTRL_ATTR_GROUPS:
                for _, group, _ in attributes(payload):
                    fields = {k: p for k, p, _ in attributes(group)}
                    self.groups[fields[1].rstrip(b'\0').decode()] = \
                        struct.unpack('=I', fields[2])[0]

    def subscribe(self):
        """Room for the events of seconds in which nobody reads."""
        self.sock.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 8 << 20)
        self.sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, self.groups['events'])

    def request(self, command, body, flags, version=1):
        """The payloads of the replies, without the generic header."""
        self.seq += 1
        message = struct.pack('=BBH', command, version, 0) + body
        self.sock.send(struct.pack('=IHHII', 16 + len(message), self.family,
                                   NLM_REQUEST | flags, self.seq, 0) + message)
        replies = []
        while True:
            data = self.sock.recv(1 << 20)
            while data:
                length, kind, nlflags, seq, _ = struct.unpack_from('=IHHII', data)
                part, data = data[16:length], data[(length + 3) & ~3:]
                if seq != self.seq:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    self.ended(part, kind, nlflags, message)
                    return replies
                replies.append(part[4:])

    def ended(self, part, kind, flags, message):
        number = struct.unpack_from('=i', part)[0] if len(part) >= 4 else 0
        if not number:
            return
        text, name = None, None
        if flags & NLM_ACK_TLVS:
            at = 4 if kind == NLMSG_DONE else 20 + (0 if flags & NLM_CAPPED else len(message))
            for tlv, payload, _ in attributes(part[at:]):
                if tlv == 1:
                    text = payload.rstrip(b'\0').decode()
                elif tlv == 2:
                    name = self.name_at(message, struct.unpack('=I', payload)[0] - 16)
                elif tlv == 5:
                    name = struct.unpack('=I', payload)[0]
        if isinstance(name, int):       # NLMSGERR_ATTR_MISS_TYPE
            name = self.miss_name(message, name)
        raise Refused(-number, text, name)

    def set_of(self, message):
        return self.spec.ops[self.spec.op_names[message[0]]]['attribute-set']

    def miss_name(self, message, number):
        names = {a['number']: n for n, a in self.spec.sets[self.set_of(message)].items()}
        return names.get(number, number)

    def name_at(self, message, offset):
        """The attribute that an offset of an extack points at, nests included."""
        def search(set_name, data, base):
            for kind, payload, at in attributes(data):
                attr = next((a for a in self.spec.sets[set_name].values()
                             if a['number'] == kind), None)
                if base + at == offset:
                    return attr['name'] if attr else kind
                if attr and attr['type'] == 'nest':
                    found = search(attr['nested-attributes'], payload, base + at + 4)
                    if found:
                        return found
            return None

        if self.family == GENL_CTRL:
            return None
        return search(self.set_of(message), message[4:], 4)

    def do(self, op_name, **values):
        op = self.spec.ops[op_name]
        replies = self.request(op['number'], self.spec.encode(op['attribute-set'], values),
                               NLM_ACK)
        return self.spec.decode(op['attribute-set'], replies[0]) if replies else {}

    def dump(self, op_name):
        op = self.spec.ops[op_name]
        return [self.spec.decode(op['attribute-set'], reply)
                for reply in self.request(op['number'], b'', NLM_DUMP)]

    def events(self, seconds=0.0):
        """Events that came, waiting so long for the first."""
        out = []
        self.sock.settimeout(seconds or 0.001)
        try:
            while True:
                data = self.sock.recv(1 << 16)
                self.sock.settimeout(0.001)
                length, kind = struct.unpack_from('=IH', data)
                if kind == self.family:
                    out.append(self.spec.decode('event', data[20:length]))
        except (TimeoutError, BlockingIOError):
            pass
        finally:
            self.sock.settimeout(None)
        return out
