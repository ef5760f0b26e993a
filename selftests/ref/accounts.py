# SPDX-License-Identifier: GPL-2.0-only
"""The accounting identities (DESIGN 3.6) over `qkd -j -s link show`."""
from link import STREAMS, head_size, segment_size

MEMBERS = ('supplied', 'taken', 'skipped', 'lost', 'head', 'live')


def streams(link):
    """The accounts of a link by stream number, each with its 'tx'."""
    found = {}
    for entry in link.get('stat') or link.get('streams') or link.get('stats') or ():
        entry = dict(entry)
        stream = entry['stream']
        number = STREAMS[stream] if isinstance(stream, str) else stream
        entry['tx'] = entry['dir'] in ('out', 'tx', 2)
        for member in MEMBERS:
            entry.setdefault(member, 0)
        found[number] = entry
    return found


def find(links, name):
    for link in links:
        if name in (None, link.get('name'), link.get('ifname')):
            return link
    raise ValueError(f'no link {name}')


def problems_of_end(link):
    """What does not add up at one end."""
    out = []
    accounts = streams(link)
    if not accounts:
        out.append('the link shows no accounts')
    for number, a in sorted(accounts.items()):
        name = f"{link.get('name', link.get('ifname'))} {a['stream']}"
        total = sum(a[m] for m in ('taken', 'skipped', 'lost', 'head', 'live'))
        if a['supplied'] != total:
            out.append(f"{name}: supplied {a['supplied']} is not taken {a['taken']} + skipped "
                       f"{a['skipped']} + lost {a['lost']} + head {a['head']} + live {a['live']}")
        size = segment_size(number)
        heads = (a['supplied'] + size - 1) // size * head_size(number)
        if a['head'] > heads or (not a['lost'] and a['head'] != heads):
            out.append(f"{name}: {a['head']} bytes of heads, not {heads}")
        if not a['tx'] and a['skipped']:
            out.append(f'{name}: rx cannot know what was skipped')
        if a['tx'] and a.get('capacity') and a['live'] > a['capacity']:
            out.append(f"{name}: live {a['live']} over the capacity {a['capacity']}")
    return out


def problems_across(one, other, lossless=False):
    """What does not add up between two ends at rest. With lossless, each
    allocated byte must have been committed."""
    out = []
    mine, theirs = streams(one), streams(other)
    if one.get('generation') != other.get('generation'):
        out.append('the ends are in different generations')
    for number in sorted(mine):
        a, b = mine[number], theirs.get(number)
        if b is None or a['tx'] == b['tx']:
            out.append(f"{a['stream']}: both ends have the same direction")
            continue
        tx, rx = (a, b) if a['tx'] else (b, a)
        lag = rx['supplied'] - rx['head'] - (tx['supplied'] - tx['head'])
        left = tx['taken'] + tx['skipped'] + tx['lost'] + tx['live'] + lag
        right = rx['taken'] + rx['skipped'] + rx['lost'] + rx['live']
        if rx['supplied'] < tx['supplied']:
            out.append(f"{a['stream']}: tx holds bytes that rx has not got")
        if left != right:
            out.append(f"{a['stream']}: tx {left} (with a lag of {lag}), rx {right}")
        if rx['taken'] > tx['taken']:
            out.append(f"{a['stream']}: {rx['taken']} committed, {tx['taken']} allocated")
        if lossless and rx['taken'] != tx['taken']:
            out.append(f"{a['stream']}: {tx['taken']} allocated, {rx['taken']} committed")
    return out
