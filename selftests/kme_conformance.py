# SPDX-License-Identifier: GPL-2.0-only
"""Every call, parameter, unit, error code and text of ETSI GS QKD 014 V1.1.1, in both
of its forms, asked of qkd-kme by a client in Python and by curl; who gets a key and who
does not; what clients may not do; what the KME keeps in its memory."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
import warnings

warnings.simplefilter('ignore', DeprecationWarning)         # TLS 1.1, to be refused
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'ref'))

import kme_lib                                              # noqa: E402
from kme_lib import (DIR, LINKS, PORT, SAES, Connection, Kme, Sae, certificate,  # noqa: E402
                     certificates, context, sections, stream, take_down, wait_for_key, wire_up)
from ktap import equal, run                                 # noqa: E402
from netns import PATIENCE, Netns, inside, until            # noqa: E402
from node import Node                                       # noqa: E402
from primitives import be, len16                            # noqa: E402
from process import memory_of                               # noqa: E402

NOT_FOUND = 'one or more keys specified are not found on KME'
MANDATORY = 'not all extension_mandatory parameters are supported'
MULTIPLE = 'size shall be a multiple of 8'


def refusal(answer, status, message, what=''):
    """An Error with these words; 401 has no body."""
    equal((answer.status, answer.message), (status, message), what)
    if status == 401:
        equal(answer.text, b'', what)
    else:
        equal(answer.type, 'application/json', what)


def good(answer):
    equal((answer.status, answer.type), (200, 'application/json'), answer.text)
    return answer


def both(answer, sae, master):
    """What was allocated comes out at the other end, the same."""
    equal(good(sae.dec(master, answer.ids)).keys, answer.keys, 'keys')


def taken(site):
    """Bytes of key that this end's tx and rx gave, and what it refused for its tag."""
    return tuple(stream(site, name)['taken'] for name in ('a2b-key', 'b2a-key'))


def hang_up():
    """Each test has connections of its own."""
    for sae in (a1, a2, b1, b2, b3):
        sae.close()


# ---- The three calls ----

def test_status():
    """status: every member, with the pool's real numbers"""
    body = good(a1.status('b1')).body
    link = kme_lib.show('a')
    stored = body.pop('stored_key_count')
    equal(body, {
        'source_KME_ID': 'kme-a', 'target_KME_ID': 'kme-b', 'master_SAE_ID': 'a1',
        'slave_SAE_ID': 'b1', 'key_size': 256, 'min_key_size': 64, 'max_key_size': 16128,
        'max_key_count': link['key_capacity'] // 32, 'max_key_per_request': 64,
        'max_SAE_ID_count': 2})
    if not 64 <= stored <= body['max_key_count']:
        raise AssertionError(f'{stored} keys stored')
    good(b1.status('a2'))
    equal(b1.status('a2').body['max_SAE_ID_count'], 0, 'b1 has no groups')
    kme_a.stop_supply()
    before = a1.status('b1').body['stored_key_count']
    good(a1.enc('b1', number=5))
    equal(a1.status('b1').body['stored_key_count'], before - 5, 'keys stored')
    kme_a.start_supply()


def test_get():
    """enc_keys by GET: number and size, alone and together, and neither"""
    for query, number, size in (('', 1, 256), ('number=3', 3, 256), ('size=1024', 1, 1024),
                                ('number=3&size=1024', 3, 1024), ('size=512&number=2', 2, 512)):
        answer = good(a1.get('b1', 'enc_keys', query))
        equal([len(key) * 8 for _, key in answer.keys], [size] * number, query)
        equal(len(set(answer.keys)), number, 'keys that differ')
        equal([str(uuid.UUID(i)) for i in answer.ids], answer.ids, 'IDs are UUIDs')
        equal(list(answer.body), ['keys'], 'members')
        both(answer, b1, 'a1')


def test_post():
    """enc_keys by POST: the same, all sizes of keys, and members that need not be met"""
    for request in ({}, {'number': 3}, {'size': 1024}, {'number': 64}, {'number': 2, 'size': 64},
                    {'size': 128}, {'size': 192}, {'size': 320}, {'size': 384}, {'size': 16128},
                    {'additional_slave_SAE_IDs': [], 'extension_mandatory': []},
                    {'extension_optional': [{'abc_x': 1}], 'vendor': {'a': [None]}}):
        answer = good(a1.enc('b1', **request))
        equal([len(key) * 8 for _, key in answer.keys],
              [request.get('size', 256)] * request.get('number', 1), request)
        both(answer, b1, 'a1')
    # the other way round, and a master with another slave
    both(good(b1.enc('a2', number=2)), a2, 'b1')
    both(good(a2.enc('b2', number=2)), b2, 'a2')


def test_dec():
    """dec_keys: by GET one, by POST many, in the order of the request, IDs in either case"""
    answer = good(a1.enc('b1', number=4))
    ids, keys = answer.ids, answer.keys
    equal(good(b1.get('a1', 'dec_keys', f'key_ID={ids[0]}')).keys, keys[:1])
    back = [ids[3], ids[1].upper()]
    equal(good(b1.dec('a1', back)).keys, [keys[3], keys[1]])
    equal(good(b1.post('a1', 'dec_keys', {
        'key_IDs': [{'key_ID': ids[2], 'key_ID_extension': {'abc_y': 1},
                     'master_SAE_ID': 'a1'}], 'key_IDs_extension': {'abc_z': 2}})).keys, [keys[2]])


