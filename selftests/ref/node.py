# SPDX-License-Identifier: GPL-2.0-only
"""The character device of a link, /dev/qkd<index>."""
import ctypes
import fcntl
import os
import struct

ID_LEN = 16
SUPPLY = struct.Struct('=HBBIQ')
CLAIM = struct.Struct('=16sBBHIQ256s')
KEY = struct.Struct('=IIQ')
GAP = 1
SIZE_MAX = 2016


def iowr(number, size):
    return 3 << 30 | size << 16 | ord('Q') << 8 | number


IOC_CLAIM = iowr(0x40, CLAIM.size)
IOC_KEY = iowr(0x41, KEY.size)


class Node:
    """An open node. Does not wait: what would block raises BlockingIOError."""

    def __init__(self, index, flags=os.O_RDWR):
        self.fd = os.open(f'/dev/qkd{index}', flags | os.O_NONBLOCK)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def supply(self, label, stream, offset, data, s=b''):
        record = SUPPLY.pack(label, stream, 0, len(data), offset) + data + s
        if os.write(self.fd, record) != len(record):
            raise OSError('a record was written in part')

    def gap(self, label, stream, offset):
        os.write(self.fd, SUPPLY.pack(label, stream, GAP, 0, offset))

    def read(self, size):
        """(key ID, key)"""
        record = os.read(self.fd, ID_LEN + size)
        return record[:ID_LEN], record[ID_LEN:]

    def claim(self, ident, size=0, context_type=0, context=b'', room=SIZE_MAX):
        key = (ctypes.c_ubyte * SIZE_MAX)()
        arg = bytearray(CLAIM.pack(ident, context_type, len(context), size, room,
                                   ctypes.addressof(key), context))
        fcntl.ioctl(self.fd, IOC_CLAIM, arg, True)
        return bytes(key[:CLAIM.unpack(arg)[3]])

    def key(self, handle, room=SIZE_MAX):
        key = (ctypes.c_ubyte * SIZE_MAX)()
        arg = bytearray(KEY.pack(handle, room, ctypes.addressof(key)))
        fcntl.ioctl(self.fd, IOC_KEY, arg, True)
        return bytes(key[:KEY.unpack(arg)[1]])
