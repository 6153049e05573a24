#!/usr/bin/env python3
"""policies: judges what is kept under a policy, from stored files (plain pcapng) of the same capture, one with all of it.

  policies.py ethernet IN OUT            a capture of link type SLL as one of Ethernet
  policies.py headers ALL KEPT           user plane in KEPT ends with the user's transport header, by tshark; the rest is
                                         as in ALL
  policies.py sample ALL KEPT KEYFILE N  KEPT has the flows that vxprobe.yaml(5) says, and all signalling
  policies.py same ONE OTHER             both have the same packets
  policies.py only ALL KEPT ADDRESS...   KEPT has the packets from or to an address with such a beginning, by tshark"""

import hashlib
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from capture import Capture, Pcap

SLL = 113
TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
GTPU, GPDU = 2152, 255
# As vxprobe.yaml(5) lists them.
SIGNALLING = {53, 80, 443, 1812, 1813, 2083, 2123, 2152, 2905, 3386, 3799, 3868, 5060, 5061, 5658, 7777, 8000, 8080, 8443,
              8805, 14001, 36412, 38412}
UDP_ALONE = {2123, 2152, 3799, 8805}
TCP_ALONE = {80, 443, 2905, 3868, 7777, 8000, 8080, 8443, 14001}
SIP = {5060, 5061}
MASK = 2**64 - 1


def fail(sentence):
    sys.exit(f"policies: {sentence}")


def packets(path):
    """Packets by their place in the capture that was read: what is in an id beside the worker."""
    with open(path, "rb") as stream:
        return {p.id & 2**48 - 1: p for p in Capture(stream)}


# ---- link types ----

def ethernet(source, target):
    out, n = Pcap(target), 0
    with open(source, "rb") as stream:
        for p in Capture(stream):
            if p.linktype != SLL:
                fail(f"{source} has link type {p.linktype}")
            out.add(p.time_ns, bytes.fromhex("02ee00000001" "02ee00000002") + p.data[14:16] + p.data[16:])
            n += 1
    print(n)


# ---- what tshark says ----

def headers_end(frame):
    """(where the user's transport header ends, or the IP header of a later fragment; is it GTP-U?)."""
    end = None
    for proto in frame:
        name, at, size = proto.get("name"), int(proto.get("pos", 0)), int(proto.get("size", 0))
        if name in ("ip", "ipv6", "tcp"):
            end = at + size + sum(int(p.get("size")) for p in proto.iter() if p.get("name") == "ipv6.fraghdr")
        elif name in ("udp", "icmp", "icmpv6"):
            end = at + 8
            if name != "udp":
                break  # what an error quotes is its payload
    return end, any(proto.get("name") == "gtp" for proto in frame)


def user_fragments(path):
    """Frame numbers of later fragments of UDP whose two addresses had user plane, or no first fragment of other UDP."""
    columns = ["frame.number", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.frag_offset", "ip.flags.mf",
               "ipv6.fraghdr.offset", "ipv6.fraghdr.more", "ip.proto", "udp.port", "gtp.message"]
    command = ["tshark", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-r", path, "-T", "fields", "-E",
               "occurrence=f"]
    lines = subprocess.run(command + [word for c in columns for word in ("-e", c)], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, check=True, text=True).stdout.splitlines()
    had_user, had_other, found = set(), set(), set()
    for line in lines:
        number, *ends, offset, more, offset6, more6, protocol, port, message = line.split("\t")
        pair = frozenset(ends)
        if offset not in ("", "0") and protocol == "17" or offset6 not in ("", "0"):
            if pair in had_user or pair not in had_other:
                found.add(int(number))
        elif port and message in ("255", "0xff"):
            had_user.add(pair)
        elif port and (more in ("1", "True") or more6 in ("1", "True")):
            had_other.add(pair)
    return found


