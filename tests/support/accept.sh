# shellcheck shell=bash disable=SC2034 # what a line uses
# What the acceptance lines share. A line sources it first, called as tests/accept/PN BUILD_DIR.
#
# SCALE=small asks for the copy of a few seconds that `make check` runs. A line ends with finish,
# or exits 1 with a sentence, or 77 where it cannot run.
set -euo pipefail

line=$(basename "$0")
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
B=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$here"
captures=$(realpath -m "${VXPROBE_CAPTURES:-../shared/captures}")
lab=$here/tools/lab
judge=$here/tests/support/judge.py
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vxprobe-$line.XXXXXX")
pids=()
labs=()
mounts=()
# Recursive make must not inherit the flags of the make that runs us.
unset MAKEFLAGS MFLAGS MAKELEVEL

cleanup() {
	local pid name mount
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	for name in ${labs[@]+"${labs[@]}"}; do
		"$lab" down "$name"
	done
	for mount in ${mounts[@]+"${mounts[@]}"}; do
		umount "$mount" 2>/dev/null || umount -l "$mount"
	done
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail() {
	echo "$line: $*" >&2
	exit 1
}

skip() {
	echo "$line: skipped: $*"
	exit 77
}

finish() {
	echo "$line: ok $*"
}

is_small() {
	[ "${SCALE:-full}" = small ]
}

# at_scale FULL SMALL
at_scale() {
	if is_small; then echo "$2"; else echo "$1"; fi
}

need_captures() {
	[ -d "$captures" ] || skip "no captures at $captures (VXPROBE_CAPTURES)"
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# $key: an identity file; $recipient: its public half.
make_key() {
	key=$tmp/key
	age-keygen -o "$key" 2>/dev/null
	recipient=$(age-keygen -y "$key")
}

# lab_up [OPTION...]: a network for this run alone; sets $net.
lab_up() {
	net=$line-$$-${#labs[@]}
	labs+=("$net")
	"$lab" up "$net" "$@"
	drops_before=$(link_drops)
}

# loop_up DIR SIZE [MKFS_OPTION...]: an ext4 of its own there, until the end; its image is in memory where it can be,
# so that what else the disk does is not measured.
loop_up() {
	local dir=$1 size=$2 image
	shift 2
	image=$(mktemp -p /dev/shm "vxprobe-$line.XXXXXX" 2>/dev/null || mktemp -p "$tmp")
	mkdir -p "$dir"
	truncate -s "$size" "$image"
	mkfs.ext4 -q -F -m 0 "$@" "$image"
	mount -o loop "$image" "$dir" 2>"$tmp/mount" || { rm "$image"; skip "no loop device: $(cat "$tmp/mount")"; }
	rm "$image" # the loop device keeps it
	mounts+=("$dir")
}

in_a() {
	"$lab" exec "$net-a" "$@"
}

in_b() {
	"$lab" exec "$net-b" "$@"
}

# probe_start OUT OPTION...: vxprobe run in the lab, until it captures; sets $probe.
probe_start() {
	local out=$1
	shift
	mkdir -p "$out"
	: >"$out/log" # there, and empty, before it is looked at
	"$lab" exec "$net-b" "$B/vxprobe" run -i eth0 -o "$out" -r "$recipient" \
		--metrics "$out/metrics" "$@" 2>"$out/log" &
	probe=$!
	pids+=("$probe")
	wait_for 20 probe_decided "$out/log" || fail "the probe does not come up: $(cat "$out/log")"
	grep -q '^vxprobe: capturing on' "$out/log" ||
		fail "the probe does not start: $(cat "$out/log")"
}

# It captures, or has given up.
probe_decided() {
	grep -q '^vxprobe: capturing on' "$1" || ! kill -0 "$probe" 2>/dev/null
}

# probe_stop OUT: drains, seals, ends.
probe_stop() {
	kill -TERM "$probe"
	wait "$probe" || fail "the probe's exit code is $?: $(cat "$1/log")"
}

# wait_for SECONDS COMMAND...: true as soon as the command is.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# send OPTION...: vxmirror send in the generator's namespace; sets $sent, its count of packets.
send() {
	in_a "$B/vxmirror" send "$@" -i eth0 --target-mac 02:00:00:00:00:01 >"$tmp/sent" 2>&1 ||
		fail "vxmirror send: $(cat "$tmp/sent")"
	sent=$(grep -oE '[0-9]+ packets' "$tmp/sent" | tail -1 | cut -d ' ' -f 1)
	[ -n "$sent" ] || fail "vxmirror send gave no count: $(cat "$tmp/sent")"
}

link_drops() {
	in_a ip -s -j link show eth0 | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["stats64"]["tx"]["dropped"])'
}

# Packets that the generator's end of the link has dropped since lab_up: no probe can see them.
veth_drops() {
	echo $(($(link_drops) - drops_before))
}

# sealed DIR: the sealed files, oldest first, into the array $files.
sealed() {
	mapfile -t files < <(find "$1" -name '*.pcapng.zst.age' ! -name '*_trunc.*' | sort)
	[ ${#files[@]} -gt 0 ] || fail "no sealed file in $1"
	[ -z "$(find "$1" -name '.*.part' -o -name '*_trunc.*')" ] || fail "unsealed files in $1"
}

# export_all DIR OUT [OPTION...]: everything stored in DIR as one plain pcapng.
export_all() {
	local dir=$1 out=$2
	shift 2
	"$B/vxcap" cat "$dir" -i "$key" -w "$out" "$@" || fail "vxcap cat $dir: exit code $?"
}

# count_of METRICS NAME: packets of a fate, or seen; as judge.py value, which takes 0.2 s of Python.
count_of() {
	local name="vxprobe_packets_total{reason=\"$2\"}"
	[ "$2" != seen ] || name=vxprobe_seen_packets_total
	awk -v name="$name" '$1 == name { print $2; found = 1 } END { exit !found }' "$1" || fail "$1 has no $2"
}

# sum_of METRICS REGEX: over all series whose name begins so.
sum_of() {
	awk -v name="^vxprobe_$2" '$1 ~ name { sum += $2 } END { printf "%d\n", sum }' "$1"
}

quietly() {
	"$@" >"$tmp/quiet" 2>&1 || fail "$*: $(tail -20 "$tmp/quiet")"
}
