#!/usr/bin/env python3
"""figures: judges the report of 'vxprobe read' and 'vxprobe top'. Exit 1 with one sentence.

  METRICS JSON TEXT CAPTURE   both forms of the report tell what the page of metrics tells, over the time of
                              the capture by tshark
  live JSON                   figures of a live probe: rates over an interval, NFs the sums of their sessions"""

import json
import math
import re
import subprocess
import sys
from collections import defaultdict

SAMPLE = re.compile(r'^vxprobe_(\w+)\{source="([^"]+)",vni="(\d+)",generation="(\d+)"(?:,(.*))?\} (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
TRANSPORTS = {
    "tcp": ("tcp", 'layer="mirror"', "connection"),
    "sctp": ("sctp", "", "association"),
    "ue_tcp": ("tcp", 'layer="ue"', "connection"),
}


def die(text):
    sys.exit(f"figures: {text}")


def near(what, have, want, share=1e-6):
    if (have is None) != (want is None):
        die(f"{what} is {have}, must be {want}")
    if want is not None and abs(have - want) > share * abs(want) + 1e-9:
        die(f"{what} is {have}, must be {want}")


class Session:
    def __init__(self):
        self.labels, self.rows = {}, []

    def sum(self, family, label="", without=None):
        """None: there is no such series."""
        rows = [v for name, labels, v in self.rows
                if name == family and label in labels and not (without and without in labels)]
        return sum(rows) if rows else None

    def buckets(self, family, label):
        sums = defaultdict(float)
        for name, labels, value in self.rows:
            if name == family + "_bucket" and label in labels:
                sums[math.inf if 'le="+Inf"' in labels else float(re.search(r'le="([^"]+)"', labels)[1])] += value
        return sorted(sums.items())


def read_metrics(path):
    sessions = defaultdict(Session)
    with open(path, encoding="utf-8") as page:
        for line in page:
            m = SAMPLE.match(line.split(" # ")[0].rstrip())
            if not m:
                continue
            session = sessions[m[2], m[3], m[4]]
            if m[1] == "session_info":
                session.labels = dict(LABEL.findall(m[5]))
            else:
                session.rows.append((m[1], m[5] or "", float(m[6])))
    return {s.labels["name"]: s for s in sessions.values()}


def share(part, whole):
    return (part or 0) / whole if whole else None


def judge_transport(name, key, session, row):
    protocol, label, thing = TRANSPORTS[key]
    data = (session.sum("sctp_chunks_total", 'chunk="data"') or 0) + (session.sum("sctp_chunks_total", 'chunk="i_data"') or 0) \
        if key == "sctp" else session.sum("tcp_data_packets_total", label)
    again = session.sum("sctp_data_retransmitted_total") if key == "sctp" else \
        session.sum("tcp_retransmitted_packets_total", label, 'kind="syn"')
    if data is None or session.sum(f"{protocol}_{thing}s_attempted_total", label) is None:
        if row is not None:
            die(f"{name}: {key} is told and has no series")
        return
    near(f"{name}: {key} data", row["data"], data)
    near(f"{name}: {key} retransmitted", row["retransmitted_share"], share(again, data))
    near(f"{name}: {key} attempted", row["attempted"], session.sum(f"{protocol}_{thing}s_attempted_total", label))
    near(f"{name}: {key} failed", row["failed"], session.sum(f"{protocol}_{thing}_failures_total", label))
    judge_rtts(f"{name}: {key}", session, row["rtt"],
               {"both": ("sctp_sack_rtt_seconds", "")} if key == "sctp" else
               {side: ("tcp_rtt_seconds", f'{label},side="{side}"') for side in ("client", "server")})


def judge_rtts(what, session, rtt, series):
    """No side is told with the samples of another, and none is left out."""
    have = {side: session.buckets(*of) for side, of in series.items()}
    if not any(buckets and buckets[-1][1] for buckets in have.values()):
        near(f"{what} rtt", rtt, None)
        return
    if set(rtt) != set(have):
        die(f"{what} rtt is told of {sorted(rtt)}, must be of {sorted(have)}")
    for side, buckets in have.items():
        judge_rtt(f"{what} {side}", buckets, rtt[side])


def judge_rtt(what, buckets, rtt):
    count = buckets[-1][1] if buckets else 0
    if not count:
        near(f"{what} rtt", rtt, None)
        return
    near(f"{what} samples", rtt["samples"], count)
    for key_of, quantile in (("p50", .5), ("p95", .95), ("p99", .99)):
        low = 0
        for edge, n in buckets:
            if n >= math.ceil(quantile * count):
                break
            low = edge
        if not low <= rtt[key_of] <= edge:
            die(f"{what} {key_of} is {rtt[key_of]}, its bucket is {low} to {edge}")


def judge_session(name, session, row, seconds):
    packets, volume = (sum(session.sum(f"session_{d}_{what}_total") for d in ("ingress", "egress", "undirected"))
                       for what in ("packets", "bytes"))
    near(f"{name}: packets", row["packets"], packets)
    near(f"{name}: bytes", row["bytes"], volume)
    near(f"{name}: packets/s", row["packets_per_second"], packets / seconds)
    near(f"{name}: bits/s", row["bits_per_second"], 8 * volume / seconds)
    near(f"{name}: truncated", row["truncated_share"], share(session.sum("session_truncated_packets_total"), packets))
    near(f"{name}: duplicates", row["duplicate_share"],
         share(session.sum("session_duplicate_packets_total"), packets + (session.sum("session_excluded_packets_total") or 0)))
    one, both = session.sum("flows_unidirectional_total"), session.sum("flows_bidirectional_total")
    near(f"{name}: one direction", row["one_direction_share"], share(one, one + both))
    acked = (session.sum("tcp_acked_bytes_total") or 0)
    if acked and not session.sum("sctp_acked_chunks_total"):
        loss = row["mirror_loss"] or {"share": None, "visible_share": None}
        near(f"{name}: loss", loss["share"], session.sum("tcp_acked_missing_bytes_total") / acked)
        near(f"{name}: visible", loss["visible_share"], share(session.sum("session_loss_visible_bytes_total"), volume))
    for key in TRANSPORTS:
        judge_transport(name, key, session, row.get(key))


def seconds_of(capture):
    times = subprocess.run(["tshark", "-r", capture, "-T", "fields", "-e", "frame.time_epoch"], check=True,
                           capture_output=True, text=True).stdout.split()
    return float(times[-1]) - float(times[0])


def percent(share_of):
    if share_of is None:
        return "-"
    p = 100 * share_of
    if p in (0, 100):
        return f"{p:.0f} %"
    return "<0.01 %" if p < .01 else ">99.9 %" if p > 99.9 else f"{p:.2f} %" if p < 9.995 else f"{p:.1f} %"


def judge_far(row, text):
    """The line of a transport is of the side with the larger p50."""
    for key, word in (("tcp", "tcp"), ("sctp", "sctp"), ("ue_tcp", "ue")):
        if key not in row:
            continue
        far = max(((rtt["p50"], side, rtt["samples"]) for side, rtt in (row[key]["rtt"] or {}).items() if rtt), default=None)
        of = word + {"client": ">c", "server": ">s"}.get(far[1], "") if far else word
        if not re.search(rf"^{re.escape(row['name'])} +{of} .* {far[2] if far else 0:,} ", text, re.M):
            die(f"no line of {row['name']} of {of}, samples as in {row[key]['rtt']}")


def judge_text(text, report):
    for line in text.splitlines():
        if len(line) > 100:
            die(f"a line of {len(line)} columns: {line}")
        if re.search(r"[^ -~]|\bnan\b|\binf\b", line, re.I):
            die(f"a line with a control, or no number: {line!r}")
    for row in report["sessions"]:
        packets = f"{row['packets']:,}"
        wanted = re.compile(rf"^{re.escape(row['name'])} +{packets} .* {re.escape(percent(row['truncated_share']))} ", re.M)
        if not wanted.search(text):
            die(f"no line of {row['name']} with {packets} packets, {percent(row['truncated_share'])} cut")
        judge_far(row, text)


def judge_nfs(report):
    sums = defaultdict(lambda: [0, 0])
    for row in report["sessions"]:
        sums[row["nf"] or row["name"]][0] += row["packets"]
        sums[row["nf"] or row["name"]][1] += 1
    have = {row["name"]: [row["packets"], row["sessions"]] for row in report["nfs"]}
    if have != dict(sums):
        die(f"the NFs are {have}, must be {dict(sums)}")


def judge_live(report):
    rate = sum(row["packets_per_second"] for row in report["sessions"])
    if not 500 < rate < 8000:
        die(f"{rate} packets/s; 2000 were sent")
    if not .25 < report["seconds"] < 2:
        die(f"{report['seconds']} s, 0.3 were asked for")
    if report["interface"] != "eth0" or report["uptime"] <= 0:
        die(f"it tells of {report['interface']}, up {report['uptime']} s")
    judge_nfs(report)


def main():
    if sys.argv[1] == "live":
        with open(sys.argv[2], encoding="utf-8") as page:
            judge_live(json.load(page))
        return
    metrics, page, text, capture = sys.argv[1:]
    sessions = read_metrics(metrics)
    with open(page, encoding="utf-8") as file:
        report = json.load(file)
    if not sessions or {row["name"] for row in report["sessions"]} != set(sessions):
        die(f"sessions are {[row['name'] for row in report['sessions']]}, must be {list(sessions)}")
    near("seconds", report["seconds"], seconds_of(capture))
    for row in report["sessions"]:
        judge_session(row["name"], sessions[row["name"]], row, report["seconds"])
    judge_nfs(report)
    with open(text, encoding="utf-8") as file:
        judge_text(file.read(), report)


if __name__ == "__main__":
    main()