def user_plane(path):
    """{frame number: where the user's headers end} of G-PDUs and later fragments of UDP."""
    command = ["tshark", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-r", path, "-Y",
               "gtp.message == 0xff && udp.port == 2152 || ip.frag_offset > 0 && ip.proto == 17 || ipv6.fraghdr.offset > 0",
               "-T", "pdml", "-J", "geninfo frame eth ip ipv6 ipv6.fraghdr udp tcp icmp icmpv6 gtp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tshark:
        found = {}
        for _, element in ElementTree.iterparse(tshark.stdout):
            if element.tag == "packet":
                number = element.find("proto[@name='geninfo']/field[@name='num']").get("show")
                found[int(number)] = headers_end(element)
                element.clear()
    fragments = user_fragments(path)
    return {number: end for number, end in found.items() if end[1] or number in fragments}


def headers(all_path, kept_path):
    everything, kept = packets(all_path), packets(kept_path)
    user = user_plane(all_path)
    if set(everything) != set(kept):
        fail(f"{len(everything)} packets became {len(kept)}")
    cut = 0
    for number, (identity, p) in enumerate(everything.items(), 1):
        got = kept[identity]
        want = p.data if number not in user else p.data[:user[number][0]]
        if got.data != want or got.original != p.original:
            fail(f"packet {number}: {len(got.data)} bytes of {len(p.data)} are kept, must be {len(want)}")
        cut += len(want) < len(p.data)
    if not cut or len(user) in (0, len(everything)):
        fail(f"{len(user)} of {len(everything)} are user plane and {cut} are cut: nothing is shown by that")
    print(f"{len(everything)} packets, {len(user)} of user plane, of {cut} the payload is cut off")


def only(all_path, kept_path, *prefixes):
    fields = subprocess.run(["tshark", "-r", all_path, "-T", "fields", "-E", "occurrence=f", "-e", "ip.src", "-e", "ip.dst",
                             "-e", "ipv6.src", "-e", "ipv6.dst", "-e", "eth.type"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=True, text=True).stdout.splitlines()
    everything, kept = packets(all_path), packets(kept_path)
    for (identity, _), line in zip(everything.items(), fields):
        *addresses, kind = line.split("\t")
        wanted = kind not in ("0x0800", "0x86dd") or any(a.startswith(prefixes) for a in addresses if a)
        if wanted != (identity in kept):
            fail(f"{line}: {'not ' * (identity not in kept)}kept")
    print(f"{len(kept)} of {len(everything)}")


def same(one_path, other_path):
    one, other = ({identity: (p.data, p.original, p.time_ns) for identity, p in packets(path).items()}
                  for path in (one_path, other_path))
    if one != other:
        fail(f"{one_path} and {other_path} differ")


# ---- samples ----

def rotate(x, bits):
    return (x << bits | x >> 64 - bits) & MASK


def sip_round(v):
    for a, b, first, second in ((0, 1, 13, 32), (2, 3, 16, 0), (0, 3, 21, 0), (2, 1, 17, 32)):
        v[a] = (v[a] + v[b]) & MASK
        v[b] = rotate(v[b], first) ^ v[a]
        v[a] = rotate(v[a], second) if second else v[a]


def siphash13(key, words):
    """Aumasson and Bernstein's, with one round per word and three at the end."""
    v = [a ^ b for a, b in zip(key * 2, (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573))]
    for word in words + [(8 * len(words) & 255) << 56]:
        v[3] ^= word
        sip_round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def network(data, at):
    """(protocol, source, target, where its payload is, is it a later fragment) of the IP packet at data[at:]."""
    if data[at] >> 4 == 4:
        fragment = struct.unpack_from(">H", data, at + 6)[0] & 0x1FFF
        ends = [b"\0" * 10 + b"\xff\xff" + data[at + i:at + i + 4] for i in (12, 16)]
        return data[at + 9], *ends, at + 4 * (data[at] & 15), fragment != 0
    ends = [data[at + i:at + i + 16] for i in (8, 24)]
    if data[at + 6] != 44:
        return data[at + 6], *ends, at + 40, False
    return data[at + 40], *ends, at + 48, struct.unpack_from(">H", data, at + 42)[0] & 0xFFF8 != 0


def gtpu_payload(data, at):
    """Where the packet in a G-PDU begins, or None."""
    if data[at] & 0xF0 != 0x30 or data[at + 1] != GPDU:
        return None
    if not data[at] & 7:
        return at + 8
    follows, at = data[at + 11], at + 12
    while follows:
        size = 4 * data[at]
        follows, at = data[at + size - 1], at + size
    return at


def flow(data, at, in_tunnel=False):
    """(protocol, (address, port), (address, port), in a tunnel?) of the innermost flow, or None: it tells none."""
    protocol, source, target, payload, is_later = network(data, at)
    if is_later:
        return None
    ports = (0, 0)
    if protocol in (TCP, UDP, SCTP):
        ports = struct.unpack_from(">HH", data, payload)
        if protocol == UDP and GTPU in ports and not in_tunnel:
            inside = gtpu_payload(data, payload + 8)
            return flow(data, inside, True) if inside else (protocol, (source, ports[0]), (target, ports[1]), False)
    elif protocol in (ICMP, ICMPV6):
        kind = data[payload]
        if kind in ((0, 8) if protocol == ICMP else (128, 129)):
            ports = struct.unpack_from(">H", data, payload + 4) * 2
        elif kind in ((3, 4, 5, 11, 12) if protocol == ICMP else (1, 2, 3, 4)):
            return flow(data, payload + 8, in_tunnel)
        else:
            return None
    return protocol, (source, ports[0]), (target, ports[1]), in_tunnel


def is_signalling(found):
    protocol, a, b, in_tunnel = found
    ports = {a[1], b[1]}
    if in_tunnel:
        return protocol in (TCP, UDP) and bool(ports & SIP)
    if protocol == SCTP:
        return True
    known = SIGNALLING - UDP_ALONE if protocol == TCP else SIGNALLING - TCP_ALONE if protocol == UDP else set()
    return bool(ports & known)


def is_sampled(found, key, n):
    protocol, *ends, _ = found
    low, high = sorted(ends)
    words = [w for end in (low, high) for w in struct.unpack(">QQ", end[0])]
    words.append(low[1] << 48 | high[1] << 32 | protocol)
    return siphash13(key, words) <= MASK // n


def wanted(data, key, n):
    kind = struct.unpack_from(">H", data, 12)[0]
    at = 14
    while kind in (0x8100, 0x88A8, 0x9100):
        kind, at = struct.unpack_from(">H", data, at + 2)[0], at + 4
    if kind not in (0x0800, 0x86DD):
        return True
    try:
        found = flow(data, at)
    except (struct.error, IndexError):
        return True
    return not found or is_signalling(found) or is_sampled(found, key, n)


def sample(all_path, kept_path, key_path, n):
    with open(key_path, "rb") as f:
        key = list(struct.unpack(">QQ", hashlib.sha256(f.read().rstrip(b" \t\r\n")).digest()[:16]))
    everything, kept = packets(all_path), packets(kept_path)
    left_out = 0
    for number, (identity, p) in enumerate(everything.items(), 1):
        want = wanted(p.data, key, int(n))
        left_out += not want
        if want != (identity in kept):
            fail(f"packet {number} is {'not ' * (identity not in kept)}kept")
    if not left_out:
        fail("the sample leaves nothing out")
    print(f"{len(kept)} of {len(everything)}")


COMMANDS = {f.__name__: f for f in (ethernet, headers, only, same, sample)}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
