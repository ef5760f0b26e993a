# SPDX-License-Identifier: GPL-2.0-only
"""The selftest supply_skip; run by supply_skip.sh."""
from supply_lib import ALICE, ENDS, take_down, wire_up
from ktap import run
from netns import run as command
from supply_faults import (PORT, Demand, Servers, at_rest, begin, config_refused, differs, killed,
                           mark, no_key_in_logs, resumed, same_key, says, spoiled, test)

DIR = '/tmp/supply-skip'
SYSTEM = {'alice': 'site-a', 'bob': 'site-b'}


def section(end, **more):
    """Lines of [kme k]."""
    values = {'type': 'skip', 'url': f'https://127.0.0.1:{PORT}', 'psk': f'{DIR}/psk',
              'psk-identity': 'encryptor', 'sae': SYSTEM[end.name],
              'peer-sae': SYSTEM[end.peer.name], 'batch': 12, 'timeout': '5s', **more}
    return [f'{key} = {value}' for key, value in values.items()]


WRONG = (
    ('type', 'skap', 'is none of etsi014, etsi004, skip'),
    ('url', 'http://127.0.0.1', 'https://'),
    ('url', None, 'no URL'),
    ('psk', None, 'no pre-shared key'),
    ('psk', '/nowhere', '/nowhere: No such file'),
    ('psk', '/etc/passwd', 'others than its owner'),
    ('psk-identity', None, 'no identity'),
    ('peer-sae', None, 'no ID of the remote system'),
    ('key-size', '512', 'none of 128, 192, 256'),
    ('batch', '0', 'is not a number from 1'),
    ('max-hops', '0', 'max-hops'),
)

# What a provider can do wrong, for who gets new keys and for who gets them by ID.
FAULTS = (
    ('new 400', 'keys: HTTP 400'),
    ('new 401', 'keys: HTTP 401'),
    ('new 500', 'keys: HTTP 500'),
    ('new 503', 'keys: HTTP 503'),
    ('new short', '128 bits, not 256'),
    ('new long', '264 bits, not 256'),
    ('new no-id', 'keyId is not'),
    ('new repeat', 'before'),
    ('new reset', 'does not give keys'),
    ('new slow 9000', 'does not give keys'),
    ('key 400', 'the peer\'s keys: HTTP 400'),
    ('key 500', 'the peer\'s keys: HTTP 500'),
    ('key odd', 'no hexadecimal'),
    ('key other-id', 'was not asked for'),
    ('key hang', 'does not give the peer\'s keys'),
)


def renamed():
    """What the provider says of itself counts."""
    ALICE.daemon.stop()
    ALICE.configure(section(ALICE, sae='site-x'))
    mark()
    ALICE.daemon.start()
    says('it is the system site-a, not site-x')
    ALICE.configure(section(ALICE))
    ALICE.daemon.reload()
    resumed()


servers = Servers('skip_server.py', DIR)
demand = Demand()
TESTS = [
    test('sections that are wrong', config_refused, section(ALICE), WRONG),
    test('both ends are fed, and there is a tunnel', begin, section),
    test('a key that one end reads the other claims', same_key),
    test('traffic that goes on', demand.start),
    *(test(f'{fault}: one line, and it goes on', spoiled, servers, fault, text)
      for fault, text in FAULTS),
    test('the providers are killed: nothing passes, then it does', killed, servers),
    test('another pre-shared key: nothing passes, then it does', killed, servers,
         'other-psk'),
    test('a provider of another system', renamed),
    test('keys that differ: none is used, and the link goes down', differs, servers, 'key differ'),
    test('no byte of a key is in a log', no_key_in_logs, servers),
    test('traffic ends', demand.stop),
    test('the accounts of both ends', at_rest),
]

if __name__ == '__main__':
    command('python3', servers.script, 'keys', DIR)
    try:
        wire_up()
        servers.start()
        run(TESTS)
    finally:
        demand.stop()
        servers.stop()
        take_down()
