#!/usr/bin/env python3
"""reader.py: a second reader of stored files, made from vxprobe-files(7) alone; age and zstd do what they do.

  reader.py index FILE [IDENTITY]              one line of JSON for each frame
  reader.py find FILE [IDENTITY] COMMUNITY_ID  the packets of a flow, by the filters: frames read, packets, SHA-256
  reader.py open FILE IDENTITY COMMUNITY_ID    the same of an open file, by the index beside it
  reader.py digest PCAPNG                      packets and the SHA-256 over their bytes, of a plain pcapng
"""

import base64
import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

INDEX_MAGIC, SEEK_MAGIC, SEEK_END = 0x184D2A5D, 0x184D2A5E, 0x8F92EAB1
NO_FLOWS = 2
PORTS = (6, 17, 132)
PAIRS4 = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10}


def need(is_so, what):
    if not is_so:
        sys.exit(f"reader: {what}")


def payload(path, identity):
    """What age carries; of a plain file, the file."""
    if not identity:
        with open(path, "rb") as f:
            return f.read()
    return subprocess.run(["age", "-d", "-i", identity, path], stdout=subprocess.PIPE, check=True).stdout


def unpack(frame):
    return subprocess.run(["zstd", "-dc"], input=frame, stdout=subprocess.PIPE, check=True).stdout


def seek_table(data):
    """(offset, packed length, raw length) of each frame, and where the index begins."""
    n, descriptor, magic = struct.unpack_from("<IBI", data, len(data) - 9)
    need((descriptor, magic) == (0, SEEK_END), "no seek table")
    at = len(data) - 17 - 8 * n
    need(struct.unpack_from("<II", data, at) == (SEEK_MAGIC, 8 * n + 9), "the seek table has another head")
    frames, offset = [], 0
    for i in range(n):
        packed, raw = struct.unpack_from("<II", data, at + 8 + 8 * i)
        frames.append((offset, packed, raw))
        offset += packed
    return frames, data[offset:at]


