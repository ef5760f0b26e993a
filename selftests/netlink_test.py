# SPDX-License-Identifier: GPL-2.0-only
"""The selftest netlink; run by netlink.sh."""
import concurrent.futures
import contextlib
import errno
import itertools
import os
import random
import socket
import struct
import subprocess
import threading
import time

from netlink_lib import (A2B_KEY, A2B_PAD, B2A_KEY, KEYCTL_REVOKE, KEYCTL_SET_TIMEOUT,
                         KEYCTL_SETPERM, KEYCTL_UNLINK, PROCESS_KEYRING, Ktap, Netlink,
                         NlError, Pair, Qkd, Recorder, add_key, in_child, keyctl, nla,
                         refused, scaled)

E = errno
USER = {'type': 'user', 'role': 'alice', 'id': 'here', 'peer-id': 'there'}
NESTED = 0x8000
V4 = {'src': bytes([192, 0, 2, 1]), 'dst': bytes([192, 0, 2, 2])}
V6 = {'src': bytes.fromhex('20010db8' + '00' * 11 + '01'),
      'dst': bytes.fromhex('20010db8' + '00' * 11 + '02')}

COMMANDS = ('link-new link-del link-set link-get link-dump gen-begin gen-open '
            'gen-end block-tag block-confirm key-get key-peek key-commit key-drop '
            'key-get-by-id status esp-add esp-replace esp-del esp-get esp-dump '
            'event esp-set esp-flush block-get block-compare macsec-bind macsec-unbind '
            'macsec-get macsec-dump macsec-sa-add macsec-sa-del macsec-sa-get '
            'macsec-sa-dump wg-set wg-del wg-get wg-dump').split()
CMD = {name: number for number, name in enumerate(COMMANDS, 1)}
DUMPS = [name for name in COMMANDS if name.endswith('-dump')]
# requests that name a macsec or WireGuard device, and no link
OF_DEVICES = [name for name in COMMANDS if name.startswith(('macsec-', 'wg-')) and
              name not in (*DUMPS, 'macsec-bind', 'wg-set')]
OF_LINKS = [name for name in COMMANDS if name not in DUMPS + OF_DEVICES + ['event']]


def new(q, name, **attrs):
    return q.do('link-new', {'name': name, **USER, **under(attrs)})


def under(attrs):
    return {name.replace('_', '-'): value for name, value in attrs.items()}


def delete(q, *names):
    for name in names:
        q.do('link-del', {'name': name})


def names(q):
    return sorted(link['name'] for link in q.dump('link-dump', {}))


def settings(q, name):
    """A link as link-get shows it, without what time alone changes."""
    return q.link(name)


def test_family(k, q):
    with k.case('every operation of the spec is there'):
        k.equal('operations', sorted(op.name for op in q.msgs.values()),
                sorted(COMMANDS))
        for name in COMMANDS:
            k.equal(name, q.msgs[name].value, CMD[name])
        k.equal('groups', list(q.nlproto.genl_family['mcast']), ['events'])


def test_new(k, q):
    with k.case('link-new: reply, defaults, and all that was given'):
        reply = new(q, 'first')
        k.equal('reply', sorted(reply), ['index', 'name'])
        k.equal('name', reply['name'], 'first')
        link = q.link('first')
        for name, value in {
                'index': reply['index'], 'type': 'user', 'role': 'alice',
                'id': 'here', 'peer-id': 'there', 'confirm': 'tag', 'max-age': 0,
                'pad-keep': 60000, 'key-keep': 300000, 'pad-capacity': 16 << 20,
                'key-capacity': 1 << 20, 'pad-low': 1 << 20, 'key-low': 1 << 16,
                'reserve-control': 512, 'reserve-rekey': 512, 'reserve-export': 0,
                'admin': 'up', 'state': 'down', 'reason': 'never-begun',
                'sas': 0, 'handles': 0, 'node': True}.items():
            k.equal(name, link.get(name), value)
        k.expect('export is empty', not link['export'])
        k.expect('no generation yet', 'generation' not in link and 'stat' not in link)
        k.expect('a node', os.path.exists(f'/dev/qkd{reply["index"]}'))
        delete(q, 'first')
        k.expect('no node', not os.path.exists(f'/dev/qkd{reply["index"]}'))

        given = {'role': 'bob', 'confirm': 'none', 'max-age': 5000, 'pad-keep': 100,
                 'key-keep': 101, 'pad-capacity': 1024, 'key-capacity': 4 << 20,
                 'pad-low': 1024, 'key-low': 0, 'reserve-control': 64,
                 'reserve-rekey': 0, 'reserve-export': 1 << 20,
                 'id': 'i' * 255, 'peer-id': 'p' * 255}
        q.do('link-new', {**USER, 'name': 'n' * 15, 'export': ['export'], **given})
        link = q.link('n' * 15)
        for name, value in given.items():
            k.equal(name, link[name], value)
        k.equal('export', set(link['export']), {'export'})
        delete(q, 'n' * 15)

        new(q, 'small', pad_capacity=4096, key_capacity=2048)
        link = q.link('small')
        k.equal('low marks follow the capacity', (link['pad-low'], link['key-low']),
                (256, 128))
        delete(q, 'small')

        hashes = []
        for role in ('alice', 'bob'):
            ids = {'id': 'x', 'peer-id': 'y'} if role == 'alice' else \
                  {'id': 'y', 'peer-id': 'x'}
            q.do('link-new', {'name': role, 'type': 'user', 'role': role, **ids})
            hashes.append(q.link(role)['hash'])
        k.equal('both ends have one L', hashes[0], hashes[1])
        delete(q, 'alice', 'bob')


def test_new_refused(k, q):
    with k.case('link-new: each refusal, and nothing is added'):
        new(q, 'taken')
        before = names(q)
        base = {'name': 'refused', **USER}

        def no(number, attr=None, missing=None, text='', drop=(), **attrs):
            wanted = {**base, **under(attrs)}
            for name in drop:
                del wanted[name]
            refused(k, q, 'link-new', wanted, number, attr, missing, text)

        for name in ('name', 'type', 'role', 'id', 'peer-id'):
            no(E.EINVAL, missing=name, drop=[name])
        for name in ('', '.', '..', 'a/b', 'a:b', 'a b', 'a\tb', '\x7f', '%d/'):
            no(E.EINVAL, 'name', name=name)
        no(E.EINVAL, 'name', name='n' * 16)
        no(E.EEXIST, 'name', name='taken')
        for kind in ('', 'User', 'us_er', 'us/er', 'us er'):
            no(E.EINVAL, 'type', type=kind)
        no(E.EOPNOTSUPP, 'type', type='nosuch', text='unknown')
        no(E.EINVAL, 'type', type='t' * 16)
        for role in (0, 3, 0xffffffff):
            no(E.ERANGE, 'role', role=role)
        for confirm in (0, 3):
            no(E.ERANGE, 'confirm', confirm=confirm)
        for export in (4, 7, 1 << 31):
            no(E.EINVAL, 'export', export=export)
        no(E.EINVAL, 'id', id='')
        no(E.EINVAL, 'peer-id', peer_id='')
        no(E.EINVAL, 'peer-id', peer_id='here', text='identity')
        no(E.EINVAL, 'id', id='new\nline')
        no(E.EINVAL, 'id', id='i' * 256)
        no(E.EINVAL, 'peer-id', peer_id='i' * 256)
        for value in (0, 1008, (1 << 30) + 16, 1 << 63):
            no(E.ERANGE, 'pad-capacity', pad_capacity=value)
        no(E.EINVAL, 'pad-capacity', pad_capacity=1032)
        for value in (0, 992, (4 << 20) + 32):
            no(E.ERANGE, 'key-capacity', key_capacity=value)
        no(E.EINVAL, 'key-capacity', key_capacity=1040)
        no(E.ERANGE, 'pad-low', pad_low=(16 << 20) + 1)
        no(E.ERANGE, 'key-low', key_capacity=4096, key_low=4097)
        for value in (0, 99):
            no(E.ERANGE, 'pad-keep', pad_keep=value)
            no(E.ERANGE, 'key-keep', key_keep=value)
        for value in (1, 99, 1 << 63, (1 << 64) - 1):
            no(E.ERANGE, 'max-age', max_age=value)
        for name in ('control', 'rekey', 'export'):
            no(E.ERANGE, 'reserve-' + name, **{'reserve_' + name: 33})
            no(E.ERANGE, 'reserve-' + name, **{'reserve_' + name: (1 << 20) + 32})
        no(E.ERANGE, 'reserve-export', key_capacity=1024, reserve_export=32)
        no(E.EINVAL, 'emu', emu={'rate': 1000})
        # What the kernel says cannot be asked for.
        for name, value in (('index', 7), ('state', 3), ('label', 1), ('hash', bytes(32)),
                            ('admin', 2), ('node', True), ('refused', {'icv': 1})):
            no(E.EINVAL, **{name: value})
        k.equal('links', names(q), before)
        delete(q, 'taken')


def test_naming(k, q):
    with k.case('a link is found by name, index or both'):
        one, two = new(q, 'one')['index'], new(q, 'two')['index']
        for attrs in ({'name': 'one'}, {'index': one}, {'name': 'one', 'index': one}):
            k.equal(str(attrs), q.do('link-get', attrs)['index'], one)
        first = {'link-get': ('name', 'index')}
        for op in OF_LINKS:
            name, index = first.get(op, ('name', 'index') if op.startswith('link-')
                                    else ('link-name', 'link-index'))
            if op == 'link-new':
                continue
            rest = {'status': {'class': 'export', 'size': 32}}.get(op, {})
            if op != 'esp-flush':                       # then it means all
                refused(k, q, op, rest, E.EINVAL, missing=name)
            refused(k, q, op, {name: '', **rest}, E.EINVAL, name)
            refused(k, q, op, {name: 'nosuch', **rest}, E.ENODEV, name)
            refused(k, q, op, {index: 4000000000, **rest}, E.ENODEV, index)
            refused(k, q, op, {index: one, name: 'two', **rest}, E.EINVAL, name)
            refused(k, q, op, {index: 4000000000, name: 'one', **rest}, E.ENODEV,
                    index)
        q.do('link-del', {'index': one})
        refused(k, q, 'link-get', {'index': one}, E.ENODEV, 'index')
        refused(k, q, 'link-del', {'index': one}, E.ENODEV, 'index')
        q.do('link-del', {'index': two, 'name': 'two'})
        k.equal('links', names(q), [])


def test_set(k, q):
    with k.case('link-set: what is given changes, the rest stays'):
        new(q, 'it', export=['control', 'export'])
        link = settings(q, 'it')
        for attrs in ({'max-age': 100}, {'max-age': 0}, {'pad-keep': 100},
                      {'key-keep': 4000}, {'pad-low': 0}, {'key-low': 1 << 20},
                      {'reserve-control': 0, 'reserve-rekey': 64},
                      {'reserve-export': 1 << 19}, {'export': ['export']},
                      {'export': ['export']}, {'export': []}, {}):
            q.do('link-set', {'name': 'it', **attrs})
            for name, value in attrs.items():
                link[name] = set(value) if name == 'export' else value
            now = settings(q, 'it')
            now['export'], link['export'] = set(now['export']), set(link['export'])
            k.equal(f'after {attrs}', now, link)
        delete(q, 'it')

    with k.case('link-set: each refusal, and nothing changes'):
        new(q, 'it', export=['export'], key_capacity=2048)
        before = settings(q, 'it')
        for attrs, number, attr in (
                ({'export': ['control']}, E.EPERM, 'export'),
                ({'export': ['control', 'export']}, E.EPERM, 'export'),
                ({'export': 4}, E.EINVAL, 'export'),
                ({'max-age': 99}, E.ERANGE, 'max-age'),
                ({'pad-keep': 99}, E.ERANGE, 'pad-keep'),
                ({'key-keep': 0}, E.ERANGE, 'key-keep'),
                ({'pad-low': 1 << 40}, E.ERANGE, 'pad-low'),
                ({'key-low': 2049}, E.ERANGE, 'key-low'),
                ({'reserve-control': 31}, E.ERANGE, 'reserve-control'),
                ({'reserve-rekey': 2048}, E.ERANGE, 'reserve-rekey'),
                ({'admin': 0}, E.ERANGE, 'admin'),
                ({'admin': 3}, E.ERANGE, 'admin'),
                ({'emu': {'rate': 5}}, E.EINVAL, 'emu')):
            refused(k, q, 'link-set', {'name': 'it', **attrs}, number, attr)
            # Good ones beside a bad one are not taken either.
            refused(k, q, 'link-set', {'name': 'it', 'pad-low': 16, 'export': [],
                                       'max-age': 777, **attrs}, number, attr)
            k.equal(f'after {attrs}', settings(q, 'it'), before)
        for attrs in ({'role': 'bob'}, {'id': 'x'}, {'peer-id': 'x'}, {'confirm': 2},
                      {'type': 'emu'}, {'pad-capacity': 4096}, {'key-capacity': 4096},
                      {'state': 3}, {'label': 1}):
            refused(k, q, 'link-set', {'name': 'it', **attrs}, E.EINVAL)
        k.equal('at last', settings(q, 'it'), before)
        delete(q, 'it')


