# SPDX-License-Identifier: GPL-2.0-only
"""The selftest link_random; run by link_random.sh.

dieharder calls a result FAILED if its p is within 1e-6 of 0 or 1, and WEAK within 0.005. Good
key has FAILED with a probability of 2e-6 a result, which fails the test. WEAK is one result in
100: those are tested again with other key, and one that is WEAK three times in a row fails,
which is 1e-6. So a run of good key fails with a probability below 3e-6 times its results,
which is printed.

That holds if p is uniform for good key. It is with one sample of p per test (-p 1). Of more,
dieharder tells by Kolmogorov and Smirnov's test, with the i-th of n expected at i/(n + 1) and
not between (i - 1)/n and i/n: for the few that there is key for, p is too often near 1.
"""
import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'ref'))

from ktap import SCALE, run                                 # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MORE = max(1, SCALE // 10)
# Number of a test, and how much of it: 0.1 to 0.3 MB each.
TESTS = [('-d', number, '-t', str(size * MORE), *more) for number, size, *more in (
    ('100', 50000),             # monobit
    ('101', 50000),             # runs of equal bits
    ('102', 50000),             # patterns of up to 16 bits
    ('2', 2000),                # ranks of 32x32 matrices
    ('8', 128000),              # ones in bytes, and the words that they make
    ('15', 50000),              # runs up and down
    ('202', 10000, '-n', '5'))]  # orders of five numbers
FIELDS = ('test_name', 'ntuple', 'pvalues', 'assessment')
TRIES = 3
FALSE_ALARM = 3e-6


@contextlib.contextmanager
def link(*weakness):
    """Key of a link, to read."""
    process = subprocess.Popen([f'{HERE}/link_random', *weakness], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)
    try:
        yield process.stdout
    finally:
        process.stdout.close()
        process.wait(60)


class Battery:
    """All tests, with bytes from a file."""

    def __init__(self, source):
        self.source, self.results, self.weak = source, 0, 0

    def once(self, test):
        """Results of a test: {(name and parameter, which of them): (p, verdict)}."""
        words = [word for field in FIELDS for word in ('-D', field)]
        done = subprocess.run(['dieharder', '-g', '200', '-c', ',', *words, '-p', '1', *test],
                              stdin=self.source, stdout=subprocess.PIPE, text=True, check=True)
        results = {}
        for number, line in enumerate(done.stdout.splitlines()):
            name, ntuple, p, verdict = (word.strip() for word in line.split(','))
            results[f'{name} {ntuple}', number] = (float(p), verdict)
        if not results:
            raise AssertionError(f'dieharder {test}: no result')
        self.results += len(results)
        self.weak += sum(verdict == 'WEAK' for _, verdict in results.values())
        for (name, _), (p, verdict) in results.items():
            if verdict not in ('PASSED', 'WEAK'):
                raise AssertionError(f'{name}: {verdict}, p = {p}')
        return results

    def test(self, test):
        """Once, and what is WEAK again."""
        weak = None
        for _ in range(TRIES):
            results = self.once(test)
            weak = {key for key, (_, verdict) in results.items()
                    if verdict == 'WEAK' and (weak is None or key in weak)}
            if not weak:
                return
        raise AssertionError(f'{weak}: WEAK {TRIES} times in a row')

    def run(self):
        for test in TESTS:
            self.test(test)
        return (f'{self.results} results, {self.weak} WEAK once; false alarm below '
                f'{FALSE_ALARM * self.results:.1g}')


def test_key():
    """key passes dieharder's tests"""
    with link() as source:
        return Battery(source).run()


def finds(weakness):
    with link(weakness) as source:
        try:
            Battery(source).run()
        except AssertionError as error:
            if 'FAILED' not in str(error):
                raise
            return str(error)
    raise AssertionError('it passes')


def test_biased():
    """they find an amplification that sets each 64th bit"""
    return finds('biased')


def test_short():
    """they find one whose matrix is from a shift register of 31 bits, which has no bias"""
    said = finds('short')
    if 'monobit' in said:
        raise AssertionError(said)
    return said


def test_false_alarms():
    """of the kernel's random bytes as many are WEAK as the treatment rests on"""
    with open('/dev/urandom', 'rb') as source:
        battery = Battery(source)
        for _ in range(10):
            battery.run()
    # 1 % expected: Poisson's tail above four times that and ten is below 1e-9
    if battery.weak > 0.04 * battery.results + 10:
        raise AssertionError(f'{battery.weak} of {battery.results}')
    return f'{battery.weak} of {battery.results}'


if __name__ == '__main__':
    run([test_key, test_biased, test_short, test_false_alarms])
