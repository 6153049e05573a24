#!/usr/bin/env python3
"""fscrypt: makes an encrypted folder on a file system that has fscrypt (policy v2, a key made here).
Usage: fscrypt.py FOLDER"""

import fcntl
import os
import struct
import sys

# linux/fscrypt.h
ADD_KEY = 0xC0506617
SET_POLICY = 0x800C6613
BY_IDENTIFIER, AES_256_XTS, AES_256_CTS, PAD_32 = 2, 1, 4, 3

os.mkdir(sys.argv[1])
folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
key = bytearray(struct.pack("II32xII32x", BY_IDENTIFIER, 0, 64, 0) + os.urandom(64))
fcntl.ioctl(folder, ADD_KEY, key)
identifier = bytes(key[8:24])
fcntl.ioctl(folder, SET_POLICY, struct.pack("4B4x16s", 2, AES_256_XTS, AES_256_CTS, PAD_32, identifier))
