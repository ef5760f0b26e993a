# SPDX-License-Identifier: GPL-2.0-only
"""Two `user` links in one namespace that are the ends of one association, fed
with the same bytes: the supplier of the selftests."""
import accounts
import genl
import node
from link import (ROLES, Generation, generation, link_hash, next_label, segment_size,
                  tx_role)
from primitives import be, chacha20, sha256

S_BYTES = bytes(range(0x40, 0x50))
CAPACITY = {'pad_capacity': 1 << 20, 'key_capacity': 1 << 18}
DEFAULTS = {**CAPACITY, 'confirm': 'none', 'export': ['control', 'export'],
            'reserve_control': 0, 'reserve_rekey': 0, 'reserve_export': 0}


class End:
    def __init__(self, qkd, name, role, ids, **options):
        self.qkd, self.name, self.role = qkd, name, ROLES[role]
        peer = 'bob' if role == 'alice' else 'alice'
        options = {**DEFAULTS, **options}
        self.capacity = {k: options[k] for k in CAPACITY}
        reply = qkd.do('link-new', name=name, type='user', role=role, id=ids[role],
                       peer_id=ids[peer], **options)
        self.index = reply['index']
        self.node = node.Node(self.index)

    def show(self):
        return self.qkd.do('link-get', index=self.index)

    def accounts(self):
        return accounts.streams(self.show())

    def remove(self):
        self.node.close()
        self.qkd.do('link-del', index=self.index)

    def do(self, op, **values):
        return self.qkd.do(op, link_index=self.index, **values)

    def get(self, size, klass='export', context_type='none', context=b'', count=None):
        """[(key ID, handle)]"""
        values = {'context_type': context_type, 'context': context} if context_type != 'none' \
            else {}
        if count:
            values['count'] = count
        reply = self.do('key-get', class_=klass, size=size, **values)
        return [(i['id'], i['handle']) for i in reply['issued']]


class Pair:
    """`alice` and `bob`, each an End."""

    def __init__(self, names=('ta', 'tb'), ids=None, qkd=None, **options):
        self.qkd = qkd or genl.Qkd()
        self.ids = ids or {'alice': 'site-a', 'bob': 'site-b'}
        self.options = options
        self.alice = End(self.qkd, names[0], 'alice', self.ids, **options)
        self.bob = End(self.qkd, names[1], 'bob', self.ids, **options)
        self.confirm = options.get('confirm') == 'tag'
        self.label, self.number, self.gen = 0, 0, None

    def ends(self):
        return self.alice, self.bob

    def close(self):
        for end in self.ends():
            end.remove()

    def begin(self, label=None, start=True):
        """The next generation at both ends, opened."""
        self.number += 1
        self.label = label or next_label(self.label)
        link = link_hash(self.ids['alice'], self.ids['bob'])
        ident = generation(link, sha256(b'a', be(self.number, 8))[:16],
                           sha256(b'b', be(self.number, 8))[:16])
        self.gen = Generation(self.ids, ident, self.label, self.bytes_of)
        for end in self.ends():
            end.do('gen-begin', **self.handshake(end))
        if start:
            for end in self.ends():
                end.do('gen-open', label=self.label, generation=ident)
        self.next = [0, 0, 0, 0]
        return self.gen

    def handshake(self, end):
        return {'label': self.label, 'generation': self.gen.ident, 'hash': self.gen.link,
                'peer_role': 3 - end.role, **end.capacity}

    def bytes_of(self, stream, offset, length):
        return chacha20(sha256(b'pair', be(self.number, 8), be(stream, 1)), offset, length)

    def tx_end(self, stream):
        return self.alice if tx_role(stream) == ROLES['alice'] else self.bob

    def rx_end(self, stream):
        return self.bob if tx_role(stream) == ROLES['alice'] else self.alice

    def pieces(self, stream, length):
        """Cuts what comes next into blocks that a record can hold."""
        at, end = self.next[stream], self.next[stream] + length
        while at < end:
            piece = min(end - at, 65536, segment_size(stream) - at % segment_size(stream))
            yield at, piece
            at += piece

    def feed(self, stream, length):
        """The next bytes of a stream, rx first; on links with confirmation,
        confirmed."""
        for at, piece in self.pieces(stream, length):
            data = self.gen.read(stream, at, piece)
            s = S_BYTES if self.confirm else b''
            self.rx_end(stream).node.supply(self.label, stream, at, data, s)
            self.tx_end(stream).node.supply(self.label, stream, at, data, s)
            self.next[stream] = at + piece
            if self.confirm:
                self.confirm_block(stream, at, piece)

    def block(self, stream, offset, length):
        return {'label': self.label, 'stream': stream, 'offset': offset, 'length': length}

    def confirm_block(self, stream, offset, length):
        """Tag and verdict; gives the verdict."""
        what = self.block(stream, offset, length)
        tag = self.rx_end(stream).do('block-tag', **what)['tag']
        verdict = self.tx_end(stream).do('block-confirm', tag=tag, **what)['verdict']
        self.rx_end(stream).do('block-confirm', verdict=verdict, **what)
        return verdict

    def gap(self, stream, offset):
        """A jump forward at both ends, to where both say that they are."""
        for end in self.ends():
            end.node.gap(self.label, stream, offset)
        self.next[stream] = self.alice.accounts()[stream]['supplied']

    def problems(self, lossless=False):
        """What does not add up, at either end or across them."""
        one, other = self.alice.show(), self.bob.show()
        return (accounts.problems_of_end(one) + accounts.problems_of_end(other) +
                accounts.problems_across(one, other, lossless))

