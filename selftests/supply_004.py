# SPDX-License-Identifier: GPL-2.0-only
"""The selftest supply_004; run by supply_004.sh."""
import signal

from supply_lib import ALICE, BOB, ENDS, take_down, wire_up
from ktap import equal, run
from netns import until
from supply_faults import (PORT, Demand, Servers, at_rest, begin, certificates, config_refused,
                           differs, killed, mark, no_key_in_logs, resumed, same_key, says,
                           spoiled, test)

DIR = '/tmp/supply-004'


def section(end, **more):
    """Lines of [kme k]."""
    values = {'type': 'etsi004', 'url': f'tls://127.0.0.1:{PORT}', 'ca': f'{DIR}/ca.pem',
              'certificate': f'{DIR}/{end.name}.pem', 'key': f'{DIR}/{end.name}.key',
              'certificate-name': 'kme.example', 'sae': f'qkd://{end.name}/qkd0',
              'peer-sae': f'qkd://{end.peer.name}/qkd0', 'key-size': 544 * 8, 'batch': 1,
              'timeout': '6s', 'max-hops': 1, **more}
    return [f'{key} = {value}' for key, value in values.items()]


WRONG = (
    ('url', 'https://127.0.0.1:25575', 'tls://ADDRESS:PORT'),
    ('url', 'tls://kme.example:25575', 'tls://ADDRESS:PORT'),
    ('url', 'tls://[::1:25575', 'tls://ADDRESS:PORT'),
    ('url', None, 'tls://ADDRESS:PORT'),
    ('sae', None, 'not both "sae" and "peer-sae"'),
    ('ca', None, 'no CA certificate'),
    ('certificate', '/nowhere', '/nowhere: No such file'),
    ('key', None, 'no private key'),
    ('certificate-name', None, 'no name in the KME'),
    ('max-hops', '256', 'is not a number from 0 to 255'),
    ('ttl', '0s', 'ttl'),
    ('min-bps', 'fast', 'is not a number'),
)

# What a KME can do wrong, for who gets new keys ("get") and for who gets them by ID.
OWN, PEERS = 'does not give keys: ', 'does not give the peer\'s keys: '
FAULTS = (
    ('get status-1', OWN + 'GET_KEY: status 1'),
    ('get status-2', OWN + 'GET_KEY: status 2'),
    ('get status-3', OWN + 'GET_KEY: status 3'),
    ('get status-4', OWN + 'GET_KEY: status 4'),
    ('get status-5', OWN + 'GET_KEY: status 5'),
    ('get status-6', OWN + 'GET_KEY: status 6'),
    ('get status-7', OWN + 'GET_KEY: status 7'),
    ('get status-8 9999', OWN + 'GET_KEY: status 8'),
    ('get status-9', OWN + 'GET_KEY: status 9'),
    ('get short', OWN + 'GET_KEY: a chunk of 543 bytes, not 544'),
    ('get no-metadata', OWN + 'it does not say how many nodes have seen it'),
    ('get hops', OWN + '3 nodes have seen it, more than "max-hops"'),
    ('get reset', OWN),
    ('get hang', OWN + 'the KME does not answer'),
    ('take status-2', PEERS + 'GET_KEY: status 2'),
    ('take status-4', PEERS + 'GET_KEY: status 4'),
    ('take hops', PEERS + '3 nodes have seen it, more than "max-hops"'),
    ('take jump 1', PEERS + 'chunk '),
    ('take cut', PEERS + 'unexpected eof'),
)
# At the beginning of a stream.
OPEN_FAULTS = (
    ('open status-7', 'OPEN_CONNECT: status 7'),
    ('open chunk', 'its chunks have 560 bytes, not the 544 of "key-size"'),
)


def begin_004():
    begin(section)
    ALICE.daemon.process.send_signal(signal.SIGUSR1)
    until(lambda: ALICE.daemon.said('the last key was 1200 ms old, and 0 nodes') == 2, 'it is told')
    for end in ENDS[1:]:
        equal(sum('0 nodes have seen it' in line for line in end.daemon.lines()), 1,
              f'{end.name}: the way of the keys is said')


def fed():
    """Both ends get key: an end that still has a fault of before says so by then."""
    before = [end.usable(end.pad_stream) for end in ENDS]
    until(lambda: all(end.usable(end.pad_stream) > count + 1500
                      for end, count in zip(ENDS, before)), 'both ends are fed', 60)


def fed_in_spite_of(fault):
    """Both ends get key, and nobody says anything."""
    fed()
    mark()
    servers.fault(fault)
    fed()
    servers.fault()
    equal([line for end in ENDS for line in end.daemon.new()], [], 'said')


def not_opened(fault, text):
    """KMEs that have forgotten their streams, and do not open any."""
    mark()
    servers.restart(fault)
    says(text)
    servers.fault()
    resumed()


def reconnected():
    """A KME that forgets all streams gets new ones."""
    servers.restart()
    resumed()


def peer_away():
    """The application at the other end goes, and comes again: GET_KEY waits for it."""
    BOB.daemon.stop()
    BOB.daemon.start()
    resumed()


servers = Servers('etsi004_server.py', DIR)
demand = Demand()
TESTS = [
    test('sections that are wrong', config_refused, section(ALICE), WRONG),
    test('both ends are fed, and there is a tunnel', begin_004),
    test('a key that one end reads the other claims', same_key),
    test('traffic that goes on', demand.start),
    *(test(f'{fault}: one line, and it goes on', spoiled, servers, fault, text)
      for fault, text in FAULTS),
    test('metadata that takes more room', fed_in_spite_of, 'wide'),
    test('indices that jump: what is between is nobody\'s', fed_in_spite_of, 'get jump 3'),
    *(test(f'{fault}: it is said', not_opened, fault, text) for fault, text in OPEN_FAULTS),
    test('KMEs that have forgotten their streams', reconnected),
    test('the peer\'s daemon goes and comes', peer_away),
    test('the KMEs are killed: nothing passes, then it does', killed, servers),
    test('KMEs of another CA: nothing passes, then it does', killed, servers, 'other-ca',
         'issuer'),
    test('keys that differ: none is used, and the link goes down', differs, servers,
         'take differ'),
    test('no byte of a key is in a log', no_key_in_logs, servers),
    test('traffic ends', demand.stop),
    test('the accounts of both ends', at_rest),
]

if __name__ == '__main__':
    certificates(DIR, 'alice', 'bob')
    try:
        wire_up()
        servers.start()
        run(TESTS)
    finally:
        demand.stop()
        servers.stop()
        take_down()