def test_context():
    """the SAEs are in key and ID as the documentation says"""
    def made(master, slaves, size):
        text = b'qkd sae v1' + b''.join(len16(name.encode()) for name in (master, *slaves))
        return hashlib.sha256(text).digest() + be(size, 2)

    node = Node(Netns('kmb').json('link', 'show', LINKS['b'])[0]['index'], os.O_RDONLY)
    try:
        for slaves, bits in ((['b1'], 256), (['b1'], 192), (['b1', 'b2'], 1024)):
            answer = good(a1.enc('b1', size=bits, additional_slave_SAE_IDs=slaves[1:]))
            ident, key = answer.keys[0]
            equal(node.claim(uuid.UUID(ident).bytes, bits // 8, 3,
                             made('a1', slaves, bits // 8)), key, slaves)
    finally:
        node.close()


def test_once():
    """a key comes once, whoever asks and however often"""
    answer = good(a1.enc('b1', number=2))
    both(answer, b1, 'a1')
    for ids in (answer.ids, answer.ids[:1]):
        refusal(b1.dec('a1', ids), 400, NOT_FOUND)
    refusal(b1.get('a1', 'dec_keys', f'key_ID={answer.ids[1]}'), 400, NOT_FOUND)
    equal(kme_b.stats()['burnt'], 0, 'burnt')


def test_all_or_nothing():
    """dec_keys takes all of the keys or none"""
    answer = good(a1.enc('b1', number=3))
    before = taken('b')
    for other in (str(uuid.uuid4()), answer.ids[0][:9] + '0000' + answer.ids[0][13:],
                  '00000000-0000-8000-8000-000000000000'):
        refusal(b1.dec('a1', answer.ids + [other]), 400, NOT_FOUND, other)
        refusal(b1.dec('a1', [other] + answer.ids), 400, NOT_FOUND, other)
    foreign = good(a1.enc('b2')).ids
    refusal(b1.dec('a1', answer.ids + foreign), 401, None)
    equal(taken('b'), before, 'bytes taken')
    both(answer, b1, 'a1')
    good(b2.dec('a1', foreign))


# ---- Who may ----

def test_wrong_sae():
    """an SAE that presents the ID of a key for others gets 401, and takes nothing"""
    answer = good(a1.enc('b1', number=2))
    before = taken('a'), taken('b')
    refusal(b2.dec('a1', answer.ids), 401, None, 'another slave')
    refusal(b1.dec('a2', answer.ids), 401, None, 'another master')
    refusal(b2.get('a1', 'dec_keys', f'key_ID={answer.ids[0]}'), 401, None, 'by GET')
    refusal(a1.dec('b1', answer.ids), 401, None, 'the master itself')
    refusal(a2.dec('b1', answer.ids), 401, None, 'another SAE of the master\'s KME')
    damaged = answer.ids[0][:-1] + ('0' if answer.ids[0][-1] != '0' else '1')
    refusal(b1.dec('a1', [damaged]), 401, None, 'a damaged ID')
    equal((taken('a'), taken('b')), before, 'bytes taken')
    both(answer, b1, 'a1')


def test_peers():
    """pairs that are not in the configuration: 401 for each call, in both forms"""
    some = str(uuid.uuid4())
    for sae, peer in ((a2, 'b3'), (a1, 'a2'), (a1, 'a1'), (a1, 'nobody'), (a1, '..'),
                      (a1, 'b1%00'), (a1, 'b1%2F'), (a1, '%zz')):
        if peer == 'b1%00':
            refusal(sae.status(peer), 400, 'the SAE ID is not of 1 to 127 characters')
            continue
        refusal(sae.status(peer), 401, None, peer)
        refusal(sae.get(peer, 'enc_keys'), 401, None, peer)
        refusal(sae.enc(peer), 401, None, peer)
        refusal(sae.get(peer, 'dec_keys', f'key_ID={some}'), 401, None, peer)
        refusal(sae.dec(peer, [some]), 401, None, peer)
    # percent-encoded it is the same SAE
    good(a1.status('%62%31'))


def test_identities():
    """who an SAE is: the certificate's DNS names and URIs, else its common name"""
    for name, subject, alt, status in (
            ('none', '/CN=nobody.example', 'DNS:nobody.example', 401),
            ('uri', '/CN=x', 'URI:urn:sae:a3', 200),
            ('cn', '/CN=a1.example', None, 200),
            ('cn-and-san', '/CN=a1.example', 'DNS:nobody.example', 401),
            ('second', '/CN=x', 'DNS:other.example,DNS:a1.example', 200),
            ('two', '/CN=x', 'DNS:a1.example,DNS:a2.example', 401),
            ('wildcard', '/CN=x', 'DNS:*.example', 401),
            ('case', '/CN=x', 'DNS:A1.example', 401),
            ('suffix', '/CN=x', 'DNS:a1.example.org', 401),
            ('two-cn', '/CN=a1.example/CN=a2.example', None, 401),
            ('mail', '/CN=a1.example', 'email:root@a1.example', 200)):
        certificate(name, subject, alt)
        sae = Sae(name, 'a')
        equal(sae.status('b1').status, status, name)
        if status == 401:
            for method, path in (('POST', '/api/v1/keys/b1/enc_keys'), ('GET', '/'),
                                 ('POST', '/api/v1/keys/b1/dec_keys'), ('PUT', '/x')):
                refusal(sae.ask(method, path, b'{}' if method == 'POST' else None), 401, None,
                        f'{name} {path}')
        sae.close()


def no_session(tls, what, site='a'):
    """The KME does not speak HTTP to this client."""
    sae = Sae('x', site, tls)
    try:
        answer = sae.status('b1')
    except (OSError, ssl.SSLError, http.client.HTTPException):
        return
    finally:
        sae.close()
    raise AssertionError(f'{what}: {answer.status} {answer.text}')


def test_tls():
    """no certificate, another CA's, expired ones, a server's, TLS 1.1: no session"""
    past = ('-not_before', '20200101000000Z', '-not_after', '20200102000000Z')
    future = ('-not_before', '20400101000000Z', '-not_after', '20400102000000Z')
    certificate('other', '/CN=x', 'DNS:a1.example', 'other-ca')
    certificate('expired', '/CN=x', 'DNS:a1.example', dates=past)
    certificate('early', '/CN=x', 'DNS:a1.example', dates=future)
    certificate('server', '/CN=x', 'DNS:a1.example', usage='serverAuth')
    certificate('self', '/CN=x', 'DNS:a1.example', by='a1')     # signed by an SAE
    before = kme_a.stats()['TLS']
    bad = ('other', 'expired', 'early', 'server', 'self')
    for name in bad:
        no_session(context(name), name)
    no_session(context(None), 'none')
    old = context('a1')
    old.set_ciphers('DEFAULT:@SECLEVEL=0')
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    no_session(old, 'TLS 1.1')
    cbc = context('a1', maximum_version=ssl.TLSVersion.TLSv1_2)
    cbc.set_ciphers('ECDHE-ECDSA-AES256-SHA')
    no_session(cbc, 'no AEAD')
    with inside('kma'), socket.create_connection(('127.0.0.1', PORT)) as plain:
        plain.sendall(b'GET / HTTP/1.1\r\n\r\n')
        if b'HTTP' in plain.recv(100):
            raise AssertionError('HTTP without TLS')
    until(lambda: kme_a.stats()['TLS'] - before == len(bad) + 4, 'they are counted')
    for text in ('expired', 'unknown|not trusted|issuer', 'not yet valid', 'purpose'):
        if not re.search(text, kme_a.log()):
            raise AssertionError(f'the log does not say "{text}": {kme_a.log()[-1500:]}')
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = context('a1', minimum_version=version, maximum_version=version)
        good(Sae('a1', 'a', tls).status('b1'))


# ---- What is refused, and in which words ----

def path(peer, call, query=''):
    return f'/api/v1/keys/{peer}/{call}' + (query and '?' + query)


UUID = '00000000-0000-8000-8000-000000000000'
# [(call, query, message)]
QUERIES = [
    ('enc_keys', 'size=257', MULTIPLE),
    ('enc_keys', 'size=8', 'size shall be a multiple of 64 and 16128 at most (max_key_size)'),
    ('enc_keys', 'size=16192', 'size shall be a multiple of 64 and 16128 at most (max_key_size)'),
    ('enc_keys', 'number=65', 'number shall be 64 at most (max_key_per_request)'),
    *(('enc_keys', f'number={value}', 'number shall be an integer, 1 or more')
      for value in ('', '0', '-1', '1.5', '0x10', '1e3', '+1', '9999999999', 'x', '%31%00')
      if value != '%31%00'),
    ('enc_keys', 'number=%31%00', 'the query is malformed'),
    ('enc_keys', 'size=', 'size shall be an integer, 1 or more'),
    ('enc_keys', 'number=1&number=1', 'number shall be an integer, 1 or more'),
    ('enc_keys', 'number', 'the query is malformed'),
    ('enc_keys', 'key_ID=' + UUID, 'the query has an unknown parameter'),
    ('enc_keys', 'Number=1', 'the query has an unknown parameter'),
    ('status', 'number=1', 'the query has an unknown parameter'),
    ('dec_keys', '', 'there is no key_ID'),
    ('dec_keys', 'key_ID=', 'a key_ID shall be a UUID'),
    ('dec_keys', 'key_ID=x', 'a key_ID shall be a UUID'),
    ('dec_keys', f'key_ID={UUID}0', 'a key_ID shall be a UUID'),
    ('dec_keys', f'key_ID={UUID}&key_ID={UUID}', 'use POST for more than one key_ID'),
    ('dec_keys', f'number=1&key_ID={UUID}', 'the query has an unknown parameter'),
    ('dec_keys', f'key_ID={UUID}', NOT_FOUND),
]
SLAVES = 'additional_slave_SAE_IDs shall be an array of SAE IDs'
SHARE = 'these SAEs share no keys (see max_SAE_ID_count)'
NO_JSON = 'the body is no JSON object'
IDS = 'key_IDs shall be an array of objects, one at least'
# [(call, body, message)]
BODIES = [
    *(('enc_keys', body, NO_JSON) for body in (
        b'', b'{', b'[]', b'"x"', b'1', b'null', b'{} {}', b'{"number":1,"number":2}', b'{"a":}',
        b'\xff\xfe', b'{"a":"\xff"}', b'{"a":"\\u0000"}', b'{"number":01}', b'[' * 3000,
        b'{"a":' * 3000, b"{'number':1}")),
    *(('enc_keys', {'number': value}, 'number shall be an integer, 1 or more')
      for value in (0, -1, 1.5, '1', None, True, [1], {}, 1 << 62)),
    *(('enc_keys', {'size': value}, 'size shall be an integer, 1 or more')
      for value in (0, -8, 256.0, '256', False)),
    ('enc_keys', {'number': 65}, 'number shall be 64 at most (max_key_per_request)'),
    ('enc_keys', {'size': 257}, MULTIPLE),
    ('enc_keys', {'size': 255, 'number': 65}, MULTIPLE),
    ('enc_keys', {'size': 72}, 'size shall be a multiple of 64 and 16128 at most (max_key_size)'),
    *(('enc_keys', {'additional_slave_SAE_IDs': value}, SLAVES)
      for value in ('b2', {}, None, 1, [1], [''], [None], ['x' * 128])),
    ('enc_keys', {'additional_slave_SAE_IDs': ['b2', 'b2']},
     'additional_slave_SAE_IDs has an SAE twice'),
    ('enc_keys', {'additional_slave_SAE_IDs': ['b1']},
     'additional_slave_SAE_IDs has an SAE twice'),
    ('enc_keys', {'additional_slave_SAE_IDs': ['b3']}, SHARE),
    ('enc_keys', {'additional_slave_SAE_IDs': ['b2', 'nobody']}, SHARE),
    ('enc_keys', {'additional_slave_SAE_IDs': ['a2']}, SHARE),
    ('enc_keys', {'additional_slave_SAE_IDs': [f'x{i}' for i in range(17)]},
     'more than 16 additional_slave_SAE_IDs (max_SAE_ID_count)'),
    ('enc_keys', {'extension_mandatory': [{'abc_route_type': 'direct'}]}, MANDATORY),
    ('enc_keys', {'extension_mandatory': [{}]}, MANDATORY),
    *(('enc_keys', {'extension_mandatory': value},
       'extension_mandatory shall be an array of objects') for value in ({}, 'x', [1], [[]])),
    *(('enc_keys', {'extension_optional': value},
       'extension_optional shall be an array of objects') for value in ({}, 'x', [1], [[]])),
    *(('dec_keys', body, NO_JSON) for body in (b'', b'{"key_IDs":[', b'[]')),
    *(('dec_keys', body, IDS) for body in (
        {'x': 1}, {'key_IDs': []}, {'key_IDs': {}}, {'key_IDs': None}, {'key_IDs': UUID})),
    *(('dec_keys', {'key_IDs': value}, 'an object of key_IDs has no key_ID') for value in (
        [{}], [UUID], [{'key_ID': 1}], [{'key_ID': None}], [[]], [{'Key_ID': UUID}])),
    *(('dec_keys', {'key_IDs': [{'key_ID': value}]}, 'a key_ID shall be a UUID') for value in (
        '', 'x', UUID + '0', UUID[:-1], UUID.replace('-', ''), '{' + UUID + '}', 'g' + UUID[1:])),
    ('dec_keys', {'key_IDs': [{'key_ID': UUID}, {'key_ID': UUID}]}, 'a key_ID is there twice'),
    ('dec_keys', {'key_IDs': [{'key_ID': str(uuid.UUID(int=i))} for i in range(65)]},
     'more than 64 key IDs (max_key_per_request)'),
    ('dec_keys', {'key_IDs': [{'key_ID': UUID}]}, NOT_FOUND),
]


def test_queries():
    """GET: what is malformed or not to be had is 400 with its words, and costs no key"""
    before = taken('a')
    for call, query, message in QUERIES:
        refusal(a1.get('b1', call, query), 400, message, query)
    answer = a1.ask('GET', path('b1', 'enc_keys'), b'{}', {'Content-Type': 'application/json'})
    refusal(answer, 400, 'GET takes no body')
    equal(taken('a'), before, 'bytes taken')
    return f'{len(QUERIES)} queries'


def test_bodies():
    """POST: likewise, for bodies"""
    before = taken('a')
    for call, body, message in BODIES:
        refusal(a1.post('b1', call, body), 400, message, str(body)[:80])
    for kind in (None, 'text/plain', 'application/jsonx', 'application/x-www-form-urlencoded'):
        refusal(a1.post('b1', 'enc_keys', {}, kind), 400,
                'the content type shall be application/json', kind)
    refusal(a1.ask('POST', path('b1', 'enc_keys', 'number=1'), b'{}',
                   {'Content-Type': 'application/json'}), 400, 'POST takes no query')
    equal(taken('a'), before, 'bytes taken')
    good(a1.post('b1', 'enc_keys', {}, 'Application/JSON; charset=utf-8'))
    return f'{len(BODIES)} bodies'


def test_details():
    """the Error's details name the extension"""
    equal(a1.enc('b1', extension_mandatory=[{'abc_route_type': 'direct'}]).body, {
        'message': MANDATORY,
        'details': [{'extension_mandatory_unsupported': 'abc_route_type is not supported'}]})
    # cut inside of a character it is left out
    equal(a1.enc('b1', extension_mandatory=[{'ä' * 40: 1}]).body, {'message': MANDATORY})


def test_paths():
    """other paths are 404, other methods 405"""
    for bad in ('/', '/api/v1/keys/', '/api/v1/keys/b1', '/api/v1/keys/b1/', '/api/v2/keys/b1/status',
                '/api/v1/keys/b1/status/', '/api/v1/keys/b1/keys', '/api/v1/keys//b1/status',
                '//api/v1/keys/b1/status', '/api/v1/keys/b1/enc_keys/x', '*'):
        refusal(a1.ask('GET', bad), 404, 'there is no such call', bad)
    refusal(a1.ask('GET', '/api/v1/keys//status'), 400,
            'the SAE ID is not of 1 to 127 characters')
    refusal(a1.status('x' * 128), 400, 'the SAE ID is not of 1 to 127 characters')
    refusal(a1.status('x' * 1100), 400, 'the target is longer than 1024 bytes')
    for method, call in (('PUT', 'enc_keys'), ('DELETE', 'dec_keys'), ('POST', 'status'),
                         ('PATCH', 'status'), ('OPTIONS', 'enc_keys')):
        refusal(a1.ask(method, path('b1', call), b'{}' if method in ('PUT', 'POST') else None,
                       {'Content-Type': 'application/json'}), 405,
                'the method is not of this call', method)
    equal(a1.ask('HEAD', path('b1', 'enc_keys')).status, 405, 'HEAD')


def raw(sae, data, wait=1):
    """What comes back for these bytes, until the KME closes or says no more."""
    with contextlib.closing(Connection(sae.site, sae.tls)) as made:
        made.connect()
        made.sock.settimeout(wait * PATIENCE)
        out = b''
        with contextlib.suppress(OSError):
            made.sock.sendall(data)
            while True:
                piece = made.sock.recv(65536)
                if not piece:
                    break
                out += piece
        return out


def test_limits():
    """heads and bodies that are too long, or no HTTP, are refused and cost no memory"""
    head = f'POST {path("b1", "enc_keys")} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
    answer = a1.post('b1', 'enc_keys', b' ' * 32769)
    refusal(answer, 400, 'the body is longer than 32768 bytes')
    good(a1.post('b1', 'enc_keys', b'{' + b' ' * 32766 + b'}'))
    said = raw(a1, (head + f'Content-Length: {1 << 40}\r\n\r\n').encode())
    if not said.startswith(b'HTTP/1.1 400 '):
        raise AssertionError(said)
    chunk = b'1000\r\n' + b' ' * 4096 + b'\r\n'
    said = raw(a1, (head + 'Transfer-Encoding: chunked\r\n\r\n').encode() + chunk * 100)
    equal(said, b'', 'a body in chunks without an end')
    for line in ('X: ' + 'y' * 20000, *(['X: y' * 500] * 20)):
        head += line + '\r\n'
    said = raw(a1, (head + '\r\n').encode())
    if not said.startswith(b'HTTP/1.1 431 '):
        raise AssertionError(said)
    for junk in (b'\r\n\r\n', b'GET\r\n\r\n', b'\0' * 100, b'GET / HTTP/9.9\r\n\r\n', b'x' * 20000,
                 b'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'):
        said = raw(a1, junk)
        if b' 200 ' in said:
            raise AssertionError((junk, said))
    good(a1.status('b1'))


# ---- curl ----

def curl(name, url, *words):
    """(status, body) of curl with an SAE's certificate."""
    said = Netns(f'km{name[0]}').exec(
        'curl', '-sS', '--cacert', f'{DIR}/ca.pem', '--cert', f'{DIR}/{name}.pem', '--key',
        f'{DIR}/{name}.key', '--resolve', f'kme.example:{PORT}:127.0.0.1', '-w', '\n%{http_code}',
        *words, f'https://kme.example:{PORT}{url}')
    body, _, status = said.rpartition('\n')
    return int(status), body


def test_curl():
    """curl: the three calls in both forms, and a refusal of each kind"""
    kind = ('-H', 'Content-Type: application/json')
    status, body = curl('a1', path('b1', 'status'))
    equal((status, json.loads(body)['key_size']), (200, 256))
    status, body = curl('a1', path('b1', 'enc_keys', 'number=2&size=1024'))
    keys = json.loads(body)['keys']
    equal((status, len(keys), len(base64.b64decode(keys[0]['key']))), (200, 2, 128))
    status, body = curl('b1', path('a1', 'dec_keys', 'key_ID=' + keys[0]['key_ID']))
    equal((status, json.loads(body)['keys']), (200, keys[:1]))
    ids = json.dumps({'key_IDs': [{'key_ID': keys[1]['key_ID']}]})
    equal(curl('b2', path('a1', 'dec_keys'), *kind, '-d', ids), (401, ''))
    status, body = curl('b1', path('a1', 'dec_keys'), *kind, '-d', ids)
    equal((status, json.loads(body)['keys']), (200, keys[1:]))
    equal(curl('b1', path('a1', 'dec_keys'), *kind, '-d', ids),
          (400, json.dumps({'message': NOT_FOUND}, separators=(',', ':'))))
    status, body = curl('a1', path('b1', 'enc_keys'), *kind, '-d', '{"number":3}')
    equal((status, len(json.loads(body)['keys'])), (200, 3))
    equal(curl('a1', path('b1', 'enc_keys', 'size=7')),
          (400, json.dumps({'message': MULTIPLE}, separators=(',', ':'))))


def test_own_client():
    """this project's own client: keys at both ends, errors as it knows them, no deviation"""
    done = subprocess.run(
        [f'{HERE}/tools/kme_load', 'once', DIR, str(PORT), 'kma', 'kmb'], capture_output=True,
        text=True, check=False, timeout=120 * PATIENCE)
    equal((done.returncode, done.stdout, done.stderr), (0, 'good\n', ''))


# ---- When there is no key ----

def test_empty():
    """an empty pool is 503 with a body, for all or nothing, until there is key again"""
    kme_a.stop_supply()
    try:
        answer = None
        for number in (64, 16, 4, 1):
            while True:
                answer = a1.enc('b1', number=number)
                if answer.status != 200:
                    break
            refusal(answer, 503, 'there are not enough keys')
        equal(a1.status('b1').body['stored_key_count'], 0, 'keys stored')
        refusal(a1.get('b1', 'enc_keys'), 503, 'there are not enough keys')
    finally:
        kme_a.start_supply()
    wait_for_key('a', 8192)
    both(good(a1.enc('b1')), b1, 'a1')


def test_down():
    """a link that is down is 503, with the reason in the log, until it is up"""
    answer = good(a1.enc('b1'))
    Netns('kma').qkd('link', 'set', LINKS['a'], 'down')
    try:
        refusal(a1.enc('b1'), 503, 'the QKD link is down')
        refusal(b1.dec('a1', answer.ids), 503, 'the QKD link is down')
        equal(good(a1.status('b1')).body['stored_key_count'], 0, 'keys stored')
        if f'{LINKS["a"]}: the link is not up' not in kme_a.log():
            raise AssertionError(kme_a.log()[-500:])
    finally:
        Netns('kma').qkd('link', 'set', LINKS['a'], 'up')
    until(lambda: kme_lib.show('a')['state'] == 'up', 'the link is up')
    wait_for_key('a', 8192)
    refusal(b1.dec('a1', answer.ids), 400, NOT_FOUND, 'a key of the last generation')
    both(good(a1.enc('b1')), b1, 'a1')


def test_new_link():
    """a link that is deleted and added again, with other options, is found"""
    Netns('kma').qkd('link', 'del', LINKS['a'])
    refusal(a1.enc('b1'), 503, 'the QKD link is down')
    refusal(a1.status('b1'), 503, 'the QKD link is down')
    kme_lib.add_link('rate', '8mbit', export='control')
    wait_for_key('a', 8192)
    refusal(a1.enc('b1'), 503, 'the QKD link is down', 'export mask')
    Netns('kma').qkd('link', 'del', LINKS['a'])
    kme_lib.add_link('rate', '8mbit')
    wait_for_key('a', 8192)
    wait_for_key('b', 8192)
    both(good(a1.enc('b1', number=3)), b1, 'a1')
    both(good(b1.enc('a1', number=3)), a1, 'b1')


def test_quota():
    """quotas: of keys in a call, and in a time; those of one SAE are not another's"""
    kme_a.configure(sections('a', 'max-number = 5\nquota = 20\nquota-time = 60s'))
    kme_a.reload()
    refusal(a1.enc('b1', number=6), 400, 'number shall be 5 at most (max_key_per_request)')
    equal(a1.status('b1').body['max_key_per_request'], 5)
    got = 0
    while True:
        answer = a1.enc('b1', number=5)
        if answer.status != 200:
            break
        got += 5
        if got > 100:
            raise AssertionError('there is no quota')
    refusal(answer, 503, 'the quota of this SAE is used up')
    if got < 20:
        raise AssertionError(f'{got} keys')
    good(a2.enc('b1', number=5))
    # a reload does not forget what was asked for
    kme_a.reload()
    hang_up()
    refusal(a1.enc('b1', number=5), 503, 'the quota of this SAE is used up')
    until(lambda: a1.enc('b1').status == 200, 'it is free again')
    kme_a.configure(sections('a'))
    kme_a.reload()
    hang_up()
    good(a1.enc('b1', number=64))


# ---- Groups ----

def test_groups():
    """a key for several SAEs: each of them gets it, once, and nobody else does"""
    wait_for_key('a', 16384)
    answer = good(a1.enc('b1', number=3, size=384, additional_slave_SAE_IDs=['b3', 'b2']))
    refusal(a2.dec('b1', answer.ids), 401, None)
    for sae in (b2, b1):
        equal(good(sae.dec('a1', answer.ids)).keys, answer.keys, sae.name)
        refusal(sae.dec('a1', answer.ids), 400, NOT_FOUND, sae.name)
        refusal(sae.dec('a2', answer.ids), 401, None, sae.name)
    # some kept, some still in the kernel: all or nothing over both
    more = good(a1.enc('b2', number=2, size=384, additional_slave_SAE_IDs=['b3', 'b1']))
    both(more, b1, 'a1')
    pair = good(a1.enc('b3', number=2))
    refusal(b3.dec('a1', answer.ids + pair.ids + [UUID]), 400, NOT_FOUND)
    equal(good(b3.dec('a1', answer.ids + pair.ids)).keys, answer.keys + pair.keys)
    refusal(b3.dec('a1', answer.ids), 400, NOT_FOUND)
    equal([good(sae.dec('a1', more.ids)).keys for sae in (b3, b2)], [more.keys] * 2)
    # two of the three: the third is not in it
    two = good(a1.enc('b1', additional_slave_SAE_IDs=['b2']))
    refusal(b3.dec('a1', two.ids), 401, None)
    both(two, b2, 'a1')
    refusal(b3.dec('a1', two.ids), 401, None)
    both(two, b1, 'a1')


def test_group_time():
    """what nobody comes for goes after its time, wiped, and is counted"""
    before = kme_b.stats()['expired']
    kme_b.configure(sections('b').replace('keep-time = 1h', f'keep-time = {5 * PATIENCE}s'))
    kme_b.reload()
    answer = good(a1.enc('b1', additional_slave_SAE_IDs=['b2']))
    key = answer.keys[0][1]
    both(answer, b1, 'a1')
    if not held(memory_of(kme_b.process.pid), [key]):
        raise AssertionError('it is not there while it waits: the search finds nothing')
    until(lambda: kme_b.stats()['expired'] > before, 'it goes')
    refusal(b2.dec('a1', answer.ids), 400, NOT_FOUND)
    if held(memory_of(kme_b.process.pid), [key]):
        raise AssertionError('it is still in memory')
    kme_b.configure(sections('b'))
    kme_b.reload()


# ---- Clients that do not behave ----

def test_slow():
    """who is slow in the handshake, the request or between two is cut off; others go on"""
    kme_a.stop()
    kme_a.configure(sections('a', more='timeout = 2s\nconnections-per-address = 8'))
    kme_a.start()
    with inside('kma'):
        silent = socket.create_connection(('127.0.0.1', PORT))
    idle, half = Connection('a', a1.tls), Connection('a', a1.tls)
    idle.connect()
    half.connect()
    drip = b'POST ' + path('b1', 'enc_keys').encode() + b' HTTP/1.1\r\nHost: x\r\n'
    half.sock.sendall(drip)
    start = time.monotonic()
    ended = set()
    while len(ended) < 3:
        if time.monotonic() - start > 60 * PATIENCE:
            raise AssertionError(f'only {ended} were cut off')
        good(Sae('a1').status('b1'))
        with contextlib.suppress(OSError):
            half.sock.sendall(b'X')                     # one byte after the other
        for name, sock in (('silent', silent), ('idle', idle.sock), ('half', half.sock)):
            sock.settimeout(0.05)
            try:
                if not sock.recv(1000):
                    ended.add(name)
            except (TimeoutError, ssl.SSLWantReadError):
                pass
            except OSError:
                ended.add(name)
    silent.close()
    idle.close()
    half.close()
    if kme_a.stats()['timeout'] < 2:
        raise AssertionError(kme_a.stats())


def test_connections():
    """more connections from an address than there may be are refused, and counted"""
    kme_a.stop()
    kme_a.configure(sections('a', more='connections-per-address = 8'))
    kme_a.start()
    a1.close()
    made = []
    try:
        for _ in range(8):
            made.append(Connection('a', a1.tls))
            made[-1].connect()
        before = kme_a.stats()['connection limit']
        no_session(a1.tls, 'the ninth')
        until(lambda: kme_a.stats()['connection limit'] > before, 'it is counted')
    finally:
        for each in made:
            each.close()
    until(lambda: works(a1), 'there is room again')
    kme_a.stop()
    kme_a.configure(sections('a'))
    kme_a.start()
    hang_up()


def works(sae):
    try:
        return sae.status('b1').status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_gone():
    """a client that goes before its keys came: they are burnt, counted, and in the log"""
    wait_for_key('a', 64 * 2016 + 4096)
    before = kme_a.stats()
    made = Connection('a', a1.tls)
    buffers = '/proc/sys/net/ipv4/tcp_wmem'
    with inside('kma'), open(buffers, encoding='ascii') as file:
        usual = file.read()
    # what the kernel holds for a client counts as delivered: let that be little
    with inside('kma'), open(buffers, 'w', encoding='ascii') as file:
        file.write('4096 4096 4096')
    with inside('kma'):
        raw_socket = socket.socket()
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw_socket.connect(('127.0.0.1', PORT))
    made.sock = a1.tls.wrap_socket(raw_socket, server_hostname='kme.example')
    made.request('GET', path('b1', 'enc_keys', 'number=64&size=16128'))
    until(lambda: kme_a.stats()['keys allocated'] - before['keys allocated'] == 64,
          'they are taken')
    made.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    made.close()
    until(lambda: kme_a.stats()['burnt'] - before['burnt'] == 64, 'they are burnt')
    with inside('kma'), open(buffers, 'w', encoding='ascii') as file:
        file.write(usual)
    if 'keys 64 200 (not delivered)' not in kme_a.log():
        raise AssertionError(kme_a.log()[-500:])


# ---- The daemon ----

def test_reload():
    """SIGHUP: what is wrong changes nothing; other SAEs and certificates count at once"""
    good(a1.status('b1'))
    kme_a.configure(sections('a') + '\n[sae a1]\n')
    kme_a.signal(signal.SIGHUP)
    until(lambda: 'the old configuration stays' in kme_a.log(), 'it says so')
    good(a1.status('b1'))
    certificate('kme-a', '/CN=renewed', 'DNS:kme.example')
    good(a2.status('b1'))
    first, _, rest = sections('a').partition('[sae a2]')
    kme_a.configure(first + '[sae a2]' + rest.replace('peer = b1\n', '', 1))
    kme_a.reload()
    if works(a2) or works(a1):
        raise AssertionError('connections go on that were made before')
    refusal(a2.status('b1'), 401, None)
    good(a1.status('b1'))
    subject = dict(x[0] for x in a1.http.sock.getpeercert()['subject'])
    equal(subject, {'commonName': 'renewed'})
    kme_a.configure(sections('a'))
    kme_a.reload()
    hang_up()
    good(a2.status('b1'))


# (what to change, what it says)
BAD_CONFIGS = [
    (('kme-id = kme-a\n', ''), '[local] has no "kme-id"'),
    (('ca = ', '#'), '[local] has no "ca"'),
    (('[local]', '[locals]'), 'section "locals" is none of local, link, sae, group'),
    (('target-kme = kme-b', 'x = y'), '[link] has no key "x"'),
    (('target-kme = kme-b', 'target-kme = kme-b\nkey-size = 100'), 'not a multiple of 64'),
    (('target-kme = kme-b', 'target-kme = kme-b\nkey-size = 16192'),
     'key-size "16192" is not a number from 64 to 16128'),
    (('peer = b1', 'peer = a2'), 'peer "a2" is no [sae] with a "link"'),
    (('peer = b1', 'peer = nobody'), 'peer "nobody" is no [sae] with a "link"'),
    (('certificate-name = a2.example', 'certificate-name = a1.example'),
     'saes "a1" and "a2" have one certificate name'),
    (('link = kma0', 'link = kma1'), 'there is no [link kma1]'),
    (('link = kma0', 'link = kma0\nquota = 5'), 'has a "link", so no "peer"'),
    (('[sae a2]', '[sae a1]'), 'sae "a1" is there already'),
    (('slave = b1', 'slave = nobody'), 'there is no [sae nobody]'),
    (('slave = b1\nslave = b2\nslave = b3\n', 'slave = b1\n'), 'has not two "slave"s'),
    (('master = a1', 'master = a2'), '"b3" is no peer of "a2"'),
    (('master = a1', 'master = x'), 'its "master" is no [sae]'),
    (('[group two]', '[group all]'), 'group "all" is there already'),
    (('listen = ', 'listen = here'), 'is no address in figures'),
    (('listen = ', 'listen = ['), 'is not ADDRESS:PORT'),
    (('kme-a.key', 'nowhere.key'), 'nowhere.key: No such file'),
    (('kme-a.key', 'a1.key'), 'a1.key'),
    (('ca.pem', 'kme-a.key'), 'kme-a.key'),
    (('ca.pem', 'nowhere.pem'), 'nowhere.pem'),
]


def test_check_config():
    """--check-config: one line for what is wrong, of each kind"""
    def check(text):
        with open(f'{DIR}/bad.conf', 'w', encoding='ascii') as file:
            file.write(text)
        done = subprocess.run([*kme_a.command()[:-2], '--check-config', f'{DIR}/bad.conf'],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    equal(check(sections('a'))[0], 0)
    for (old, new), says in BAD_CONFIGS:
        code, said = check(sections('a').replace(old, new, 1))
        if code != 1 or says not in said:
            raise AssertionError(f'{old} -> {new}: {code}, {said}')
    os.chmod(f'{DIR}/kme-a.key', 0o644)
    code, said = check(sections('a'))
    os.chmod(f'{DIR}/kme-a.key', 0o600)
    if code != 1 or 'others than its owner can get at it' not in said:
        raise AssertionError(said)
    return f'{len(BAD_CONFIGS) + 1} mistakes'


def test_activation():
    """sockets from systemd are used in the place of \"listen\""""
    kme_a.stop()
    with inside('kma'):
        listener = socket.create_server(('127.0.0.1', PORT))
    kme_a.configure(sections('a').replace('listen = ', '#'))
    try:
        kme_a.start(listener.fileno())
        a1.close()
        good(a1.status('b1'))
    finally:
        kme_a.stop()
        listener.close()
    kme_a.configure(sections('a'))
    kme_a.start()
    hang_up()


# ---- Memory ----

def held(memory, keys):
    """How often 16 bytes of these keys are in a memory: as they are, in Base64 or in hex."""
    forms = b''.join(form + bytes(-len(form) % 8) for key in keys
                     for form in (key, base64.b64encode(key), key.hex().encode()))
    for name, content in (('memory', memory), ('keys', forms)):
        with open(f'{DIR}/{name}', 'wb') as file:
            file.write(content)
    found = subprocess.run([f'{HERE}/ref/scan_ram', f'{DIR}/memory', f'{DIR}/keys'], check=True,
                           capture_output=True, text=True).stdout
    return len(found.splitlines())


def test_memory():
    """no key that was delivered is in the memory of either KME, which is locked"""
    wait_for_key('a', 64 * 64)
    keys = []
    old = context('a1', maximum_version=ssl.TLSVersion.TLSv1_2)
    chacha = context('a1', maximum_version=ssl.TLSVersion.TLSv1_2)
    chacha.set_ciphers('ECDHE-ECDSA-CHACHA20-POLY1305')
    for tls in (context('a1'), old, chacha):
        sae = Sae('a1', 'a', tls)
        for number, size in ((1, 256), (64, 256), (1, 16128), (4, 1024), (1, 192)):
            answer = good(sae.enc('b1', number=number, size=size))
            both(answer, b1, 'a1')
            keys += answer.keys
        sae.close()
    group = good(a1.enc('b1', additional_slave_SAE_IDs=['b2']))
    both(group, b1, 'a1')
    memories = [memory_of(kme.process.pid) for kme in (kme_a, kme_b)]
    for site, memory, control in zip(SAES, memories, ('a1.example', 'b1.example')):
        if control.encode() not in memory:
            raise AssertionError('its configuration is not found either')
        equal(held(memory, [key for _, key in keys]), 0, f'pieces of keys at site {site}')
    # the control: a key that waits for b2
    equal([bool(held(memory, [group.keys[0][1]])) for memory in memories], [False, True])
    both(group, b2, 'a1')
    for kme in (kme_a, kme_b):
        with open(f'/proc/{kme.process.pid}/status', encoding='ascii') as file:
            if re.search(r'VmLck:\s+0 kB', file.read()):
                raise AssertionError('its memory is not locked')
    return f'{len(keys)} keys'


def test_core():
    """no core dump, where another process makes one"""
    pattern = '/proc/sys/kernel/core_pattern'
    with open(pattern, encoding='ascii') as file:
        usual = file.read()
    with open(pattern, 'w', encoding='ascii') as file:
        file.write(f'{DIR}/core.%p')
    kme_b.stop()
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
    try:
        kme_b.start()
        with subprocess.Popen(['sleep', '600']) as control:
            for process in (control, kme_b.process):
                process.send_signal(signal.SIGABRT)
                equal(process.wait(60 * PATIENCE), -signal.SIGABRT, 'how it ended')
        equal([os.path.exists(f'{DIR}/core.{process.pid}')
               for process in (control, kme_b.process)], [True, False], 'core dumps')
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limit)
        with open(pattern, 'w', encoding='ascii') as file:
            file.write(usual)
        kme_b.start()


def test_log():
    """the log has a line per request, with no key and no key ID"""
    answer = good(a1.enc('b1', number=2))
    refusal(b2.dec('a1', answer.ids), 401, None)
    both(answer, b1, 'a1')
    for kme, lines in ((kme_a, ['127.0.0.1 a1 enc_keys b1 keys 2 200']),
                       (kme_b, ['127.0.0.1 b2 dec_keys a1 keys 0 401',
                                '127.0.0.1 b1 dec_keys a1 keys 2 200'])):
        log = kme.log()
        for line in lines:
            if line not in log:
                raise AssertionError(f'"{line}" is not in the log')
        for ident, key in answer.keys:
            if ident in log or base64.b64encode(key).decode() in log:
                raise AssertionError('a key or an ID is in the log')


def test_accounts():
    """both ends' accounts add up, and nothing was burnt but for the client that went"""
    import accounts
    import genl
    ends = []
    for site in SAES:
        with inside(f'km{site}'):
            ends.append(genl.Qkd().do('link-get', name=LINKS[site]))
    for end in ends:
        equal(accounts.problems_of_end(end), [])
    equal(kme_b.stats()['burnt'], 0, 'burnt at site B')


TESTS = [
    test_status, test_get, test_post, test_dec, test_context, test_once, test_all_or_nothing,
    test_wrong_sae, test_peers, test_identities, test_tls, test_queries, test_bodies, test_details,
    test_paths, test_limits, test_curl, test_own_client, test_log, test_core, test_memory, test_groups,
    test_group_time, test_quota, test_empty, test_down, test_new_link, test_gone, test_slow,
    test_connections, test_reload, test_check_config, test_activation, test_accounts,
]

if __name__ == '__main__':
    with contextlib.ExitStack() as stack:
        stack.callback(take_down)
        certificates()
        wire_up('rate', '8mbit', 'key-capacity', '256k')
        kme_a, kme_b = Kme('a', sections('a', more='')), Kme('b')
        kme_a.configure(sections('a').replace('[group all]', '[sae a3]\ncertificate-name = '
                                              'urn:sae:a3\npeer = b1\n[group all]'))
        for each in (kme_a, kme_b):
            stack.callback(each.stop)
            each.start()
        a1, a2, b1, b2, b3 = map(Sae, ('a1', 'a2', 'b1', 'b2', 'b3'))
        for end in SAES:
            wait_for_key(end, 16384)
        run(TESTS, hang_up)
