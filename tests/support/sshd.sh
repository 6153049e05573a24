# shellcheck shell=bash disable=SC2034,SC2154 # what a line uses, and has
# A real sshd for one test: its own keys, configuration, port and log; no service of the system's.
#
# A test that has $tmp and $pids sources it. What may be read over SFTP is what the daemon sees: not $tmp/analyst, where
# the test keeps what is the reader's alone.

# sshd_up ADDRESS PORT [COMMAND...]: COMMAND (lab exec NAME, which becomes what it runs) runs it elsewhere. Sets $ssh_config, in which the host is
# called probe, and $sftp_log, with each file opened and its bytes.
sshd_up() {
	local address=$1 port=$2
	shift 2
	mkdir -p "$tmp/ssh" "$tmp/analyst"
	sftp_log=$tmp/ssh/log
	ssh_config=$tmp/analyst/config
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/ssh/host"
	ssh-keygen -q -t ed25519 -N '' -f "$tmp/analyst/login"
	cp "$tmp/analyst/login.pub" "$tmp/ssh/allowed"
	echo "[$address]:$port $(cut -d ' ' -f 1,2 "$tmp/ssh/host.pub")" >"$tmp/analyst/known"
	cat >"$tmp/ssh/sshd_config" <<-END
		ListenAddress $address
		Port $port
		HostKey $tmp/ssh/host
		PidFile none
		UsePAM no
		StrictModes no
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		AuthorizedKeysFile $tmp/ssh/allowed
		Subsystem sftp /usr/lib/openssh/sftp-server -R -e -l VERBOSE 2>>$sftp_log
	END
	cat >"$ssh_config" <<-END
		Host probe
		  HostName $address
		  Port $port
		  User root
		  IdentityFile $tmp/analyst/login
		  UserKnownHostsFile $tmp/analyst/known
		  GlobalKnownHostsFile /dev/null
	END
	# A /run of its own, since it wants a folder there; and what is the reader's is hidden from it.
	"$@" unshare -m sh -c "mount -t tmpfs none /run && mkdir /run/sshd && mount -t tmpfs none '$tmp/analyst' &&
		exec /usr/sbin/sshd -D -e -f '$tmp/ssh/sshd_config'" >"$tmp/ssh/said" 2>&1 &
	pids+=("$!")
	sshd=$!
	wait_for 10 grep -q 'listening on' "$tmp/ssh/said" || fail "sshd does not come up: $(cat "$tmp/ssh/said")"
}
