# SPDX-License-Identifier: GPL-2.0-only
"""KTAP for selftests in Python: each test is a function; what it returns is
printed beside its name, an exception is a failure."""
import os
import sys
import traceback

SCALE = int(os.environ.get('QKD_SCALE', '100'))


def scaled(number, least=1):
    return max(least, number * SCALE // 100)


def run(tests, cleanup=None):
    """Runs all of them; exits."""
    print('TAP version 13')
    print(f'1..{len(tests)}', flush=True)
    failed = 0
    for count, test in enumerate(tests, 1):
        what = (test.__doc__ or test.__name__).strip().split('\n')[0].rstrip('.')
        try:
            note = test()
            print(f'ok {count} - {what}' + (f' ({note})' if note else ''), flush=True)
        except Exception:               # a failing test must not hide the others
            for line in traceback.format_exc().splitlines():
                print('#   ' + line)
            print(f'not ok {count} - {what}', flush=True)
            failed += 1
        finally:
            if cleanup:
                cleanup()
    sys.exit(int(failed > 0))


def equal(got, want, what=''):
    if got != want:
        raise AssertionError(f'{what}: got {got!r}, expected {want!r}')


def refused(number, call, *args, text=None, attribute=None, **values):
    """The call must fail with this errno, and say the text and attribute."""
    try:
        result = call(*args, **values)
    except OSError as why:
        if why.errno != number:
            raise AssertionError(f'refused with {why}, not {os.strerror(number)}') from why
        if text is not None and text not in (getattr(why, 'message', None) or ''):
            raise AssertionError(f'said {why}, not "{text}"') from why
        if attribute is not None and getattr(why, 'attribute', None) != attribute:
            raise AssertionError(f'named {why}, not {attribute}') from why
        if hasattr(why, 'message') and not why.message:
            raise AssertionError(f'{why}: without a word') from why
        return
    raise AssertionError(f'not refused: {result!r}')
