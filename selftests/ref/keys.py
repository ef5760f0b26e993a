# SPDX-License-Identifier: GPL-2.0-only
"""Key IDs and derived keys (DESIGN 3.2, 3.4)."""
from primitives import be, hkdf, hmac, len16

from link import KEY_SEGMENT, UNIT, is_key

FIELDS = (  # of a key ID, from the top: name and bits
    ('link', 16), ('label', 16), ('stream', 2), ('class', 3), ('offset_high', 11),
    ('version', 4), ('offset_mid', 12), ('variant', 2), ('offset_low', 16),
    ('units', 6), ('tag', 40))


def pack(fields):
    """Key ID from link, label, stream, class, offset (in units), units, tag."""
    offset = fields['offset']
    if offset >> 39:
        raise ValueError('offsets end at 2^39 units')
    values = dict(fields, version=8, variant=2, offset_high=offset >> 28,
                  offset_mid=offset >> 16 & 0xfff, offset_low=offset & 0xffff)
    number = 0
    for name, bits in FIELDS:
        if values[name] >> bits:
            raise ValueError(f'{name} does not fit {bits} bits')
        number = number << bits | values[name]
    return be(number, 16)


def unpack(ident):
    """The fields of a key ID. Raises ValueError for what is none of ours."""
    number = int.from_bytes(ident, 'big')
    values = {}
    for name, bits in reversed(FIELDS):
        values[name] = number & ((1 << bits) - 1)
        number >>= bits
    if values.pop('version') != 8 or values.pop('variant') != 2:
        raise ValueError('not a UUID version 8')
    values['offset'] = (values.pop('offset_high') << 28 | values.pop('offset_mid') << 16 |
                        values.pop('offset_low'))
    if not is_key(values['stream']):
        raise ValueError('names a pad stream')
    if values['class'] not in (1, 2, 3):
        raise ValueError('unknown class')
    if not values['units']:
        raise ValueError('no units')
    return values


def uuid(ident):
    text = ident.hex()
    return '-'.join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def tag(k_seg, ident, context_type, context):
    """The 40 bits at the end of a key ID."""
    bare = ident[:11] + bytes(5)
    return hmac(k_seg, bare, be(context_type, 1), len16(context))[:5]


def units_of(size):
    """A key takes as many whole units as it has bytes."""
    return (size + UNIT - 1) // UNIT


def info(gen, stream, klass, offset, size, context_type, context, label=b'qkd key v1'):
    return (label + b'\0' + gen.link + gen.ident + be(stream, 1) + be(klass, 1) +
            be(offset, 8) + be(size, 4) + be(context_type, 1) + len16(context))


def derive(gen, stream, klass, offset, size, context_type=0, context=b''):
    """The key whose first unit is at byte `offset` of a key stream."""
    k_seg = gen.head(stream, offset // KEY_SEGMENT)
    key = b''
    for i in range(units_of(size)):
        at = offset + i * UNIT
        key += hkdf(k_seg, gen.read(stream, at, UNIT),
                    info(gen, stream, klass, at, size, context_type, context))
    return key[:size]


def name(gen, stream, klass, offset, size, context_type=0, context=b''):
    """The key ID of that key."""
    fields = {'link': int.from_bytes(gen.link[:2], 'big'), 'label': gen.label,
              'stream': stream, 'class': klass, 'offset': offset // UNIT,
              'units': units_of(size), 'tag': 0}
    bare = pack(fields)
    k_seg = gen.head(stream, offset // KEY_SEGMENT)
    return bare[:11] + tag(k_seg, bare, context_type, context)


def resolve(gen, ident, size=0, context_type=0, context=b''):
    """What the peer does with a key ID: checks it, gives the key. Size 0 is
    all that the ID's units give."""
    fields = unpack(ident)
    if be(fields['link'], 2) != gen.link[:2]:
        raise ValueError('of another link')
    if fields['label'] != gen.label:
        raise ValueError('of another generation')
    size = size or fields['units'] * UNIT
    if units_of(size) != fields['units']:
        raise ValueError('the size does not fit the units')
    offset = fields['offset'] * UNIT
    if offset % KEY_SEGMENT < UNIT:
        raise ValueError("names a segment's head")
    if offset // KEY_SEGMENT != (offset + fields['units'] * UNIT - 1) // KEY_SEGMENT:
        raise ValueError('crosses a segment')
    k_seg = gen.head(fields['stream'], offset // KEY_SEGMENT)
    if tag(k_seg, ident, context_type, context) != ident[11:]:
        raise ValueError('wrong tag')
    return derive(gen, fields['stream'], fields['class'], offset, size, context_type, context)
