# SPDX-License-Identifier: GPL-2.0-only
"""What others could learn of a process."""
import contextlib
import re


def memory_of(pid):
    """All that can be read: its private memory, map by map."""
    out = []
    with open(f'/proc/{pid}/maps', encoding='ascii') as maps, \
            open(f'/proc/{pid}/mem', 'rb', buffering=0) as mem:
        for line in maps:
            span, access = line.split()[:2]
            if access[0] != 'r' or '[v' in line:
                continue
            start, end = (int(x, 16) for x in span.split('-'))
            with contextlib.suppress(OSError):
                mem.seek(start)
                out.append(mem.read(end - start))
    return b'\0'.join(out)


def nowhere(keys, pid, log):
    """None of the keys, nor half of one, is in the memory of a strongSwan or its log of
    level 4; both are looked at: a log of that level has dumps of messages."""
    memory = memory_of(pid)
    if len(memory) < 1 << 20:
        raise AssertionError(f'{len(memory)} bytes of memory')
    dumps = ''.join(re.findall(r'\[\w+\] +\d+:((?: [0-9A-F]{2})+)', log, re.M))
    dumps = bytes.fromhex(dumps)
    if len(dumps) < 1000:
        raise AssertionError('no dumps in the log: its format is not understood')
    for key in keys:
        for part in (key[:16], key[16:]):
            for where, text in (('memory', memory), ('a dump in the log', dumps),
                                ('the log', log.lower().encode())):
                if part in text or part.hex().encode() in text:
                    raise AssertionError(f'a key in {where}')
