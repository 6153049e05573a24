"""capture: reads pcap and pcapng files of every legal kind, written from the specifications alone
(draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng). It shares no code with the probe: it judges it.

Packets come as they stand in the file. Damage raises Damaged after the last whole packet."""

import struct
from collections import namedtuple

ETHERNET = 1

Packet = namedtuple("Packet", "time_ns linktype data original interface description id queue")
Interface = namedtuple("Interface", "linktype snaplen name description ticks offset_s")
Statistics = namedtuple("Statistics", "interface received dropped delivered")


class Damaged(Exception):
    """The file ends or breaks here; what was yielded before is whole."""


class Capture:
    """Iterate over it for packets; interfaces and statistics are complete after the last one."""

    def __init__(self, stream):
        self.stream = stream
        self.interfaces = []  # of all sections
        self.statistics = []

    def __iter__(self):
        magic = self._take(4)
        if magic == b"\x0a\x0d\x0d\x0a":
            return self._pcapng()
        kinds = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}  # magic -> nanoseconds per tick
        for order in "<>":
            tick_ns = kinds.get(struct.unpack(order + "I", magic)[0])
            if tick_ns:
                return self._pcap(order, tick_ns)
        raise Damaged("neither pcap nor pcapng")

    def _take(self, n):
        data = self.stream.read(n)
        if len(data) < n:
            raise Damaged(f"ends {n - len(data)} bytes too early")
        return data

    def _pcap(self, order, tick_ns):
        snaplen, network = struct.unpack(order + "II", self._take(20)[12:])
        # The upper half holds the FCS length (section 4); the link type is the lower.
        self.interfaces.append(Interface(network & 0xFFFF, snaplen, None, None, None, 0))
        while head := self.stream.read(16):
            if len(head) < 16:
                raise Damaged("ends inside a packet header")
            seconds, ticks, captured, original = struct.unpack(order + "IIII", head)
            data = self._take(captured)
            yield Packet(seconds * 10**9 + ticks * tick_ns, network & 0xFFFF, data, original,
                         None, None, None, None)

    def _pcapng(self):
        order, section = None, []  # section: the interfaces of the current one
        kind_bytes = b"\x0a\x0d\x0d\x0a"
        while kind_bytes:
            length_bytes = self._take(4)
            if kind_bytes == b"\x0a\x0d\x0d\x0a":  # the same in both byte orders
                magic = self._take(4)
                order = "<" if magic == b"\x4d\x3c\x2b\x1a" else ">"
                if struct.unpack(order + "I", magic)[0] != 0x1A2B3C4D:
                    raise Damaged("section header without a byte-order magic")
                section, seen = [], 12
            else:
                seen = 8
            kind, length = struct.unpack(order + "II", kind_bytes + length_bytes)
            if length < 12 or length % 4 or length < seen + 4:
                raise Damaged(f"block of {length} bytes")
            body = self._take(length - seen)
            if struct.unpack(order + "I", body[-4:])[0] != length:
                raise Damaged("the two lengths of a block differ")
            packet = self._block(order, kind, body[:-4], section)
            if packet:
                yield packet
            kind_bytes = self.stream.read(4)
            if len(kind_bytes) not in (0, 4):
                raise Damaged("ends inside a block header")

    def _block(self, order, kind, body, section):
        if kind == 1:
            section.append(interface(order, body))
            self.interfaces.append(section[-1])
        elif kind == 2:  # obsolete packet block: the interface has 16 bits
            number, _, high, low, captured, original = fields(order + "HHIIII", body)
            return packet(order, section, number, (high, low), captured, original, body[20:])
        elif kind == 3:  # simple packet block: the first interface, no time
            original, = fields(order + "I", body)
            snaplen = at(section, 0).snaplen or original
            return packet(order, section, 0, None, min(original, snaplen), original, body[4:])
        elif kind == 5:
            options = dict(read_options(order, body[12:]))
            counts = [struct.unpack(order + "Q", options[c])[0] if c in options else None
                      for c in (4, 5, 8)]
            self.statistics.append(Statistics(at(section, fields(order + "I", body)[0]), *counts))
        elif kind == 6:
            number, high, low, captured, original = fields(order + "IIIII", body)
            return packet(order, section, number, (high, low), captured, original, body[20:])
        return None


def fields(layout, body):
    size = struct.calcsize(layout)
    if len(body) < size:
        raise Damaged("a block is too short for its fields")
    return struct.unpack(layout, body[:size])


def at(section, number):
    if number >= len(section):
        raise Damaged(f"names interface {number}, which the section has not")
    return section[number]


def read_options(order, body):
    while len(body) >= 4:
        code, length = struct.unpack(order + "HH", body[:4])
        if code == 0:
            return
        if 4 + length > len(body):
            raise Damaged("an option runs past its block")
        yield code, body[4:4 + length]
        body = body[4 + length + -length % 4:]


def interface(order, body):
    linktype, _, snaplen = fields(order + "HHI", body)
    options = dict(read_options(order, body[8:]))
    resolution = options.get(9, b"\x06")[0]
    ticks = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10 ** resolution
    offset, = struct.unpack(order + "q", options.get(14, bytes(8)))
    name, description = (options[c].decode() if c in options else None for c in (2, 3))
    return Interface(linktype, snaplen, name, description, ticks, offset)


def packet(order, section, number, time, captured, original, rest):
    i = at(section, number)
    if captured > len(rest):
        raise Damaged("a packet runs past its block")
    time_ns = 0
    if time:
        time_ns = (time[0] << 32 | time[1]) * 10**9 // i.ticks + i.offset_s * 10**9
    options = dict(read_options(order, rest[captured + -captured % 4:]))
    identity, queue = (struct.unpack(order + layout, options[c])[0] if c in options else None
                       for c, layout in ((5, "Q"), (6, "I")))
    return Packet(time_ns, i.linktype, rest[:captured], original, i.name, i.description,
                  identity, queue)


class Pcap:
    """Writes Ethernet packets as a pcap file with nanosecond times."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, ETHERNET))

    def add(self, time_ns, data):
        self.file.write(struct.pack("<IIII", time_ns // 10**9, time_ns % 10**9,
                                    len(data), len(data)) + data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