def record(index, at):
    """The one at an offset, and where the next one is."""
    first, last, n_packets, filter_len, begin, sessions_len, flags = struct.unpack_from("<QQIIHHI", index, at)
    at += 32
    bits = index[at:at + sessions_len]
    sessions = [8 * begin + i for i in range(8 * sessions_len) if bits[i // 8] >> i % 8 & 1]
    at += sessions_len
    return {"first": first, "last": last, "packets": n_packets, "sessions": sessions, "flags": flags,
            "filter": index[at:at + filter_len]}, at + filter_len


def records(index, n):
    magic, length, version, n_records, records_len = struct.unpack_from("<5I", index)
    need((magic, length, version, n_records) == (INDEX_MAGIC, len(index) - 8, 2, n), "the index has another head")
    at, out = 20, []
    for _ in range(n):
        row, at = record(index, at)
        out.append(row)
    need(at == 20 + records_len, "the records have another length")
    return out, index[at:]


def key_of(sha1):
    return int.from_bytes(sha1[:8], "little")


def salted(key, frame):
    z = (key + (frame + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def filter_has(filter_bytes, frame, key):
    n = 8 * len(filter_bytes)
    key = salted(key, frame)
    low, high = key & 0xFFFFFFFF, key >> 32 | 1
    bits = (((low + i * high) % 2**32) * n >> 32 for i in range(8))
    return n > 0 and all(filter_bytes[bit // 8] >> bit % 8 & 1 for bit in bits)


def blocks(raw):
    at = 0
    while at < len(raw):
        kind, length = struct.unpack_from("<II", raw, at)
        need(length >= 12 and at + length <= len(raw), "a block runs over its frame's end")
        yield kind, raw[at + 8:at + length - 4]
        at += length


def packets(raw):
    for kind, body in blocks(raw):
        if kind == 6:
            captured = struct.unpack_from("<I", body, 12)[0]
            yield body[20:20 + captured]


def flow_id(ip):
    """What Community ID v1 hashes of an IPv4 packet without options; None: no such flow."""
    if len(ip) < 24 or ip[0] != 0x45 or struct.unpack_from("!H", ip, 6)[0] & 0x1FFF:
        return None
    proto, a, b = ip[9], (ip[12:16], ip[20:22]), (ip[16:20], ip[22:24])
    if proto == 1:
        other = PAIRS4.get(ip[20])
        a, b = (a[0], bytes([0, ip[20]])), (b[0], bytes([0, ip[21] if other is None else other]))
        if other is None:
            return b"\0\0" + a[0] + b[0] + bytes([proto, 0]) + a[1] + b[1]
    elif proto not in PORTS:
        a, b = (a[0], b""), (b[0], b"")
    a, b = sorted((a, b))
    return b"\0\0" + a[0] + b[0] + bytes([proto, 0]) + a[1] + b[1]


def digest(found):
    total, n = hashlib.sha256(), 0
    for packet in found:
        total.update(packet)
        n += 1
    return f"{n} {total.hexdigest()}"


# ---- beside an open file ----


def bech32(text):
    """The 32 bytes of an AGE-SECRET-KEY-1..., its checksum not looked at."""
    value = 0
    for c in text.lower().rpartition("1")[2][:-6]:
        value = value << 5 | "qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(c)
    return (value >> 4).to_bytes(32, "big")  # 52 characters are 260 bits


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def unpadded(text):
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def file_key(head, identity):
    """Of the first X25519 stanza that the identity opens, and the 16 bytes behind the header."""
    secret = X25519PrivateKey.from_private_bytes(bech32(next(
        line for line in Path(identity).read_text(encoding="ascii").split() if line.startswith("AGE-SECRET-KEY-"))))
    end = head.index(b"\n", head.index(b"\n---")  + 1) + 1
    lines = head[:end].split(b"\n")
    for line, body in zip(lines, lines[1:]):
        if not line.startswith(b"-> X25519 "):
            continue
        share = unpadded(line.split()[2])
        wrap = hkdf(secret.exchange(X25519PublicKey.from_public_bytes(share)),
                    share + secret.public_key().public_bytes_raw(), b"age-encryption.org/v1/X25519")
        try:
            return ChaCha20Poly1305(wrap).decrypt(bytes(12), unpadded(body), None), head[end:end + 16]
        except Exception:  # pylint: disable=broad-except
            continue
    sys.exit("reader: the identity opens no stanza")


def beside(path, identity):
    """Frames and records that the index beside an open file tells."""
    with open(path, "rb") as f:
        key, salt = file_key(f.read(65536), identity)
    cipher = ChaCha20Poly1305(hkdf(key, salt, b"vxprobe index"))
    data = Path(f"{path}.index").read_bytes()
    at, offset, frames, rows = 0, 0, [], []
    while at + 4 <= len(data):
        length, = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            break  # it is being written
        entry = cipher.decrypt(len(rows).to_bytes(11, "big") + b"\0", data[at + 4:at + 4 + length], None)
        packed, raw = struct.unpack_from("<II", entry)
        frames.append((offset, packed, raw))
        row, end = record(entry, 8)
        list(blocks(entry[end:]))
        rows.append(row)
        offset += packed
        at += 4 + length
    return frames, rows


def decrypt_part(path, identity):
    """What age gives of a file that is cut."""
    return subprocess.run(["age", "-d", "-i", identity, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False).stdout


def find(data, community, frames, rows):
    wanted = base64.b64decode(community.removeprefix("1:"))
    read, found = 0, []
    for i, ((offset, packed, raw_len), row) in enumerate(zip(frames, rows)):
        if offset + packed > len(data):
            break  # not written yet
        if not row["flags"] & NO_FLOWS and not filter_has(row["filter"], i, key_of(wanted)):
            continue
        raw = unpack(data[offset:offset + packed])
        need(len(raw) == raw_len, "a frame has another length than the seek table says")
        read += 1
        for packet in packets(raw):
            identity = flow_id(packet[14:]) if packet[12:14] == b"\x08\x00" else None
            if identity and hashlib.sha1(identity).digest() == wanted:
                found.append(packet)
    return f"{read} of {len(frames)} frames: {digest(found)}"


def main():
    command, path, *rest = sys.argv[1:]
    if command == "digest":
        with open(path, "rb") as f:
            print(digest(packets(f.read())))
        return
    if command == "find":
        community = rest.pop()
        data = payload(path, rest[0] if rest else None)
        frames, index = seek_table(data)
        print(find(data, community, frames, records(index, len(frames))[0]))
        return
    if command == "open":
        identity, community = rest
        print(find(decrypt_part(path, identity), community, *beside(path, identity)))
        return
    need(command == "index", f"there is no command {command}")
    frames, index = seek_table(data := payload(path, rest[0] if rest else None))
    need(len(data) > 0, "empty")
    rows, definitions = records(index, len(frames))
    for (offset, packed, raw), row in zip(frames, rows):
        print(json.dumps({**row, "offset": offset, "packed": packed, "raw": raw, "filter": row["filter"].hex()}))
    print(json.dumps({"definitions": [kind for kind, _ in blocks(definitions)]}))


main()