def test_gen(k, q):
    with k.case('gen-begin, -open, -end: states, labels, and wiping'):
        pair = Pair(q, 'g')
        state = lambda: [q.link(n)['state'] for n in pair.names]
        pair.begin()
        k.equal('begun', state(), ['pending'] * 2)
        link = q.link('ga')
        k.equal('label', link['label'], 1)
        k.equal('G*', link['generation'], pair.gen)
        k.equal('streams', [(s['stream'], s['dir']) for s in link['stat']],
                [('a2b-pad', 'out'), ('a2b-key', 'out'), ('b2a-pad', 'in'),
                 ('b2a-key', 'in')])
        k.equal('tx capacity, rx ring', [s['capacity'] for s in link['stat']],
                [16 << 20, 1 << 20, 32 << 20, 2 << 20])
        pair.open()
        k.equal('open', state(), ['up'] * 2)
        pair.supply(A2B_KEY, 4096)
        pair.supply(A2B_PAD, 8192)
        stat = q.link('ga')['stat']
        k.equal('key', {n: stat[1][n] for n in ('supplied', 'head', 'live', 'pending',
                                                'taken', 'lost', 'skipped')},
                {'supplied': 4096, 'head': 32, 'live': 4064, 'pending': 0,
                 'taken': 0, 'lost': 0, 'skipped': 0})
        k.equal('pad', (stat[0]['supplied'], stat[0]['head'], stat[0]['live'],
                        stat[0]['segments']), (8192, 16, 8176, 1))
        pair.begin()
        k.equal('begun again', state(), ['pending'] * 2)
        k.equal('wiped', [s['supplied'] for s in q.link('ga')['stat']], [0] * 4)
        for name, reason in zip(pair.names, ('stale', None)):
            q.do('gen-end', {'link-name': name, 'label': 2,
                             **({'reason': reason} if reason else {})})
        k.equal('ended', state(), ['down'] * 2)
        k.equal('reasons', [q.link(n)['reason'] for n in pair.names],
                ['stale', 'peer'])
        k.expect('no streams', 'stat' not in q.link('ga'))
        k.equal('the label is remembered', q.link('ga')['label'], 2)
        pair.up()
        q.do('link-set', {'name': 'ga', 'admin': 'down'})
        k.equal('down', (q.link('ga')['state'], q.link('ga')['reason'],
                         q.link('ga')['admin']), ('down', 'operator', 'down'))
        pair.close()

    with k.case('gen-begin, -open, -end: each refusal'):
        pair = Pair(q, 'g')
        pair.begin()
        pair.open()
        good = {'link-name': 'ga', 'label': 2, 'generation': os.urandom(32),
                'hash': pair.hash, 'peer-role': 'bob', 'pad-capacity': 1 << 20,
                'key-capacity': 1 << 16}
        before = q.link('ga')
        for name in list(good)[1:]:
            refused(k, q, 'gen-begin', {n: v for n, v in good.items() if n != name},
                    E.EINVAL, missing=name)
        for name, value, number in (
                ('label', 0, E.ERANGE), ('label', 65536, E.ERANGE),
                ('label', 1, E.EINVAL), ('label', 3, E.EINVAL),
                ('label', 65535, E.EINVAL),
                ('generation', bytes(31), E.ERANGE), ('generation', bytes(33), E.ERANGE),
                ('generation', pair.gen, E.EINVAL),
                ('hash', bytes(31), E.ERANGE), ('peer-role', 0, E.ERANGE),
                ('peer-role', 3, E.ERANGE), ('pad-capacity', 1008, E.ERANGE),
                ('pad-capacity', 1 << 31, E.ERANGE), ('pad-capacity', 1032, E.ERANGE),
                ('key-capacity', 8 << 20, E.ERANGE), ('key-capacity', 0, E.ERANGE)):
            refused(k, q, 'gen-begin', {**good, name: value}, number, name)
        opened = {'link-name': 'ga', 'label': 1, 'generation': pair.gen}
        refused(k, q, 'gen-open', {**opened, 'generation': bytes(32)}, E.ESTALE,
                'generation')
        refused(k, q, 'gen-open', {**opened, 'label': 2}, E.ESTALE, 'label')
        refused(k, q, 'gen-open', opened, E.EALREADY, 'label')
        for name in ('label', 'generation'):
            refused(k, q, 'gen-open', {n: v for n, v in opened.items() if n != name},
                    E.EINVAL, missing=name)
        refused(k, q, 'gen-end', {'link-name': 'ga'}, E.EINVAL, missing='label')
        refused(k, q, 'gen-end', {'link-name': 'ga', 'label': 2}, E.ESTALE, 'label')
        for reason in ('none', 'operator', 'never-begun', 'suspend', 'vm-fork',
                       'deleted', 'driver', 'no-key', 'auth-low'):
            refused(k, q, 'gen-end', {'link-name': 'ga', 'label': 1, 'reason': reason},
                    E.EINVAL, 'reason')
        refused(k, q, 'gen-end', {'link-name': 'ga', 'label': 1, 'reason': 14},
                E.ERANGE, 'reason')
        after = q.link('ga')
        after['refused']['stale'] = before['refused']['stale']
        k.equal('the link', after, before)

        # A clash ends no generation, but keeps a link without one down.
        clashes = (('peer-role', 'alice'), ('hash', bytes(32)))
        for name, value in clashes:
            refused(k, q, 'gen-begin', {**good, name: value}, E.EPROTO, name)
        k.equal('state', q.link('ga')['state'], 'up')
        q.do('gen-end', {'link-name': 'ga', 'label': 1})
        for name, value in clashes:
            refused(k, q, 'gen-begin', {**good, name: value}, E.EPROTO, name)
            k.equal('reason', (q.link('ga')['state'], q.link('ga')['reason']),
                    ('down', 'role-clash'))
        refused(k, q, 'gen-open', opened, E.ESTALE, 'generation')
        refused(k, q, 'gen-end', {'link-name': 'ga', 'label': 1}, E.ENETDOWN, 'label')
        q.do('link-set', {'name': 'ga', 'admin': 'down'})
        refused(k, q, 'gen-begin', good, E.ENETDOWN)
        q.do('link-set', {'name': 'ga', 'admin': 'up'})
        q.do('gen-begin', good)
        pair.close()


def test_block(k, q):
    with k.case('block-tag, -confirm: equal at both ends'):
        pair = Pair(q, 'b', confirm='tag')
        pair.up(key=2048)
        offset, length = 0, 2048
        block = {'label': 1, 'stream': 'a2b-key', 'offset': offset, 'length': length}
        k.equal('pending', [q.link(n)['stat'][1]['pending'] for n in pair.names],
                [2048, 2048])
        tag = q.do('block-tag', {'link-name': 'bb', **block})['tag']
        k.equal('a tag', len(tag), 16)
        k.equal('the same when asked again',
                q.do('block-tag', {'link-name': 'bb', **block})['tag'], tag)
        reply = q.do('block-confirm', {'link-name': 'ba', 'tag': tag, **block})
        k.equal('verdict', reply, {'verdict': 'equal'})
        reply = q.do('block-confirm', {'link-name': 'bb', 'verdict': 'equal', **block})
        k.equal('pending', [q.link(n)['stat'][1]['pending'] for n in pair.names], [0, 0])
        refused(k, q, 'block-confirm', {'link-name': 'ba', 'tag': tag, **block},
                E.ENOENT, 'offset')
        refused(k, q, 'block-tag', {'link-name': 'bb', **block}, E.ENOENT, 'offset')
        pair.close()

    with k.case('block-tag, -confirm: each refusal changes nothing'):
        pair = Pair(q, 'b', confirm='tag')
        pair.up(key=2048)
        before = [q.link(n)['stat'] for n in pair.names]
        block = {'link-name': 'bb', 'label': 1, 'stream': 'a2b-key', 'offset': 0,
                 'length': 2048}
        for op, more in (('block-tag', {}), ('block-confirm', {'verdict': 'equal'})):
            good = {**block, **more}
            for name in ('label', 'stream', 'offset', 'length'):
                refused(k, q, op, {n: v for n, v in good.items() if n != name},
                        E.EINVAL, missing=name)
            for name, value, number, blamed in (
                    ('label', 2, E.ESTALE, 'label'), ('label', 0, E.ERANGE, 'label'),
                    ('stream', 4, E.ERANGE, 'stream'), ('offset', 32, E.ENOENT, 'offset'),
                    ('offset', 1 << 63, E.ENOENT, 'offset'),
                    ('length', 1024, E.ENOENT, 'offset'),
                    ('length', 0, E.ENOENT, 'offset'),
                    ('stream', 'a2b-pad', E.ENOENT, 'offset')):
                refused(k, q, op, {**good, name: value}, number, blamed)
        refused(k, q, 'block-tag', {**block, 'link-name': 'ba'}, E.EOPNOTSUPP, 'stream')
        tag = q.do('block-tag', block)['tag']
        refused(k, q, 'block-confirm', block, E.EINVAL, missing='tag')
        refused(k, q, 'block-confirm', {**block, 'tag': tag, 'verdict': 'equal'},
                E.EINVAL, 'verdict')
        refused(k, q, 'block-confirm', {**block, 'tag': tag}, E.EINVAL, 'tag')
        refused(k, q, 'block-confirm', {**block, 'link-name': 'ba', 'verdict': 'equal'},
                E.EINVAL, 'verdict')
        refused(k, q, 'block-confirm', {**block, 'tag': tag[:15]}, E.ERANGE, 'tag')
        refused(k, q, 'block-confirm', {**block, 'verdict': 4}, E.ERANGE, 'verdict')
        k.equal('streams', [q.link(n)['stat'] for n in pair.names], before)
        pair.close()

    with k.case('block-confirm: a mismatch is a gap, three take the link down'):
        pair = Pair(q, 'b', confirm='tag')
        pair.up(key=2048)
        for n in range(3):
            offset, length = (0, 2048) if not n else pair.supply(A2B_KEY, 2048, flip=True)
            block = {'label': 1, 'stream': 'a2b-key', 'offset': offset, 'length': length}
            tag = q.do('block-tag', {'link-name': 'bb', **block})['tag']
            if not n:
                tag = bytes([tag[0] ^ 1]) + tag[1:]
            reply = q.do('block-confirm', {'link-name': 'ba', 'tag': tag, **block})
            k.equal(f'verdict {n}', reply['verdict'], 'mismatch')
            q.do('block-confirm', {'link-name': 'bb', 'verdict': 'mismatch', **block})
        for name in pair.names:
            link = q.link(name)
            k.equal(name, (link['state'], link['admin'], link['reason'],
                           link['refused']['mismatch']), ('down', 'down', 'mismatch', 3))
        refused(k, q, 'block-tag', {'link-name': 'bb', **block}, E.ENETDOWN)
        pair.close()

    with k.case('block-get, -compare: tx opens after rx, a verdict stays'):
        pair = Pair(q, 'b', confirm='tag')
        pair.up(key=2048)
        stream = {'label': 1, 'stream': 'a2b-key'}
        block = {**stream, 'offset': 0, 'length': 2048}
        for name in pair.names:
            k.equal('waiting', q.do('block-get', {'link-name': name, **stream}),
                    {'waiting': [{'offset': 0, 'length': 2048}]})
        tag = q.do('block-tag', {'link-name': 'bb', **block})['tag']
        refused(k, q, 'block-compare', {'link-name': 'bb', 'tag': tag, **block},
                E.EOPNOTSUPP, 'stream')
        refused(k, q, 'block-compare', {'link-name': 'ba', **block}, E.EINVAL,
                missing='tag')
        refused(k, q, 'block-get', {'link-name': 'ba', **stream, 'label': 2}, E.ESTALE,
                'label')
        for given in (tag, bytes(16)):
            k.equal('verdict', q.do('block-compare', {'link-name': 'ba', 'tag': given,
                                                      **block}), {'verdict': 'equal'})
        k.equal('known', q.do('block-get', {'link-name': 'ba', **stream})['waiting'],
                [{'offset': 0, 'length': 2048, 'verdict': 'equal'}])
        k.equal('unusable', q.link('ba')['stat'][1]['pending'], 2048)
        refused(k, q, 'block-confirm', {'link-name': 'ba', 'verdict': 'mismatch', **block},
                E.EINVAL, 'verdict')
        for name in ('bb', 'ba'):
            q.do('block-confirm', {'link-name': name, 'verdict': 'equal', **block})
            k.equal('usable', q.link(name)['stat'][1]['pending'], 0)
        k.equal('none', q.do('block-get', {'link-name': 'ba', **stream}), {})
        pair.close()

    with k.case('block-confirm: lost is a gap at either end, and no mismatch'):
        pair = Pair(q, 'b', confirm='tag')
        pair.up(key=2048)
        for n in range(4):
            offset, length = (0, 2048) if not n else pair.supply(A2B_KEY, 2048)
            block = {'label': 1, 'stream': 'a2b-key', 'offset': offset, 'length': length}
            for name in pair.names:
                q.do('block-confirm', {'link-name': name, 'verdict': 'lost', **block})
        for name in pair.names:
            link = q.link(name)
            stat = link['stat'][1]
            k.equal(name, (link['state'], link['refused']['mismatch'],
                           stat['lost'] + stat['head'], stat['live']),
                    ('up', 0, stat['supplied'], 0))
        pair.close()


