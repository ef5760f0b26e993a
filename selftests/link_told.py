# SPDX-License-Identifier: GPL-2.0-only
"""The selftest link_told; run by link_told.sh.

Two ends that count wrong in the same way agree, and each would be content with the other. So
what each of them takes off for what was told is held against the messages, and what it keeps
against the bound of Lim et al. as ref/qkd_rate.py has it, less what the messages told.
"""
import os
import subprocess
import sys
from math import floor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

from ktap import equal, run, scaled                          # noqa: E402
from qkd_rate import bb84                                   # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 32               # bytes that Cascade begins with: they say nothing of the key
HASH = 128              # bits
SMALL = ['100000', '2']
FRAMES = ['450000', '1']
LARGE = [str(scaled(10_000_000, 100_000)), '1']


def ends(*arguments):
    """What each end prints: a list of its blocks, each {word: [numbers of each line]}."""
    done = subprocess.run([f'{HERE}/link_told', *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, check=True)
    blocks = {'alice': [], 'bob': []}
    for line in done.stdout.splitlines():
        end, word, *numbers = line.split()
        if word == 'block':
            blocks[end].append({})
        numbers = [float(x) if '.' in x or 'e' in x else int(x) for x in numbers]
        blocks[end][-1].setdefault(word, []).append(numbers)
    return blocks['alice'], blocks['bob']


def one(block, word):
    """What stands behind a word that an end says once a block."""
    numbers, = block[word]
    return numbers if len(numbers) > 1 else numbers[0]


def within(what, value, low, high):
    if not low <= value <= high:
        raise AssertionError(f'{what}: {value}, not {low} to {high}')


def told_by_cascade(alice, end):
    """The parities that Alice computed; of each message up to seven bits are not used."""
    (seed,), *messages = end['told']
    equal(seed, SEED, 'bytes of a seed')
    sent = sum(8 * size for size, in messages)
    told = one(alice, 'parities')
    within('parities', told, sent - 7 * len(messages), sent)
    return told


def told_by_ldpc(_, end):
    """Syndromes, each bit of them. A frame that fails is told, in words of 64 bits, and leaves
    the key: then its syndrome, which is the share of a frame of each message, says nothing
    more."""
    bits, frames = one(end, 'block')
    left, _ = one(end, 'amplify')
    opened = [frames] + [count for count, in end['open']]
    rounds = [8 * size for size, in end['told']]
    failed = opened[-2] if bits > left else 0
    if failed:
        within('bits of frames that failed', rounds.pop(), bits - left, bits - left + 63 * failed)
    told = sum(rounds) + bits - left
    for sent, count in zip(rounds, opened):
        equal(sent % count, 0, 'a syndrome of each frame')
        told -= sent // count * failed
    return told


def check_block(told_by, alice, end):
    """Bits that were told, and that are kept."""
    bits, _ = one(end, 'block')
    left, kept = one(end, 'amplify')
    clicks, errors = one(end, 'clicks'), one(end, 'errors')
    eps_sec, eps_cor = one(end, 'eps')
    equal(sum(clicks[:3]), bits, 'sifted bits')
    equal(8 * one(end, 'hash'), HASH, 'bits of the hash')
    told = told_by(alice, end) + HASH
    equal(one(end, 'leaked'), told, 'bits that are counted as told')
    bound, _ = bb84({'mu': one(end, 'mu'), 'share': one(end, 'share'), 'eps_cor': eps_cor},
                    {'clicks': clicks, 'errors': errors}, eps_sec)
    # whole bytes; a double has the bound to 1e-10 bits
    most = min(left, floor(bound - told + 1e-6))
    within('bits kept', kept, most - 7, most)
    if kept >= left:
        raise AssertionError(f'{kept} of {left} bits: no privacy amplification')
    return told, kept


def check(method, *arguments):
    told_by = {'cascade': told_by_cascade, 'ldpc': told_by_ldpc}[method]
    alices, bobs = ends(method, *arguments)
    equal([len(alices), len(bobs)], 2 * [int(arguments[1])], 'blocks')
    said = []
    for alice, bob in zip(alices, bobs):
        told, kept = check_block(told_by, alice, alice)
        equal(check_block(told_by, alice, bob), (told, kept), "Bob's count")
        said.append(f'{one(alice, "block")[0]} bits: {told} told, {kept} kept')
    return '; '.join(said)


def test_cascade():
    """Cascade: both ends count what was told, and keep no more than the bound less that"""
    return check('cascade', *SMALL)


def test_ldpc():
    """LDPC: the same"""
    return check('ldpc', *SMALL)


def test_failed():
    """LDPC: a frame that fails is told, and counted"""
    return check('ldpc', *FRAMES, 'failing')


def test_large():
    """Cascade and LDPC: a large block"""
    return check('cascade', *LARGE) + '; ' + check('ldpc', *LARGE)


def finds(*arguments):
    """Two ends that count alike, and wrong."""
    try:
        check(*arguments)
    except AssertionError as error:
        if 'counted as told' not in str(error):
            raise
        return str(error)
    raise AssertionError('it passes')


def test_nothing():
    """ends that both count nothing are found"""
    return finds('cascade', *SMALL, '-1000000')


def test_hash():
    """ends that both leave out the hash are found"""
    return finds('ldpc', *SMALL, f'-{HASH}')


if __name__ == '__main__':
    run([test_cascade, test_ldpc, test_failed, test_large, test_nothing, test_hash])
