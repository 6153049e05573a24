"""sctp_synthetic: an SCTP capture with what the real ones lack: aborts of every cause, parts of messages,
I-DATA, several gap blocks, duplicates, chunks of odd lengths, data sent again, a second path."""

import random
import struct

import capture

START_NS = 1795302174 * 10**9
MACS_IPV4 = bytes.fromhex("02ee0000000102dd000000010800")
A, B, A2, B2 = (bytes((10, n, 0, host)) for n, host in ((0, 1), (0, 2), (9, 8), (9, 2)))


def chunk(kind, flags=0, body=b""):
    return struct.pack(">BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


def data(tsn, flags=3, length=7):
    return chunk(0, flags, struct.pack(">IHHI", tsn, 1, 2, 46) + bytes(length))


def i_data(tsn, flags=3):
    return chunk(64, flags, struct.pack(">IHHII", tsn, 1, 0, 2, 46) + b"interleaved")


def sack(cum, gaps=(), duplicates=(), window=65536):
    return chunk(3, 0, struct.pack(f">IIHH{2 * len(gaps)}H{len(duplicates)}I", cum, window, len(gaps), len(duplicates),
                                   *(n for gap in gaps for n in gap), *duplicates))


def abort(code, flags=0):
    return chunk(6, flags, b"" if code is None else struct.pack(">HH", code, 4))


def init(kind, tag, tsn):
    return chunk(kind, 0, struct.pack(">IIHHI", tag, 65536, 10, 10, tsn))


class Association:
    """Packets between two hosts, one a millisecond."""

    def __init__(self, file, clock, port):
        self.file, self.clock, self.port = file, clock, port
        self.tags = {True: 0x10000000 + port, False: 0x20000000 + port}  # of packets from A; from B
        self.hosts = A, B

    def send(self, is_from_a, *chunks, tag=None):
        self.clock[0] += 1_000_000
        source, target = self.hosts if is_from_a else self.hosts[::-1]
        ports = (self.port, 3868) if is_from_a else (3868, self.port)
        sctp = struct.pack(">HHII", *ports, self.tags[is_from_a] if tag is None else tag, 0) + b"".join(chunks)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(sctp), 0, 0, 64, 132, 0, source, target)
        self.file.add(self.clock[0], MACS_IPV4 + ip + sctp)

    def set_up(self):
        self.send(True, init(1, self.tags[False], 100), tag=0)
        self.send(False, init(2, self.tags[True], 500))
        self.send(True, chunk(10, 0, b"cookie"))
        self.send(False, chunk(11))


def talk(a, rng):
    """Data from A, some of it lost on its way, sent again over the other path."""
    sent, there = 99, set()
    cum = 99
    for _ in range(60):
        for _ in range(rng.randrange(1, 4)):
            sent += 1
            a.hosts = A, B
            flags = rng.choice((3, 3, 3, 2, 0, 1))
            a.send(True, i_data(sent, flags) if rng.random() < 0.2 else data(sent, flags, rng.randrange(1, 30)))
            if rng.random() < 0.97:
                there.add(sent)
        cum = answer(a, cum, there)
        lost = [tsn for tsn in range(cum + 1, sent) if tsn not in there]
        if lost and rng.random() < 0.5:
            a.hosts = A2, B2
            a.send(True, *map(data, lost[:3]))
            there.update(lost[:3])
            cum = answer(a, cum, there, lost[:1])


def answer(a, cum, there, duplicates=()):
    while cum + 1 in there:
        cum += 1
    gaps, tsn = [], cum + 1
    while there and tsn <= max(there):
        if tsn in there:
            first = tsn
            while tsn + 1 in there:
                tsn += 1
            gaps.append((first - cum, tsn - cum))
        tsn += 1
    a.send(False, sack(cum, gaps, duplicates))
    return cum


def write(out):
    rng, clock = random.Random(4), [START_NS]
    with capture.Pcap(out) as file:
        for n, code in enumerate((None, *range(16), 0xffff)):
            a = Association(file, clock, 2000 + n)
            a.set_up()
            a.send(True, chunk(9, 0, struct.pack(">HHI", 1, 8, 0)), data(100))
            a.send(False, sack(100), abort(code))
        refused = Association(file, clock, 2900)
        refused.send(True, init(1, refused.tags[False], 1), tag=0)
        refused.send(False, abort(4))
        reflected = Association(file, clock, 2901)
        reflected.set_up()
        reflected.send(True, abort(13, 1), tag=reflected.tags[False])
        for port in range(3000, 3010):
            a = Association(file, clock, port)
            a.set_up()
            talk(a, rng)
            a.hosts = A, B
            a.send(True, chunk(192, 0, struct.pack(">I", 1)), chunk(130), chunk(193), chunk(128), chunk(200, 0, b"?"))
            a.send(True, chunk(7, 0, struct.pack(">I", 499)))
            a.send(False, chunk(8))
            a.send(True, chunk(14))
    return out