def test_driver_links(k, q):
    with k.case('gen and block operations are not for links that a driver runs'):
        q.do('link-new', {'name': 'e0', 'type': 'emu', 'emu': {'peer-name': 'e1'}})
        for op in ('gen-begin', 'gen-open', 'gen-end', 'block-tag', 'block-confirm',
                   'block-get', 'block-compare'):
            refused(k, q, op, {'link-name': 'e0', 'label': 1}, E.EOPNOTSUPP)
        refused(k, q, 'link-new', {'name': 'e2', 'type': 'emu',
                                   'emu': {'peer-name': 'e1'}}, E.EEXIST)
        k.equal('links', names(q), ['e0', 'e1'])
        delete(q, 'e0')
        k.equal('the peer goes as well', names(q), [])


def test_keys(k, q):
    with k.case('key-get, -peek, -commit, -drop, -get-by-id'):
        pair = Pair(q, 'k', export=['control', 'export'])
        pair.up()
        ask = {'link-name': 'ka', 'class': 'export', 'size': 32}
        who = {'link-name': 'kb'}
        taken = lambda n: q.link(n)['stat'][1]['taken']
        for size in (1, 31, 32, 33, 2016):
            sae = {'context-type': 'sae', 'context': b'master/slave'}
            [issued] = q.do('key-get', {**ask, **sae, 'size': size})['issued']
            before = taken('kb')
            found = q.do('key-peek', {**who, **sae, 'id': issued['id'], 'size': size})
            k.equal('found', (found['id'], found['class'], found['size']),
                    (issued['id'], 'export', size))
            k.equal('a peek takes nothing', taken('kb'), before)
            q.do('key-commit', {**who, 'handle': found['handle']})
            k.equal('a commit takes', taken('kb'), before + (size + 31) // 32 * 32)
            k.equal('one key', pair.fetch(0, issued['handle'], size),
                    pair.fetch(1, found['handle'], size))
        issued = q.do('key-get', {**ask, 'count': 64, 'class': 'control'})['issued']
        k.equal('count', len(issued), 64)
        k.equal('IDs differ', len({i['id'] for i in issued}), 64)
        k.equal('handles', q.link('ka')['handles'], 64)
        got = q.do('key-get-by-id', {**who, 'id': issued[5]['id']})
        k.equal('by ID', (got['class'], got['size']), ('control', 32))
        k.equal('one key', pair.fetch(1, got['handle'], 32),
                pair.fetch(0, issued[5]['handle'], 32))
        two = [q.do('key-peek', {**who, 'id': issued[6]['id']})['handle']
               for _ in range(2)]
        q.do('key-drop', {**who, 'handle': two[0]})
        q.do('key-commit', {**who, 'handle': two[1]})
        q.do('key-drop', {**who, 'handle': two[1]})
        k.equal('a dropped key is burnt', q.link('kb')['refused']['burnt'], 1)
        k.equal('no handle is left', q.link('kb')['handles'], 0)
        for handle in (i['handle'] for i in issued):
            if handle != issued[5]['handle']:
                q.do('key-drop', {'link-name': 'ka', 'handle': handle})
        k.equal('no handle is left', q.link('ka')['handles'], 0)
        pair.close()

    with k.case('status tells how many keys a class can allocate'):
        pair = Pair(q, 'k', export=['control', 'export'])
        ask = {'link-name': 'ka', 'size': 32}
        count = lambda c, size=32: q.do('status', {**ask, 'class': c,
                                                   'size': size})['available']
        k.equal('before a generation', count('export'), 0)
        pair.begin()
        pair.supply(A2B_KEY, 4096 + 32)
        k.equal('before it is open', count('export'), 0)
        pair.open()
        k.equal('counts', [count(c) for c in ('control', 'rekey', 'export')],
                [112, 112, 96])
        k.equal('larger ones', count('export', 33), 48)
        k.equal('the largest', count('export', 2016), 1)
        reply = q.do('status', {**ask, 'class': 'rekey'})
        k.equal('reply', (reply['class'], reply['size']), ('rekey', 32))
        for _ in range(96):
            q.do('key-get', {**ask, 'class': 'export'})
        refused(k, q, 'key-get', {**ask, 'class': 'export'}, E.ENOKEY, 'size',
                text='not enough')
        k.equal('the reserves hold', [count(c) for c in ('control', 'rekey', 'export')],
                [16, 16, 0])
        k.equal('counted', q.link('ka')['refused']['no-key'], 1)
        for name in ('class', 'size'):
            refused(k, q, 'status', {n: v for n, v in {**ask, 'class': 1}.items()
                                     if n != name}, E.EINVAL, missing=name)
        for name, value in (('class', 0), ('class', 4), ('size', 0), ('size', 2017)):
            refused(k, q, 'status', {**ask, 'class': 1, name: value}, E.ERANGE, name)
        pair.close()


def bits(data):
    for n in range(8 * len(data)):
        yield n, bytes(b ^ (1 << (7 - n % 8) if i == n // 8 else 0)
                       for i, b in enumerate(data))


def test_keys_refused(k, q):
    with k.case('key-get: each refusal takes nothing'):
        pair = Pair(q, 'k', export=['export'])
        good = {'link-name': 'ka', 'class': 'export', 'size': 32}
        refused(k, q, 'key-get', good, E.ENETDOWN, text='not up')
        pair.begin()
        pair.supply(A2B_KEY, 4096)
        refused(k, q, 'key-get', good, E.ENETDOWN, text='not up')
        pair.open()
        before = q.link('ka')['stat']
        for name in ('class', 'size'):
            refused(k, q, 'key-get', {n: v for n, v in good.items() if n != name},
                    E.EINVAL, missing=name)
        for name, value, number in (
                ('class', 0, E.ERANGE), ('class', 4, E.ERANGE),
                ('class', 'control', E.EACCES), ('class', 'rekey', E.EACCES),
                ('size', 0, E.ERANGE), ('size', 2017, E.ERANGE),
                ('count', 0, E.ERANGE), ('count', 65, E.ERANGE),
                ('context-type', 7, E.ERANGE)):
            refused(k, q, 'key-get', {**good, name: value}, number, name)
        refused(k, q, 'key-get', {**good, 'size': 2016, 'count': 3}, E.ENOKEY, 'count')
        refused(k, q, 'key-get', {**good, 'context': b'x'}, E.EINVAL,
                missing='context-type')
        refused(k, q, 'key-get', {**good, 'context-type': 'user', 'context': bytes(256)},
                E.EMSGSIZE, 'context')
        q.do('link-set', {'name': 'ka', 'export': []})
        refused(k, q, 'key-get', good, E.EACCES, 'class')
        k.equal('the streams', q.link('ka')['stat'], before)
        k.equal('refused by class', q.link('ka')['refused']['class'], 2)
        pair.close()

    with k.case('key-peek, -get-by-id: each refusal takes nothing'):
        pair = Pair(q, 'k', export=['export', 'control'])
        other = Pair(q, 'o', export=['export', 'control'])
        pair.up(key=4096)
        other.up(key=4096)
        sae = {'context-type': 'sae', 'context': b'one'}
        [issued] = q.do('key-get', {'link-name': 'ka', 'class': 'export', 'size': 64,
                                    **sae})['issued']
        [control] = q.do('key-get', {'link-name': 'ka', 'class': 'control', 'size': 32
                                     })['issued']
        good = {'link-name': 'kb', 'id': issued['id'], 'size': 64, **sae}
        before = q.link('kb')['stat']
        for op in ('key-peek', 'key-get-by-id'):
            no = lambda number, attr='id', **more: refused(
                k, q, op, {**good, **under(more)}, number, attr)
            refused(k, q, op, {'link-name': 'kb'}, E.EINVAL, missing='id')
            no(E.ERANGE, id=bytes(15))
            no(E.ERANGE, id=bytes(17))
            no(E.EINVAL, id=bytes(16))
            no(E.EINVAL, id=os.urandom(6) + b'\x4f' + os.urandom(9))
            for n, wrong in bits(issued['id']):
                try:
                    q.do(op, {**good, 'id': wrong})
                    k.expect(f'{op}: bit {n} of the ID', False)
                except NlError as error:
                    k.expect(f'{op}: bit {n}: {error.nl_msg.extack}',
                             error.error in (E.EINVAL, E.EKEYREJECTED, E.ESTALE,
                                             E.ENODATA, E.ENOENT, E.EACCES, E.EMSGSIZE)
                             and (error.nl_msg.extack or {}).get('msg')
                             and error.nl_msg.extack.get('bad-attr') == '.id')
            no(E.EKEYREJECTED, context=b'two')
            no(E.EKEYREJECTED, context=b'')
            no(E.EKEYREJECTED, context_type='ppk')
            no(E.EMSGSIZE, size=32)
            no(E.EMSGSIZE, size=65)
            no(E.ERANGE, 'size', size=0)
            no(E.ERANGE, 'size', size=2017)
            no(E.EKEYREJECTED, link_name='ka')     # the end that allocated it
            no(E.EKEYREJECTED, link_name='ob')     # another link
        k.equal('the streams', q.link('kb')['stat'], before)
        q.do('link-set', {'name': 'kb', 'export': ['export']})
        refused(k, q, 'key-peek', {'link-name': 'kb', 'id': control['id']}, E.EACCES, 'id')
        q.do('key-get-by-id', good)
        for op in ('key-peek', 'key-get-by-id'):
            refused(k, q, op, good, E.EALREADY, 'id')
        pair.begin()
        for op in ('key-peek', 'key-get-by-id'):
            refused(k, q, op, good, E.ESTALE, 'id')
        pair.close()
        other.close()

    with k.case('IDs ahead of supply'):
        pair = Pair(q, 'k', export=['export'])
        pair.begin()
        pair.open()
        pair.supply(A2B_KEY, 4096, ends=(0,))           # the peer has none
        [issued] = q.do('key-get', {'link-name': 'ka', 'class': 'export',
                                    'size': 32})['issued']
        refused(k, q, 'key-peek', {'link-name': 'kb', 'id': issued['id']}, E.ENODATA, 'id')
        pair.close()

    with k.case('handles: unknown, committed twice, of another link, too many'):
        pair = Pair(q, 'k', export=['export'], **{'reserve-control': 0,
                                                  'reserve-rekey': 0})
        pair.up(key=1 << 16)
        ids = [i['id'] for _ in range(2) for i in q.do('key-get', {
            'link-name': 'ka', 'class': 'export', 'size': 32, 'count': 64})['issued']]
        for op in ('key-commit', 'key-drop'):
            refused(k, q, op, {'link-name': 'kb'}, E.EINVAL, missing='handle')
            for handle in (0, 1, 0xffffffff):
                refused(k, q, op, {'link-name': 'kb', 'handle': handle}, E.EBADSLT,
                        'handle')
        peeks = [q.do('key-peek', {'link-name': 'kb', 'id': i})['handle']
                 for i in ids[:64]]
        refused(k, q, 'key-peek', {'link-name': 'kb', 'id': ids[64]}, E.ENOSPC, 'id')
        q.do('key-peek', {'link-name': 'kb', 'id': ids[0]})     # one ID, one slot
        q.do('key-commit', {'link-name': 'kb', 'handle': peeks[1]})
        refused(k, q, 'key-commit', {'link-name': 'kb', 'handle': peeks[1]}, E.EALREADY,
                'handle')
        q.do('key-drop', {'link-name': 'kb', 'handle': peeks[2]})
        refused(k, q, 'key-commit', {'link-name': 'kb', 'handle': peeks[2]}, E.EBADSLT,
                'handle')
        rival = q.do('key-peek', {'link-name': 'kb', 'id': ids[3]})['handle']
        q.do('key-commit', {'link-name': 'kb', 'handle': rival})
        refused(k, q, 'key-commit', {'link-name': 'kb', 'handle': peeks[3]}, E.EALREADY,
                'handle')
        many = {'link-name': 'ka', 'class': 'export', 'size': 32, 'count': 64}
        for _ in range(14):
            q.do('key-get', many)
        taken = q.link('ka')['stat'][1]['taken']
        refused(k, q, 'key-get', many, E.ENOSPC, 'size')
        k.equal('a full table burns nothing', q.link('ka')['stat'][1]['taken'], taken)
        pair.close()

    with k.case('a handle is none of the next link of that name'):
        stale = []
        for _ in range(2):
            pair = Pair(q, 'k', export=['export'])
            pair.up(key=4096)
            for handle in stale:
                refused(k, q, 'key-commit', {'link-name': 'ka', 'handle': handle},
                        E.EBADSLT, 'handle')
            stale = [i['handle'] for i in q.do('key-get', {
                'link-name': 'ka', 'class': 'export', 'size': 32, 'count': 4})['issued']]
            pair.close()

    with k.case('handles go with their socket'):
        pair = Pair(q, 'k', export=['export'])
        pair.up()
        mine = q.do('key-get', {'link-name': 'ka', 'class': 'export', 'size': 32,
                                'count': 3})['issued']
        other = Qkd()
        theirs = other.do('key-get', {'link-name': 'ka', 'class': 'export', 'size': 32,
                                      'count': 5})['issued']
        other.do('key-peek', {'link-name': 'kb', 'id': mine[0]['id']})
        k.equal('handles', [q.link(n)['handles'] for n in pair.names], [8, 1])
        other.close()
        k.equal('handles', [q.link(n)['handles'] for n in pair.names], [3, 0])
        k.equal('burnt', [q.link(n)['refused']['burnt'] for n in pair.names], [5, 0])
        q.do('key-get-by-id', {'link-name': 'kb', 'id': mine[0]['id']})
        q.do('key-get-by-id', {'link-name': 'kb', 'id': theirs[0]['id']})
        silent = Qkd()                                  # owns none
        silent.close()
        k.equal('handles', q.link('ka')['handles'], 3)
        in_child(lambda: Qkd().do('key-get', {'link-name': 'ka', 'class': 'export',
                                              'size': 32, 'count': 7}) and '')
        k.equal('a process that died', q.link('ka')['handles'], 3)
        pair.close()


def capset_drop():
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def not_allowed(q, link):
    """What an unprivileged user may, and may not; '' or what was wrong."""
    wrong = []
    for op, attrs in (('link-get', {'name': link}),
                      ('status', {'link-name': link, 'class': 1, 'size': 32})):
        q.do(op, attrs)
    q.dump('link-dump', {})
    for op in COMMANDS:
        if op in ('link-get', 'status', 'link-dump', 'event'):
            continue
        attrs = {'link-name': link} if not op.startswith('link-') else {'name': link}
        if op == 'link-new':
            attrs = {'name': 'mine', **USER}
        if op in OF_DEVICES:
            attrs = {'ifindex': 1}
        try:
            if op in DUMPS:
                q.dump(op, {})
            else:
                q.do(op, attrs)
            wrong.append(op + ' went through')
        except NlError as error:
            if error.error != E.EPERM or 'CAP_NET_ADMIN' not in (
                    error.nl_msg.extack or {}).get('msg', ''):
                wrong.append(f'{op}: {error}')
    try:
        q.listen()
        wrong.append('joined the group')
    except PermissionError:
        pass
    return '\n'.join(wrong)


def test_capabilities(k, q):
    with k.case('without CAP_NET_ADMIN: show and status, nothing else'):
        new(q, 'caps')
        before = settings(q, 'caps')

        def unprivileged():
            capset_drop()
            return not_allowed(Qkd(), 'caps')

        def inherited():
            mine = Qkd()
            capset_drop()
            return not_allowed(mine, 'caps')

        def lent():
            """A socket of an unprivileged user in a privileged process."""
            os.seteuid(65534)
            mine = Qkd()
            os.seteuid(0)
            return not_allowed(mine, 'caps').replace('joined the group', '').strip()

        for function in (unprivileged, inherited, lent):
            k.equal(function.__name__, in_child(function), '')
        k.equal('the link', settings(q, 'caps'), before)
        k.equal('links', names(q), ['caps'])
        delete(q, 'caps')


CLONE_NEWUSER, CLONE_NEWNET = os.CLONE_NEWUSER, os.CLONE_NEWNET


def enter_user_namespace(flags=CLONE_NEWUSER | CLONE_NEWNET):
    os.unshare(flags)
    for name, text in (('setgroups', 'deny'), ('uid_map', '0 0 1'),
                       ('gid_map', '0 0 1')):
        with open(f'/proc/self/{name}', 'w', encoding='ascii') as file:
            file.write(text)


def test_user_namespace(k, q):
    with k.case("a user namespace's root has links of its own, without node or export"):
        index = new(q, 'outer')['index']

        def inside():
            enter_user_namespace()
            mine = Qkd()
            if mine.dump('link-dump', {}):
                return 'sees links of another namespace'
            link = new(mine, 'inner')
            shown = mine.link('inner')
            if 'node' in shown or os.path.exists(f'/dev/qkd{link["index"]}'):
                return 'has a node'
            Qkd().listen()
            for attrs in ({'name': 'outer'}, {'index': index}):
                try:
                    mine.do('link-del', attrs)
                    return f'deleted {attrs}'
                except NlError as error:
                    if error.error != E.ENODEV:
                        return str(error)
            try:
                new(mine, 'leaky', export=['export'])
                return 'has an export mask'
            except NlError as error:
                if error.error != E.EPERM or \
                        error.nl_msg.extack.get('bad-attr') != '.export':
                    return str(error)
            try:
                for n in range(100):
                    new(mine, f'many{n}')
                return 'no limit to its links'
            except NlError as error:
                if error.error != E.ENOSPC or n != 63:
                    return f'{error} after {n}'
            return ''

        def outside():
            """Root of a user namespace is nobody in the first network namespace."""
            enter_user_namespace(CLONE_NEWUSER)
            return not_allowed(Qkd(), 'outer')

        k.equal('inside', in_child(inside), '')
        k.equal('outside', in_child(outside), '')
        k.equal('links', names(q), ['outer'])
        delete(q, 'outer')


def test_autoload(k, q):
    with k.case("a type's module is loaded for the machine's administrator alone"):
        helper = '/proc/sys/kernel/modprobe'
        with open(helper, encoding='ascii') as file:
            before = file.read()
        log = '/tmp/netlink-modprobe.log'
        script = '/tmp/netlink-modprobe'
        with open(script, 'w', encoding='ascii') as file:
            file.write(f'#!/bin/sh\necho "$@" >>{log}\n')
        os.chmod(script, 0o755)
        asked = lambda kind: kind in open(log, encoding='ascii').read()
        open(log, 'w', encoding='ascii').close()
        try:
            with open(helper, 'w', encoding='ascii') as file:
                file.write(script)
            for kind in ('nosuch', 'no-such9'):
                refused(k, q, 'link-new', {'name': 'x', **USER, 'type': kind},
                        E.EOPNOTSUPP, 'type')
                k.expect(f'{kind}: asked for', asked('qkd-link-' + kind + '\n'))
            refused(k, q, 'link-new', {'name': 'x', **USER, 'type': '../evil'},
                    E.EINVAL, 'type')
            k.expect('a bad name: not asked for', not asked('evil'))

            def inside():
                enter_user_namespace()
                try:
                    new(Qkd(), 'x', type='container')
                except NlError as error:
                    return '' if error.error == E.EOPNOTSUPP else str(error)
                return 'added'

            k.equal('inside', in_child(inside), '')
            k.expect('a container: not asked for', not asked('container'))
        finally:
            with open(helper, 'w', encoding='ascii') as file:
                file.write(before)


def test_namespaces(k, q):
    with k.case('links are of one network namespace'):
        pair = Pair(q, 'n', export=['export'])
        pair.up()
        index = pair.index[0]

        def elsewhere():
            os.unshare(CLONE_NEWNET)
            mine = Qkd()
            wrong = []
            if any(mine.dump(op, {}) for op in DUMPS):
                wrong.append('sees links or SAs of another namespace')
            new(mine, 'na')                             # the name is free here
            delete(mine, 'na')
            for op in OF_LINKS:
                if op == 'link-new':
                    continue
                prefix = '' if op.startswith('link-') else 'link-'
                rest = {'class': 1, 'size': 32} if op == 'status' else {}
                for attrs in ({prefix + 'name': 'na'}, {prefix + 'index': index}):
                    try:
                        mine.do(op, {**attrs, **rest})
                        wrong.append(f'{op} {attrs}')
                    except NlError as error:
                        if error.error != E.ENODEV:
                            wrong.append(f'{op} {attrs}: {error}')
            return '\n'.join(wrong)

        before = settings(q, 'na')
        k.equal('elsewhere', in_child(elsewhere), '')
        k.equal('the link', settings(q, 'na'), before)
        k.equal('links', names(q), ['na', 'nb'])
        pair.close()

    with k.case("a namespace's end ends its links"):
        def leave():
            os.unshare(CLONE_NEWNET)
            mine = Qkd()
            nodes = [new(mine, f'gone{n}')['index'] for n in range(8)]
            return ' '.join(map(str, nodes))

        nodes = in_child(leave).split()
        k.equal('nodes', len(nodes), 8)
        for _ in range(100):
            if not any(os.path.exists('/dev/qkd' + n) for n in nodes):
                break
            time.sleep(0.1)
        k.expect('their nodes go', not any(os.path.exists('/dev/qkd' + n)
                                           for n in nodes))


def test_malformed(k, q):
    u32, u64 = (lambda v: struct.pack('=I', v)), (lambda v: struct.pack('=Q', v))
    with k.case('malformed messages are refused'):
        pair = Pair(q, 'm', export=['export'])
        pair.up()
        before = [settings(q, n) for n in pair.names]
        ma = nla(2, b'ma\0')
        size = nla(3, u32(3)) + nla(4, u32(32))         # key-get: class, size

        def bad(what, numbers, cmd, payload, **more):
            number, extack = q.raw(CMD[cmd] if isinstance(cmd, str) else cmd, payload,
                                   **more)
            k.expect(f'{what}: {E.errorcode.get(number, number)} {extack}',
                     number in numbers)

        inval = (E.EINVAL, E.ERANGE)
        for length in (0, 1, 2, 3, 5, 8):
            bad(f'u32 of {length}', inval, 'link-get', nla(1, bytes(length)))
            bad(f'spi of {length}', inval, 'esp-get', ma + nla(4, u32(1)) +
                nla(5, bytes(length)))
        for length in (0, 4, 7, 9, 16):
            bad(f'u64 of {length}', inval, 'link-set', ma + nla(9, bytes(length)))
        for length in (0, 15, 17):
            bad(f'ID of {length}', inval, 'key-peek', ma + nla(8, bytes(length)))
        for length in (1, 4):
            bad(f'flag of {length}', inval, 'esp-add', ma + nla(14, bytes(length)))
        for length in (1, 3, 5, 15, 17, 64):
            bad(f'address of {length}', inval, 'esp-add', ma + nla(3, u32(1)) +
                nla(4, u32(1)) + nla(5, u32(0x10000)) + nla(6, bytes(length)) +
                nla(7, bytes(length)))
        bad('string without NUL', inval, 'link-get', nla(2, b'ma'))
        bad('string of 15 without NUL', inval, 'link-get', nla(2, b'm' * 15))
        bad('empty string', inval, 'link-get', nla(2, b''))
        bad('unknown attribute', inval, 'link-get', ma + nla(99, u32(1)))
        bad('attribute 0', inval, 'link-get', ma + nla(0, u32(1)))
        bad('pad attribute', inval, 'key-get', ma + size + nla(12, b''))
        bad('attribute of another operation', inval, 'link-get', ma + nla(9, u64(1)))
        bad('length below its header', inval, 'link-get', ma + nla(1, b'', length=3))
        bad('length past the message', inval, 'link-get', ma + nla(1, u32(1), length=80))
        bad('trailing bytes', inval, 'link-get', ma + b'\1\0\0')
        bad('nest without its flag', inval, 'esp-add', ma + nla(16, nla(5, u32(6))))
        bad('no nest with the flag', inval, 'link-get', nla(2 | NESTED, b'ma\0'))
        bad('nest of garbage', inval, 'link-set', ma + nla(30 | NESTED, b'\xff' * 8))
        bad('nest cut short', inval, 'link-set',
            ma + nla(30 | NESTED, nla(1, b'', length=12)))
        bad('nest: unknown', inval, 'link-set', ma + nla(30 | NESTED, nla(77, u32(1))))
        bad('nest: u64 of 4', inval, 'link-set', ma + nla(30 | NESTED, nla(1, u32(1))))
        deep = nla(1, u32(1))
        for _ in range(200):
            deep = nla(1 | NESTED, deep)
        bad('nests in nests', inval, 'link-set', ma + nla(30 | NESTED, deep))
        bad('reserved field', inval, 'link-get', ma, reserved=1)
        for cmd in (0, CMD['event'], len(COMMANDS) + 1, 255):
            bad(f'command {cmd}', (E.EOPNOTSUPP,), cmd, ma)
        for cmd in DUMPS:
            bad(cmd + ' as do', (E.EOPNOTSUPP,), cmd, b'')
            bad(cmd + ' with an attribute', (E.EINVAL,), cmd, ma,
                flags=Netlink.NLM_F_DUMP)
        for cmd in OF_LINKS + OF_DEVICES:
            bad(cmd + ' as dump', (E.EOPNOTSUPP,), cmd, ma, flags=Netlink.NLM_F_DUMP)
        bad('type of no family', (E.ENOENT, E.EINVAL), 'link-get', ma, nl_type=0x7ff0)
        k.equal('the links', [settings(q, n) for n in pair.names], before)
        pair.close()

    with k.case('messages damaged at random harm nothing'):
        count = scaled(50000)
        seed = int(os.environ.get('QKD_GEN', '1'))
        rng = random.Random(seed)
        print(f'# {count} messages, random seed {seed}')
        pair = Pair(q, 'm')
        pair.up()
        hand = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        hand.setsockopt(Netlink.SOL_NETLINK, Netlink.NETLINK_CAP_ACK, 1)
        samples = samples_of_all(pair)
        for n in range(count):
            cmd, payload = rng.choice(samples)
            data = bytearray(payload)
            for _ in range(rng.choice((0, 1, 1, 2, 8))):
                if data:
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            if rng.random() < 0.2:
                del data[rng.randrange(len(data) + 1):]
            # link-del and what lets links pile up come rarely
            if CMD['link-new'] == cmd and rng.random() < 0.9:
                continue
            body = struct.pack('=BBH', cmd, 1, 0) + data
            hand.send(struct.pack('=IHHII', 16 + len(body), q.family_id(), 5, n, 0) + body)
            if n % 16 == 15:
                try:
                    while hand.recv(1 << 16, socket.MSG_DONTWAIT):
                        pass
                except BlockingIOError:
                    pass
        hand.close()
        k.checks += count
        for link in q.dump('link-dump', {}):
            for state in link.get('stat', []):
                k.equal(f'accounts of {link["name"]}', state['supplied'],
                        sum(state[n] for n in ('taken', 'skipped', 'lost', 'head',
                                               'live')))
        pair.close()
        for link in q.dump('link-dump', {}):
            q.do('link-del', {'index': link['index']})


def churn(number, count):
    """One of many clients that ask for anything, of links that come and go."""
    rng = random.Random(f'{number} {os.environ.get("QKD_GEN")}')
    q, links = Qkd(), ('r0', 'r1', 'r2')
    add_key('qkd:churn', os.urandom(48))
    add_key('qkd:churnb', os.urandom(16))
    calls, handles = 0, [1]
    for _ in range(count):
        name = rng.choice(links)
        sa = {'link-name': name, 'dir': rng.choice((1, 2)), 'spi': 256 + rng.randrange(8)}
        label = rng.randrange(1, 4)
        op, attrs = rng.choice((
            ('link-new', {'name': name, **USER, 'export': ['export']}),
            ('link-new', {'name': name, 'type': 'emu', 'export': ['export'],
                          'emu': {'peer-name': rng.choice(links), 'rate': 10 ** 7}}),
            ('link-del', {'name': name}), ('link-get', {'name': name}),
            ('link-set', {'name': name, 'admin': rng.choice((1, 2)), 'max-age': 200}),
            ('link-set', {'name': name, 'emu': {'qber': rng.randrange(200000),
                                                'stopped': rng.randrange(2)}}),
            ('gen-begin', {'link-name': name, 'label': label, 'generation': os.urandom(32),
                           'hash': bytes(32), 'peer-role': 2, 'pad-capacity': 1 << 20,
                           'key-capacity': 1 << 16}),
            ('gen-end', {'link-name': name, 'label': label}),
            ('status', {'link-name': name, 'class': 3, 'size': 32}),
            ('key-get', {'link-name': name, 'class': 3, 'size': 32, 'count': 4}),
            ('key-drop', {'link-name': name, 'handle': rng.choice(handles[-8:])}),
            ('esp-add', {**sa, 'cipher': 1, 'mode': 1, **V4}),
            ('esp-replace', {**sa, 'cipher': 1, 'mode': 1, **V6, 'bind': 'qkd:churnb'}),
            ('esp-add', {**sa, 'cipher': rng.choice((1, 2)), 'mode': 2, **V4,
                         'on-empty': 2, 'rekey-time': 50}),
            ('esp-add', {**sa, 'dir': 1, 'cipher': 3, 'mode': 1, **V4,
                         'replay-window': 64, 'secret': 'qkd:churn'}),
            ('esp-set', {**sa, 'weight': 9, 'rekey-packets': rng.randrange(1, 99)}),
            ('esp-set', {**sa, 'secret': 'qkd:churn',
                         'secret-number': rng.randrange(1, 5)}),
            ('esp-flush', {'link-name': name}), ('esp-flush', {}),
            ('esp-del', sa), ('esp-get', sa), ('link-dump', {}), ('esp-dump', {}),
            (None, None)))
        try:
            if op is None:              # its handles go while others look
                q.close()
                q = Qkd()
            elif op.endswith('dump'):
                q.dump(op, attrs)
            else:
                reply = q.do(op, attrs)
                if op == 'key-get':
                    handles += [i['handle'] for i in reply['issued']]
            calls += 1
        except NlError as error:
            if not (error.nl_msg.extack or {}).get('msg'):
                return f'{op} {attrs}: {error}'
    return '' if calls > count // 10 else f'only {calls} requests of {count} were good'


def meddle(seconds):
    """A client that makes and deletes a pair, and sets it up and down meanwhile."""
    rng, q, links = random.Random(), Qkd(), ('r0', 'r1')
    end, made = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        name, peer = rng.sample(links, 2)
        op, attrs = rng.choice((
            ('link-new', {'name': name, 'type': 'emu', 'emu': {'peer-name': peer}}),
            ('link-del', {'name': name}),
            ('link-set', {'name': name, 'admin': rng.choice((1, 2))}),
            ('link-set', {'name': name, 'emu': {'qber': rng.randrange(200000)}})))
        try:
            q.do(op, attrs)
            made += op == 'link-new'
        except NlError as error:
            if not (error.nl_msg.extack or {}).get('msg'):
                return f'{op} {attrs}: {error}'
    return '' if made else 'no link was made'


def test_many(k, q):
    seconds = max(5, scaled(60))
    with k.case('a pair set up and down while it is made: refusals say why'):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for result in pool.map(lambda n: in_child(meddle, seconds), range(4)):
                k.equal('a client', result, '')
        with contextlib.suppress(NlError):
            q.do('link-del', {'name': 'r0'})
    count = max(500, scaled(10000))
    with k.case(f'four clients at once, {count} requests each, of three links'):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for result in pool.map(lambda n: in_child(churn, n, count), range(4)):
                k.equal('a client', result, '')
        for link in q.dump('link-dump', {}):
            k.equal('handles of clients that have gone', link['handles'], 0)
            try:
                q.do('link-del', {'index': link['index']})
            except NlError as error:
                k.equal('the peer goes with its pair', error.error, E.ENODEV)
        os.system('ip xfrm state flush')
        k.equal('links', names(q), [])


def samples_of_all(pair):
    """A well-formed request of each operation, as (command, attributes)."""
    q, gen = pair.qkd, {'link-name': 'ma', 'label': 1}
    block = {**gen, 'stream': 0, 'offset': 0, 'length': 1024}
    key = {'link-name': 'ma', 'class': 3, 'size': 32, 'context-type': 5, 'context': b'c'}
    sa = {'link-name': 'ma', 'cipher': 1, 'dir': 1, 'spi': 0x1000, **V4, 'mode': 1,
          'replay-window': 64, 'sel': {**V4, 'proto': 6, 'sport': 1, 'ifindex': 1}}
    name = {'link-name': 'ma', 'dir': 1, 'spi': 0x1000}
    requests = {
        'link-new': {'name': 'mx', **USER, 'emu': {'rate': 1, 'seed': bytes(8)}},
        'link-set': {'name': 'ma', 'max-age': 0, 'pad-low': 5, 'reserve-rekey': 64,
                     'emu': {'rate': 1, 'seed': bytes(8), 'gen': 1}},
        'link-get': {'name': 'ma', 'index': pair.index[0]},
        'gen-begin': {**gen, 'label': 2, 'generation': bytes(32), 'hash': pair.hash,
                      'peer-role': 2, 'pad-capacity': 1 << 20, 'key-capacity': 1 << 16},
        'gen-open': {**gen, 'generation': pair.gen}, 'gen-end': {**gen, 'reason': 9},
        'block-tag': block, 'block-confirm': {**block, 'tag': bytes(16)},
        'block-get': {**gen, 'stream': 0}, 'block-compare': {**block, 'tag': bytes(16)},
        'key-get': key, 'status': {'link-name': 'ma', 'class': 3, 'size': 32},
        'key-peek': {'link-name': 'ma', 'id': bytes(16), 'size': 32},
        'key-get-by-id': {'link-name': 'ma', 'id': bytes(16), 'size': 32},
        'key-commit': {'link-name': 'ma', 'handle': 1},
        'key-drop': {'link-name': 'ma', 'handle': 1},
        'esp-add': sa, 'esp-replace': sa, 'esp-del': name, 'esp-get': name,
        'esp-flush': {'link-name': 'ma'},
        'esp-set': {**name, 'rekey-packets': 5, 'weight': 1, 'park-time': 1,
                    'secret': 'qkd:samples', 'secret-number': 2}}
    add_key('qkd:samples', os.urandom(32))
    aes = {'link-name': 'ma', 'cipher': 2, 'dir': 2, 'spi': 0x1001, **V4, 'mode': 2,
           'on-empty': 2, 'rekey-packets': 1, 'rekey-bytes': 99, 'rekey-time': 7,
           'epoch-packets': 9, 'epoch-bytes': 999, 'epoch-time': 9, 'weight': 2,
           'park-time': 3, 'encap': {'sport': 4500, 'dport': 4500},
           'lifetime': {'soft-bytes': 1, 'hard-packets': 2, 'soft-add-time': 3}}
    hybrid = {**sa, 'cipher': 3, 'spi': 0x1002, 'secret': 'qkd:samples',
              'secret-number': 1}
    change = {'link-name': 'ma', 'dir': 2, 'spi': 0x1001, 'rekey-auto': True}
    return [(CMD[op], q._encode_message(q.ops[op], attrs, [], 1)[20:])
            for op, attrs in (*requests.items(), ('esp-add', aes), ('esp-replace', aes),
                              ('esp-add', hybrid), ('esp-set', change))]


def test_esp(k, q):
    sa = {'link-name': 'xa', 'cipher': 'otp', 'dir': 'out', 'spi': 0x1234, 'mode': 'tunnel',
          **V4}
    with k.case('esp-add, -get, -replace, -del'):
        new(q, 'xa')
        number = q.do('esp-add', sa)['sa']
        k.expect('a number', number)
        got = q.do('esp-get', {'link-name': 'xa', 'dir': 'out', 'spi': 0x1234})
        for name, value in {**sa, 'sa': number, 'packets': 0, 'bytes': 0, 'key-bytes': 0,
                            'reqid': 0, 'if-id': 0, 'mark': 0, 'mark-mask': 0,
                            'replay-window': 0, 'on-empty': 'block'}.items():
            if name in ('src', 'dst'):
                value = '.'.join(map(str, value)) if name == 'xsrc' else value
                k.expect(f'{name}: {got[name]!r}',
                         got[name] in (value, '.'.join(map(str, value))))
            else:
                k.equal(name, got.get(name), value)
        k.expect('no ESN, not dead', 'esn' not in got and 'dead' not in got)
        k.equal('refused', set(got['refused'].values()), {0})
        k.equal('sas', q.link('xa')['sas'], 1)
        refused(k, q, 'esp-add', sa, E.EEXIST, 'spi')
        other = q.do('esp-replace', {**sa, 'reqid': 9})['sa']
        k.expect('another number', other != number)
        k.equal('replaced', q.do('esp-get', {'link-name': 'xa', 'dir': 'out',
                                             'spi': 0x1234})['reqid'], 9)
        full = {**sa, 'dir': 'in', 'mode': 'transport', 'reqid': 7, 'if-id': 8,
                'mark': 0x10, 'mark-mask': 0xf0, 'replay-window': 4096, 'esn': True,
                'on-empty': 'block', **V6, 'spi': 0xffffffff,
                'sel': {**V6, 'src-prefix': 64, 'dst-prefix': 128, 'proto': 17,
                        'sport': 500, 'dport': 65535, 'ifindex': 3}}
        q.do('esp-add', full)
        got = q.do('esp-get', {'link-name': 'xa', 'dir': 'in', 'spi': 0xffffffff})
        for name in ('mode', 'reqid', 'if-id', 'mark', 'mark-mask', 'replay-window',
                     'esn', 'on-empty', 'spi', 'dir'):
            k.equal(name, got[name], full[name])
        for name, value in full['sel'].items():
            k.equal('sel ' + name, got['sel'].get(name), value)
        k.equal('dump', sorted(s['spi'] for s in q.dump('esp-dump', {})),
                [0x1234, 0xffffffff])
        for direction, spi in (('out', 0x1234), ('in', 0xffffffff)):
            q.do('esp-del', {'link-name': 'xa', 'dir': direction, 'spi': spi})
        k.equal('dump', q.dump('esp-dump', {}), [])
        k.equal('sas', q.link('xa')['sas'], 0)
        delete(q, 'xa')

    with k.case('esp: each refusal, and no SA is added'):
        new(q, 'xa')
        new(q, 'xb')
        inbound = {**sa, 'dir': 'in', 'mode': 'transport'}

        def no(number, attr=None, missing=None, drop=(), base=sa, text='', **attrs):
            for op in ('esp-add', 'esp-replace'):
                wanted = {n: v for n, v in {**base, **under(attrs)}.items()
                          if n not in drop}
                refused(k, q, op, wanted, number, attr, missing, text)

        for name in ('cipher', 'dir', 'spi', 'src', 'dst', 'mode'):
            no(E.EINVAL, missing=name, drop=[name])
        for cipher in (0, 4):
            no(E.ERANGE, 'cipher', cipher=cipher)
        no(E.ERANGE, 'on-empty', on_empty=3)
        for direction in (0, 3):
            no(E.ERANGE, 'dir', dir=direction)
        for spi in (0, 1, 255):
            no(E.EINVAL, 'spi', spi=spi)
        for mode in (0, 4):
            no(E.ERANGE, 'mode', mode=mode)
        for length in (0, 3, 5, 15, 17):
            no(E.EINVAL, 'src', src=bytes(length))
            no(E.EINVAL, 'dst', dst=bytes(length))
        no(E.EINVAL, 'dst', dst=V6['dst'])
        no(E.EINVAL, 'dst', dst=bytes(4))
        no(E.EINVAL, 'dst', dst=bytes([224, 0, 0, 1]))
        no(E.EINVAL, 'dst', dst=b'\xff' * 4)
        no(E.EINVAL, 'dst', src=V6['src'], dst=bytes(16))
        no(E.EINVAL, 'dst', src=V6['src'], dst=b'\xff\x02' + bytes(13) + b'\1')
        no(E.EINVAL, 'src', src=bytes([239, 1, 1, 1]))
        no(E.EINVAL, 'src', src=bytes(4))
        no(E.EINVAL, 'replay-window', replay_window=1)
        no(E.ERANGE, 'replay-window', base=inbound, replay_window=4097)
        no(E.EINVAL, 'esn', base=inbound, esn=True)
        no(E.EINVAL, 'replay-window', base=inbound, esn=True, replay_window=0)
        no(E.EINVAL, 'mark-mask', mark=0x11, mark_mask=0x10)
        no(E.EINVAL, missing='mark', mark_mask=0x10)
        sel = lambda attr, **s: no(E.EINVAL, attr, sel=under(s))
        sel('src', src=bytes(5))
        sel('src-prefix', src_prefix=8)
        sel('dst-prefix', dst=V4['dst'], dst_prefix=33)
        sel('dst', src=V4['src'], dst=V6['dst'])
        no(E.EINVAL, 'sel', base=inbound, sel=V6)
        for name, value in (('src-prefix', 129), ('proto', 256), ('sport', 65536),
                            ('dport', 1 << 31)):
            no(E.ERANGE, name, sel={name: value})
        no(E.ERANGE, 'ifindex', sel={'ifindex': 1 << 31})
        for name in ('sa', 'packets', 'dead'):
            no(E.EINVAL, **{name: 1})
        for op in ('esp-get', 'esp-del'):
            for name in ('dir', 'spi'):
                refused(k, q, op, {n: v for n, v in {
                    'link-name': 'xa', 'dir': 'out', 'spi': 0x1234}.items()
                    if n != name}, E.EINVAL, missing=name)
            refused(k, q, op, {'link-name': 'xa', 'dir': 'out', 'spi': 0x1234}, E.ENOENT,
                    'spi')
            refused(k, q, op, {'link-name': 'xa', 'dir': 'out', 'spi': 255}, E.EINVAL,
                    'spi')
        q.do('esp-add', sa)
        for op in ('esp-get', 'esp-del'):
            refused(k, q, op, {'link-name': 'xb', 'dir': 'out', 'spi': 0x1234}, E.ENOENT,
                    'spi')
            refused(k, q, op, {'link-name': 'xa', 'dir': 'in', 'spi': 0x1234}, E.ENOENT,
                    'spi')
        # One SPI once per link and direction, whatever else differs.
        for more in ({'dst': bytes([192, 0, 2, 99])}, V6, {'mark': 5}, {'if-id': 5}):
            refused(k, q, 'esp-add', {**sa, **more}, E.EEXIST, 'spi')
        k.equal('dump', [s['spi'] for s in q.dump('esp-dump', {})], [0x1234])
        q.do('esp-del', {'link-name': 'xa', 'dir': 'out', 'spi': 0x1234})
        delete(q, 'xa', 'xb')


def test_esp_aes(k, q):
    """SAs with AES keys, on a pair of links that have key."""
    pair = Pair(q, 'y')
    pair.up()
    pair.supply(A2B_PAD, 1 << 15)
    out = {'link-name': 'ya', 'cipher': 'aes', 'dir': 'out', 'spi': 0x2001,
           'mode': 'tunnel', **V4}
    into = {**out, 'dir': 'in', 'spi': 0x2002, 'replay-window': 64}
    get = lambda sa: q.do('esp-get', {n: sa[n] for n in ('link-name', 'dir', 'spi')})
    drop = lambda sa: q.do('esp-del', {n: sa[n] for n in ('link-name', 'dir', 'spi')})
    limits = {'epoch-packets': 1 << 32, 'epoch-bytes': 1 << 36, 'epoch-time': 3600000}
    rekeys = {'rekey-packets': 100, 'rekey-bytes': 1 << 20, 'rekey-time': 250}
    add_key('qkd:good', bytes(range(32)))
    add_key('qkd:long', os.urandom(1024))
    hybrid = {**out, 'cipher': 'hybrid', 'spi': 0x2003, 'secret': 'qkd:good'}
    set_of = lambda sa, **more: {**{n: sa[n] for n in ('link-name', 'dir', 'spi')},
                                 **under(more)}

    with k.case('esp: what an SA with AES keys is told, and what if nothing'):
        def shows(sa, absent=(), **wanted):
            q.do('esp-add', sa)
            got = get(sa)
            for name, value in under(wanted).items():
                k.equal(f'{sa["cipher"]} {sa["dir"]}: {name}', got.get(name), value)
            for name in absent:
                k.expect(f'{sa["cipher"]} {sa["dir"]}: {name} is there', name not in got)
            drop(sa)
            return got

        nothing = dict.fromkeys(('epochs', 'interval', 'parked', 'fallback-packets'), 0)
        absent = ('epoch', 'fallback', 'rekey-auto', 'lifetime', 'encap', 'secret',
                  'secret-number', 'dead')
        got = shows(out, absent + tuple(rekeys), weight=1, park_time=50, on_empty='block',
                    cipher='aes', **limits, **nothing)
        k.expect('key-left', got['key-left'] > 100)
        k.equal('refused', set(got['refused'].values()), {0})
        k.equal('reasons', len(got['refused']), 13)
        shows({**out, **rekeys, 'epoch-packets': 100, 'epoch-bytes': 1 << 20,
               'epoch-time': 250, 'weight': 65535, 'park-time': 1000}, absent,
              epoch_packets=100, epoch_bytes=1 << 20, epoch_time=250, weight=65535,
              park_time=1000, **rekeys)
        shows({**out, **limits, 'rekey-packets': 1 << 32, 'rekey-bytes': 1 << 36,
               'rekey-time': 3600000, 'park-time': 0}, absent,
              rekey_packets=1 << 32, rekey_bytes=1 << 36, rekey_time=3600000, park_time=0)
        shows({**out, 'rekey-auto': True, 'rekey-packets': 3}, ('rekey-time',),
              rekey_auto=True, rekey_packets=3)
        shows({**out, 'on-empty': 'aes'}, absent, on_empty='aes')
        shows(into, absent + tuple(limits) + tuple(rekeys) + ('weight', 'key-left'),
              park_time=50, replay_window=64, **nothing)
        shows(hybrid, absent[:-2], secret_number=1, **limits)
        shows({**hybrid, 'secret': 'qkd:long', 'secret-number': 0xffffffff}, ('secret',),
              secret_number=0xffffffff)
        shows({**into, 'cipher': 'hybrid', 'secret': 'qkd:good', 'secret-number': 7},
              ('secret', 'weight'), secret_number=7)
        shows({**out, 'cipher': 'otp', 'on-empty': 'aes', 'rekey-time': 250}, absent,
              on_empty='aes', rekey_time=250, weight=1)
        shows({**into, 'cipher': 'otp', 'on-empty': 'aes'}, ('weight',), park_time=50)
        add_key('qkd:bind', os.urandom(16))
        for sa in (out, {**out, 'cipher': 'otp'}, into):
            shows({**sa, 'bind': 'qkd:bind'}, ('bind',))
        shows({**out, 'cipher': 'otp'}, tuple(limits) + tuple(nothing) + (
            'weight', 'park-time', 'key-left'))

    with k.case('esp: mode beet, encapsulation, lifetimes'):
        beet = {**out, 'mode': 'beet', 'sel': {
            'src': bytes([10, 9, 0, 1]), 'dst': bytes([10, 9, 0, 2])}}
        for sa in (beet, {**beet, 'cipher': 'otp'}, {**beet, **V6}):
            q.do('esp-add', sa)
            k.equal('mode', get(sa)['mode'], 'beet')
            drop(sa)
        lives = {'soft-bytes': 5, 'hard-bytes': 5, 'soft-packets': 6, 'hard-packets': 7,
                 'soft-add-time': 3600, 'hard-add-time': 7200, 'soft-use-time': 3600,
                 'hard-use-time': 7200}
        for some in (lives, {'hard-bytes': 1}, {'soft-use-time': 99},
                     {'soft-packets': 0xfffffffffffffff0}):
            sa = {**out, 'lifetime': some, 'encap': {'sport': 4500, 'dport': 4501}}
            q.do('esp-add', sa)
            got = get(sa)
            k.equal('lifetime', got['lifetime'], some)
            k.equal('encap', got['encap'], sa['encap'])
            drop(sa)
        q.do('esp-add', {**out, 'lifetime': dict.fromkeys(lives, 0)})
        k.expect('no lifetime', 'lifetime' not in get(out))
        drop(out)

    with k.case('esp-set changes what it names'):
        q.do('esp-add', {**hybrid, **rekeys, 'weight': 3, 'park-time': 7})
        before = get(hybrid)

        def became(change, gone=(), **also):
            q.do('esp-set', set_of(hybrid, **change))
            for name in gone:
                before.pop(name, None)
            before.update(under({**change, **also}))
            before.pop('secret', None)
            now = get(hybrid)
            # Another secret may draw key for the epoch that it begins.
            for name in ('key-left', 'key-bytes', 'secret-number'):
                now.pop(name, None), before.pop(name, None)
            k.equal(f'after {change}', now, before)

        became({'rekey_packets': 5}, ('rekey-bytes', 'rekey-time'))
        became({'weight': 9})
        became({'rekey_auto': True}, ('rekey-packets',))
        became({'park_time': 0})
        became({'rekey_time': 1, 'weight': 1, 'park_time': 1000}, ('rekey-auto',))
        became({'secret': 'qkd:long', 'secret_number': 2})
        drop(hybrid)
        sa = {**into, 'cipher': 'hybrid', 'secret': 'qkd:good'}
        q.do('esp-add', sa)
        q.do('esp-set', set_of(sa, secret='qkd:long', secret_number=2, park_time=3))
        refused(k, q, 'esp-set', set_of(sa, secret='qkd:good', secret_number=3), E.EBUSY,
                'secret-number')
        k.equal('park-time', get(sa)['park-time'], 3)
        drop(sa)

    with k.case('esp-flush: of one link, of all, of this namespace'):
        for name in pair.names:
            for sa in (out, into, {**out, 'cipher': 'otp', 'spi': 0x2009}):
                q.do('esp-add', {**sa, 'link-name': name, 'mark': pair.names.index(name)})
        spis = lambda: [(s['link-name'], s['spi']) for s in q.dump('esp-dump', {})]
        k.equal('SAs', len(spis()), 6)

        def elsewhere():
            os.unshare(CLONE_NEWNET)
            Qkd().do('esp-flush', {})

        k.equal('elsewhere', in_child(elsewhere), '')
        k.equal('SAs', len(spis()), 6)
        refused(k, q, 'esp-flush', {'link-name': 'nosuch'}, E.ENODEV, 'link-name')
        refused(k, q, 'esp-flush', {'link-name': 'ya', 'spi': 0x2009}, E.EINVAL)
        k.equal('SAs', len(spis()), 6)
        q.do('esp-flush', {'link-name': 'ya'})
        k.equal('after one', {link for link, _ in spis()}, {'yb'})
        q.do('esp-flush', {'link-index': pair.index[0]})
        k.equal('of none', len(spis()), 3)
        q.do('esp-flush', {})
        k.equal('after all', spis(), [])
        q.do('esp-flush', {})
        k.equal('XFRM', os.popen('ip xfrm state').read(), '')

    with k.case('esp: each refusal about AES keys, and nothing changed'):
        kept = [{**out, 'spi': 0x3001, 'rekey-time': 100, 'epoch-time': 1000},
                {**into, 'spi': 0x3002},
                {**hybrid, 'spi': 0x3003, 'secret-number': 4},
                {**out, 'cipher': 'otp', 'spi': 0x3004}]
        for sa in kept:
            q.do('esp-add', sa)
        before = q.dump('esp-dump', {})

        def no(base, number, attr=None, missing=None, text='', **attrs):
            for op in ('esp-add', 'esp-replace'):
                refused(k, q, op, {**base, **under(attrs)}, number, attr, missing, text)

        bare = {n: v for n, v in into.items() if n != 'replay-window'}
        no(bare, E.EINVAL, missing='replay-window')
        no(into, E.EINVAL, 'replay-window', replay_window=0)
        for more in ({'cipher': 'hybrid', 'secret': 'qkd:good'},
                     {'cipher': 'otp', 'on-empty': 'aes'}):
            no({**bare, **more}, E.EINVAL, missing='replay-window')
            no({**into, **more}, E.EINVAL, 'replay-window', replay_window=0)

        outbound = {**rekeys, **limits, 'weight': 2, 'rekey-auto': True}
        for name, value in outbound.items():
            no(into, E.EINVAL, name, text='sender', **{name: value})
            no({**into, 'cipher': 'otp', 'on-empty': 'aes'}, E.EINVAL, name, text='sender',
               **{name: value})
        for name, value in {**outbound, 'park-time': 5}.items():
            for base in (out, into):
                no({**base, 'cipher': 'otp'}, E.EINVAL, name, text='no AES keys',
                   **{name: value})
        for limit, most in limits.items():
            for name in (limit, limit.replace('epoch', 'rekey')):
                no(out, E.ERANGE, name, **{name: 0})
                no(out, E.ERANGE, name, **{name: most + 1})
        for weight in (0, 65536):
            no(out, E.ERANGE, 'weight', weight=weight)
        no(out, E.ERANGE, 'park-time', park_time=1001)
        no(out, E.EINVAL, 'rekey-time', rekey_auto=True, rekey_time=5)
        for what in ('packets', 'bytes', 'time'):
            no(out, E.EINVAL, 'rekey-' + what, text='limit',
               **{'rekey-' + what: 11, 'epoch-' + what: 10})

        no(out, E.EINVAL, missing='sel', mode='beet')
        for sel in ({}, {'src': V4['src']}, {**V4, 'src-prefix': 31}, {**V6, 'dst-prefix': 64}):
            no(out, E.EINVAL, 'sel', mode='beet', sel=sel)
        no(out, E.EINVAL, 'src', mode='beet', src=bytes(4), sel=V4)
        for ports, lacks in (({}, 1), ({'sport': 4500}, 2), ({'dport': 4500}, 1)):
            no(out, E.EINVAL, missing=lacks, encap=ports)
        for port in (0, 65536):
            no(out, E.ERANGE, 'sport', encap={'sport': port, 'dport': 4500})
            no(out, E.ERANGE, 'dport', encap={'sport': 4500, 'dport': port})
        for what in ('bytes', 'packets', 'add-time', 'use-time'):
            no(out, E.EINVAL, 'soft-' + what,
               lifetime={'soft-' + what: 9, 'hard-' + what: 8})
        for name in ('soft-add-time', 'hard-use-time'):
            no(out, E.ERANGE, name, lifetime={name: 1 << 32})
        for name, value in (('epochs', 1), ('interval', 1), ('key-left', 1),
                            ('fallback', True), ('parked', 1)):
            no(out, E.EINVAL, **{name: value})

        def not_set(sa, number, attr=None, missing=None, text='', **change):
            refused(k, q, 'esp-set', set_of(sa, **change), number, attr, missing, text)

        sender, receiver, mixed, pad = kept
        for sa in kept:
            not_set(sa, E.EINVAL, text='nothing to change')
            not_set({**sa, 'spi': 0x3fff}, E.ENOENT, 'spi', weight=1)
            not_set({**sa, 'link-name': 'yb'}, E.ENOENT, 'spi', weight=1)
            not_set({**sa, 'spi': 255}, E.EINVAL, 'spi', weight=1)
            not_set(sa, E.EINVAL, reqid=1)
            not_set(sa, E.EINVAL, epoch_time=5)
        for name in ('dir', 'spi'):
            refused(k, q, 'esp-set', {n: v for n, v in set_of(sender, weight=2).items()
                                      if n != name}, E.EINVAL, missing=name)
        not_set(sender, E.EINVAL, 'rekey-time', rekey_time=1001)
        not_set(sender, E.EINVAL, 'rekey-time', rekey_auto=True, rekey_time=5)
        not_set(sender, E.ERANGE, 'rekey-packets', rekey_packets=0)
        not_set(sender, E.EINVAL, 'secret', secret='qkd:good', secret_number=2)
        not_set(receiver, E.EINVAL, 'rekey-packets', text='sender', rekey_packets=5)
        not_set(receiver, E.EINVAL, 'weight', text='sender', weight=5)
        for name, value in (('rekey-auto', True), ('weight', 5), ('park-time', 5)):
            not_set(pad, E.EINVAL, name, text='no AES keys', **{name: value})
        not_set(mixed, E.EINVAL, missing='secret-number', secret='qkd:good')
        not_set(mixed, E.EINVAL, 'secret-number', secret_number=5)
        not_set(mixed, E.ENOKEY, 'secret', weight=9, secret='qkd:none', secret_number=5)
        k.equal('the SAs', q.dump('esp-dump', {}), before)

    with k.case('esp: secrets that are refused'):
        for cipher in ('aes', 'otp'):
            no({**out, 'cipher': cipher}, E.EINVAL, 'secret', secret='qkd:good')
            no({**out, 'cipher': cipher}, E.EINVAL, 'secret-number', secret_number=2)
        no({**out, 'cipher': 'hybrid'}, E.EINVAL, missing='secret')
        no({**out, 'cipher': 'hybrid'}, E.EINVAL, 'secret-number', secret_number=2)
        add_key('qkd:short', os.urandom(31))
        add_key('qkd:large', os.urandom(1025))
        add_key('qkd:zero32', bytes(32))
        add_key('qkd:zero1024', bytes(1024))
        add_key('qkd:user', os.urandom(32), b'user')
        in_child(lambda: add_key('qkd:theirs', os.urandom(32)) and '')
        for name, number in (('short', E.ERANGE), ('large', E.ERANGE), ('zero32', E.EINVAL),
                             ('zero1024', E.EINVAL), ('user', E.ENOKEY),
                             ('theirs', E.ENOKEY), ('none', E.ENOKEY), ('goo', E.ENOKEY)):
            no(hybrid, number, 'secret', secret='qkd:' + name)
        no(hybrid, E.ENOKEY, 'secret', secret='good')
        no(hybrid, E.EINVAL, 'secret', secret='qkd:' + 'x' * 252)

        no(hybrid, E.EINVAL, 'bind', text='hybrid', bind='qkd:bind')
        for cipher in ('aes', 'otp'):
            sa = {**out, 'cipher': cipher}
            for size in (15, 17):
                add_key(f'qkd:bind{size}', os.urandom(size))
                no(sa, E.ERANGE, 'bind', text='16 bytes', bind=f'qkd:bind{size}')
            add_key('qkd:bindzero', bytes(16))
            no(sa, E.EINVAL, 'bind', bind='qkd:bindzero')
            no(sa, E.ENOKEY, 'bind', bind='qkd:none')
            no(sa, E.EINVAL, 'secret', bind='qkd:bind', secret='qkd:good')
        not_set(sender, E.EINVAL, bind='qkd:bind')

        def odd(name, spoil):
            """Keys that are there, but may not be used."""
            serial = add_key('qkd:' + name, os.urandom(32))
            spoil(serial)
            for op in ('esp-add', 'esp-replace'):
                try:
                    q.do(op, {**hybrid, 'secret': 'qkd:' + name})
                    k.expect(f'{name}: not refused', False)
                except NlError as error:
                    extack = error.nl_msg.extack
                    k.expect(f'{name}: {error.error}', error.error in (
                        E.EKEYREVOKED, E.EKEYEXPIRED, E.EACCES, E.ENOKEY))
                    k.expect(f'{name}: {extack}', 'key' in extack.get('msg', '') and
                             extack.get('bad-attr') == '.secret')

        odd('revoked', lambda serial: keyctl(KEYCTL_REVOKE, serial))
        odd('unlinked', lambda serial: keyctl(KEYCTL_UNLINK, serial, PROCESS_KEYRING))
        odd('hidden', lambda serial: keyctl(KEYCTL_SETPERM, serial, 0))
        odd('expired', lambda serial: (keyctl(KEYCTL_SET_TIMEOUT, serial, 1),
                                       time.sleep(2.1)))
        k.equal('the SAs', q.dump('esp-dump', {}), before)

    with k.case("esp: a user namespace's root uses secrets of its own"):
        def inside():
            enter_user_namespace()
            mine = Qkd()
            new(mine, 'inner')
            sa = {**into, 'cipher': 'hybrid', 'link-name': 'inner'}
            for name in ('good', 'mine'):
                try:
                    mine.do('esp-add', {**sa, 'secret': 'qkd:' + name})
                except NlError as error:
                    if name == 'mine' or error.error != E.ENOKEY:
                        return f'{name}: {error}'
                    add_key('qkd:mine', os.urandom(32))
            got = mine.dump('esp-dump', {})
            return '' if len(got) == 1 and got[0]['cipher'] == 'hybrid' else str(got)

        k.equal('inside', in_child(inside), '')
        k.equal('the SAs', q.dump('esp-dump', {}), before)
        q.do('esp-flush', {})
    pair.close()


def macsec_devices(*words):
    """Makes or deletes mv0 and mx0 on it; the index of the latter."""
    for line in words:
        subprocess.run(['ip', 'link', *line.split()], check=True)
    return socket.if_nametoindex('mx0') if words[0].startswith('add') else 0


def gone(q, op, attrs):
    """Until an object is no longer found."""
    for _ in range(1000):
        try:
            q.do(op, attrs)
        except NlError as error:
            return error.error == E.ENOENT
        time.sleep(0.02)
    return False


def test_wireguard(k, q):
    subprocess.run(['ip', 'link', 'add', 'wgn', 'type', 'wireguard'], check=True)
    dev = socket.if_nametoindex('wgn')
    peer, zero = bytes(range(32)), bytes(16)
    name = {'ifindex': dev, 'peer': peer}
    want = {**name, 'link-name': 'xa'}
    q.do('link-new', {'name': 'xa', **USER})
    with k.case('wireguard: each refusal, and no peer is there'):
        for missing in ('link-name', 'ifindex', 'peer'):
            refused(k, q, 'wg-set', {a: v for a, v in want.items() if a != missing}, E.EINVAL,
                    missing=missing)
        refused(k, q, 'wg-set', {**want, 'link-name': 'nosuch'}, E.ENODEV, 'link-name')
        refused(k, q, 'wg-set', {**want, 'ifindex': 1}, E.EOPNOTSUPP, 'ifindex',
                text='not a WireGuard device')
        refused(k, q, 'wg-set', {**want, 'ifindex': 1 << 30}, E.ENODEV, 'ifindex')
        for length in (0, 31, 33):
            refused(k, q, 'wg-set', {**want, 'peer': bytes(length)}, E.ERANGE, 'peer')
        for time_ in (0, 99, 86400001):
            refused(k, q, 'wg-set', {**want, 'max-time': time_}, E.ERANGE, 'max-time')
        refused(k, q, 'wg-set', {**want, 'key-id': zero, 'hold': True}, E.EINVAL, 'key-id',
                text='allocated, not named')
        for more in ({}, {'hold': True}, {'key-id': zero}):
            refused(k, q, 'wg-set', {**want, **more}, E.ENETDOWN, 'ifindex', text='not up')
        for op in ('wg-get', 'wg-del'):
            refused(k, q, op, name, E.ENOENT, 'peer', text='no link')
            for missing in ('ifindex', 'peer'):
                refused(k, q, op, {a: v for a, v in name.items() if a != missing}, E.EINVAL,
                        missing=missing)
        refused(k, q, 'wg-dump', {'ifindex': dev}, E.EINVAL, dump=True)
        k.equal('peers', q.dump('wg-dump', {}), [])
    q.do('link-del', {'name': 'xa'})
    subprocess.run(['ip', 'link', 'del', 'wgn'], check=True)


def test_macsec(k, q):
    new(q, 'xa')
    dev = macsec_devices('add mv0 type dummy', 'add link mv0 mx0 type macsec')
    with k.case('macsec-bind, -get, -unbind'):
        q.do('macsec-bind', {'link-name': 'xa', 'ifindex': dev})
        got = q.do('macsec-get', {'ifindex': dev})
        for name, value in {'link-name': 'xa', 'ifindex': dev, 'max-time': 3600000,
                            'suite': 'gcm-aes-128', 'sas': 0, 'installed': 0,
                            'removed': 0, 'failed': 0}.items():
            k.equal(name, got.get(name), value)
        k.expect('an SCI, not leaving', got['sci'] & 0xffff == 1 and 'leaving' not in got)
        k.equal('dump', q.dump('macsec-dump', {}), [got])
        k.equal('SAs', q.dump('macsec-sa-dump', {}), [])
        q.do('macsec-unbind', {'ifindex': dev})
        k.expect('unbound', gone(q, 'macsec-get', {'ifindex': dev}))
        for time_ in (100, 86400000):
            q.do('macsec-bind', {'link-name': 'xa', 'ifindex': dev, 'max-time': time_})
            k.equal('max-time', q.do('macsec-get', {'ifindex': dev})['max-time'], time_)
            q.do('macsec-unbind', {'ifindex': dev})
            k.expect('unbound', gone(q, 'macsec-get', {'ifindex': dev}))

    with k.case('macsec: each refusal, and no SA is added'):
        bind = {'link-name': 'xa', 'ifindex': dev}
        refused(k, q, 'macsec-bind', {'ifindex': dev}, E.EINVAL, missing='link-name')
        refused(k, q, 'macsec-bind', {'link-name': 'xa'}, E.EINVAL, missing='ifindex')
        refused(k, q, 'macsec-bind', {**bind, 'link-name': 'nosuch'}, E.ENODEV, 'link-name')
        for index in (0, 1 << 31):
            refused(k, q, 'macsec-bind', {**bind, 'ifindex': index}, E.ERANGE, 'ifindex')
        for time_ in (0, 99, 86400001):
            refused(k, q, 'macsec-bind', {**bind, 'max-time': time_}, E.ERANGE, 'max-time')
        refused(k, q, 'macsec-bind', {**bind, 'ifindex': 1}, E.EOPNOTSUPP, 'ifindex',
                text='not a macsec device')
        refused(k, q, 'macsec-bind', {**bind, 'ifindex': 1 << 30}, E.ENODEV, 'ifindex')
        refused(k, q, 'macsec-bind', {**bind, 'sas': 1}, E.EINVAL)
        for op in ('macsec-get', 'macsec-unbind'):
            refused(k, q, op, {}, E.EINVAL, missing='ifindex')
            refused(k, q, op, {'ifindex': dev}, E.ENOENT, 'ifindex')
        name = {'ifindex': dev, 'dir': 'in', 'an': 0, 'sci': 1 << 16}
        out = {'ifindex': dev, 'dir': 'out', 'an': 0}
        refused(k, q, 'macsec-sa-add', out, E.ENOENT, 'ifindex', text='not bound')
        q.do('macsec-bind', bind)
        refused(k, q, 'macsec-bind', bind, E.EEXIST, 'ifindex')
        for op in ('macsec-sa-add', 'macsec-sa-del', 'macsec-sa-get'):
            for missing in name:
                refused(k, q, op, {n: v for n, v in name.items() if n != missing},
                        E.EINVAL, missing=missing)
            refused(k, q, op, {**name, 'an': 4}, E.ERANGE, 'an')
            refused(k, q, op, {**name, 'dir': 3}, E.ERANGE, 'dir')
            refused(k, q, op, {**out, 'sci': 1}, E.EINVAL, 'sci')
        for op in ('macsec-sa-del', 'macsec-sa-get'):
            refused(k, q, op, name, E.ENOENT, 'an')
            refused(k, q, op, {**name, 'key-id': bytes(16)}, E.EINVAL)
        refused(k, q, 'macsec-sa-add', name, E.EINVAL, missing='key-id')
        refused(k, q, 'macsec-sa-add', {**out, 'key-id': bytes(16)}, E.EINVAL, 'key-id')
        for length in (0, 15, 17):
            refused(k, q, 'macsec-sa-add', {**name, 'key-id': bytes(length)},
                    E.ERANGE, 'key-id')
        refused(k, q, 'macsec-sa-add', {**name, 'key-id': bytes(16)}, E.EINVAL, 'key-id',
                text='malformed')
        refused(k, q, 'macsec-sa-add', out, E.ENETDOWN, 'ifindex', text='not up')
        refused(k, q, 'macsec-dump', {'ifindex': dev}, E.EINVAL, dump=True)
        k.equal('SAs', q.dump('macsec-sa-dump', {}), [])

    with k.case('macsec: many devices in a dump, and all gone with their link'):
        count = scaled(500)
        macsec_devices('del mx0')
        k.expect('unbound', gone(q, 'macsec-get', {'ifindex': dev}))
        for n in range(count):
            subprocess.run(['ip', 'link', 'add', 'link', 'mv0', f'mx{n}', 'type', 'macsec',
                            'port', str(n + 1)], check=True)
        index = {socket.if_nametoindex(f'mx{n}') for n in range(count)}
        for i in index:
            q.do('macsec-bind', {'link-name': 'xa', 'ifindex': i})
        k.equal('dump', {d['ifindex'] for d in q.dump('macsec-dump', {})}, index)
        small = Qkd(recv_size=8192)
        k.equal('dump in small steps', len(small.dump('macsec-dump', {})), count)
        small.close()
        delete(q, 'xa')
        for i in index:
            k.expect('unbound', gone(q, 'macsec-get', {'ifindex': i}))
        macsec_devices('del mv0')


def test_events(k, q):
    with k.case('events of a link, in order, in its namespace alone'):
        listener = Qkd()
        listener.listen()
        pair = Pair(q, 'v')
        pair.begin()
        pair.open()
        q.do('esp-add', {'link-name': 'va', 'cipher': 'otp', 'dir': 'out', 'spi': 0x4242,
                         'mode': 'tunnel', **V4})
        q.do('esp-del', {'link-name': 'va', 'dir': 'out', 'spi': 0x4242})
        q.do('link-set', {'name': 'va', 'admin': 'down'})

        def elsewhere():
            os.unshare(CLONE_NEWNET)
            mine, ears = Qkd(), Qkd()
            ears.listen()
            new(mine, 'quiet')
            got = [e['type'] for e in ears.events()]
            delete(mine, 'quiet')
            return '' if got == ['link-new'] else str(got)

        k.equal('elsewhere', in_child(elsewhere), '')
        index = pair.index[0]
        pair.close()
        heard = listener.events()
        mine = [e for e in heard if e['link-name'] == 'va']
        k.equal('types', [e['type'] for e in mine],
                ['link-new', 'link-up', 'sa-new', 'sa-del', 'link-down', 'link-del'])
        k.expect('the index', all(e['link-index'] == index for e in mine))
        times = [e['time'] for e in mine]
        k.equal('times ascend', times, sorted(times))
        k.expect('times are of now',
                 abs(times[-1] - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < 60e9)
        k.equal('label', mine[1].get('label'), 1)
        k.equal('reason', mine[4].get('reason'), 'operator')
        k.equal('SA', (mine[2].get('spi'), mine[2].get('dir')), (0x4242, 'out'))
        k.expect('nobody else is heard', not [e for e in heard
                                              if e['link-name'] == 'quiet'])
        listener.close()

    with k.case('events of paths that may not sleep come once a second'):
        listener = Qkd()
        listener.listen()
        pair = Pair(q, 'v', export=['export'], **{
            'key-low': 1024, 'reserve-control': 0, 'reserve-rekey': 0})
        pair.begin()
        pair.open()
        for count in (1, 2, 1):
            pair.supply(A2B_KEY, 2048)
            for _ in range(40):
                try:
                    q.do('key-get', {'link-name': 'va', 'class': 'export', 'size': 64,
                                     'count': count})
                except NlError as error:
                    k.equal('error', error.error, E.ENOKEY)
                    break
        time.sleep(2.5)
        heard = listener.events()
        for kind, wanted in (('key-low', 3), ('key-empty', 3), ('key-restored', 2)):
            got = [e for e in heard if e['type'] == kind and e['link-name'] == 'va']
            k.equal(f'{kind}: count', sum(e.get('count', 0) for e in got), wanted)
            k.expect(f'{kind}: stream', all(e.get('stream') == 'a2b-key' for e in got))
            for one, two in itertools.pairwise(got):
                k.expect('a second apart', two['time'] - one['time'] > 0.9e9)
        pair.close()
        listener.close()


def test_dumps(k, q):
    count = scaled(10000)
    with k.case(f'dumps of {count} links'):
        indexes = [new(q, f'd{n}')['index'] for n in range(count)]
        for size in (4096, 8192, 1 << 17):
            mine = Qkd(size)
            got = [link['index'] for link in mine.dump('link-dump', {})]
            k.equal(f'with buffers of {size}: all, once', got, sorted(indexes))
            mine.close()
        k.equal('one of them', q.link(f'd{count - 1}')['index'], indexes[-1])

    with k.case(f'a dump while links come and go shows all that stay'):
        stop = threading.Event()

        def churn():
            mine = Qkd()
            for n in itertools.count():
                if stop.is_set():
                    return
                new(mine, f'c{n}')
                delete(mine, f'c{n}')

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(3):
                got = [link['index'] for link in q.dump('link-dump', {})
                       if link['name'].startswith('d')]
                k.equal('all, once', got, sorted(indexes))
        finally:
            stop.set()
            thread.join()

    with k.case(f'a dump of {count} SAs of {min(count, 100)} links'):
        wanted = set()
        for n in range(count):
            sa = {'link-name': f'd{n % 100 % count}', 'cipher': 'otp',
                  'dir': ('in', 'out')[n // 100 % 2], 'spi': 0x10000 + n,
                  'mode': 'transport', **V4}
            q.do('esp-add', sa)
            wanted.add((sa['link-name'], sa['dir'], sa['spi']))
        for size in (4096, 1 << 17):
            mine = Qkd(size)
            got = [(s['link-name'], s['dir'], s['spi'])
                   for s in mine.dump('esp-dump', {})]
            k.equal('once', len(got), len(set(got)))
            k.equal('all', set(got) ^ wanted, set())
            mine.close()

    with k.case('deleting a link lets its SAs go, deleting the rest'):
        delete(q, 'd0')
        k.expect('none of d0', not [s for s in q.dump('esp-dump', {})
                                    if s['link-name'] == 'd0'])
        os.system('ip xfrm state flush')
        for _ in range(300):
            left = q.dump('esp-dump', {})
            if not left:
                break
            time.sleep(0.1)
        k.equal('SAs after a flush', len(left), 0)
        delete(q, *(f'd{n}' for n in range(1, count)))
        k.equal('links', names(q), [])


def test_secrets(k, q):
    with k.case('no answer holds key, pad or seed'):
        pair = Pair(q, 's', confirm='tag', export=['control', 'export'])
        listener = Qkd()
        listener.listen()
        Recorder.heard = []
        pair.begin()
        for stream in (A2B_PAD, A2B_KEY, B2A_KEY):
            offset, length = pair.supply(stream, 4096)
            ends = pair.names if stream == B2A_KEY else pair.names[::-1]
            block = {'label': pair.label, 'stream': stream, 'offset': offset,
                     'length': length}
            tag = q.do('block-tag', {'link-name': ends[0], **block})['tag']
            q.do('block-confirm', {'link-name': ends[1], 'tag': tag, **block})
            q.do('block-confirm', {'link-name': ends[0], 'verdict': 'equal', **block})
        pair.open()
        secrets = [b[i:i + 16] for b in pair.sent for i in range(0, len(b), 16)]
        for _ in range(20):
            [issued] = q.do('key-get', {'link-name': 'sa', 'class': 'export',
                                        'size': 64})['issued']
            found = q.do('key-get-by-id', {'link-name': 'sb', 'id': issued['id']})
            key = pair.fetch(0, issued['handle'], 64)
            k.equal('one key', pair.fetch(1, found['handle'], 64), key)
            secrets += [key[i:i + 16] for i in range(0, 64, 16)]
        q.dump('link-dump', {})
        listener.events()
        heard = b'|'.join(Recorder.heard)
        k.expect('heard something', len(heard) > 1000)
        for secret in secrets:
            k.expect('a secret was heard', secret not in heard)
        pair.close()
        listener.close()

        # An error's answer quotes the request; the seed in it must be gone.
        seed = bytes(range(64, 128))
        q.do('link-new', {'name': 'e0', 'type': 'emu', 'emu': {'peer-name': 'e1'}})
        for op, attrs in (
                ('link-new', {'name': 'e0', 'type': 'emu', 'emu': {'seed': seed}}),
                ('link-new', {'name': 'a/b', 'type': 'emu', 'emu': {'seed': seed}}),
                ('link-new', {'name': 'e2', 'type': 'user', 'emu': {'seed': seed}}),
                ('link-set', {'name': 'e0', 'pad-keep': 1, 'emu': {'seed': seed}}),
                ('link-set', {'name': 'nosuch', 'emu': {'seed': seed}})):
            hand = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
            message = q._encode_message(q.ops[op], attrs, [], 1)
            hand.send(message)
            answer = hand.recv(1 << 16)
            k.expect(f'{op} {attrs}: refused', struct.unpack_from('=i', answer, 16)[0] < 0)
            k.expect(f'{op}: the answer quotes the request',
                     len(answer) >= 20 + len(message) and b'e0' in answer
                     or attrs['name'] != 'e0')
            k.expect(f'{op}: the seed', seed[:8] not in answer)
            hand.close()
        delete(q, 'e0')


def main():
    k, q = Ktap(), Qkd()
    for test in (test_family, test_new, test_new_refused, test_naming, test_set, test_gen,
                 test_block, test_driver_links, test_keys, test_keys_refused,
                 test_capabilities, test_user_namespace, test_autoload, test_namespaces,
                 test_malformed, test_many, test_esp, test_esp_aes, test_wireguard, test_macsec, test_events,
                 test_secrets, test_dumps):
        try:
            test(k, q)
        except NlError as error:
            with k.case(test.__name__):
                k.expect(str(error), False)
        for link in q.dump('link-dump', {}):        # what a failed case left
            try:
                q.do('link-del', {'index': link['index']})
            except NlError:
                pass
    k.finish()


main()
