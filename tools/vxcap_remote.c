#include "vxcap_remote.h"

#include <errno.h>
#include <fcntl.h>
#include <libssh/libssh.h>
#include <libssh/sftp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vxcap_url.h"

#define TIMEOUT_S    30L
#define REQUEST_LEN  32768u /* every server must give so much at a time (SFTP draft, section 3) */
#define REQUESTS_MAX (VXCAP_REMOTE_AHEAD / REQUEST_LEN)

struct host {
	struct host *next;
	struct vxcap_url url;
	ssh_session ssh;
	sftp_session sftp;
	struct ssh_counter_struct moved;
};

struct vxcap_remote {
	struct host *hosts; /* owned */
	const char *ssh_config;
};

/*
 *   | taken | came | asked for |
 *   ^ at           ^ + come    ^ + len
 */
struct vxcap_remote_file {
	struct host *host;
	sftp_file file;
	uint8_t *ahead; /* len bytes; NULL: nothing is asked for */
	uint64_t at;
	size_t len, come;
	uint32_t request[REQUESTS_MAX]; /* ids, of every REQUEST_LEN from at on */
};

/* ---- connecting ---- */

static void host_free(struct host *host)
{
	if (host->sftp)
		sftp_free(host->sftp);
	if (host->ssh) {
		ssh_disconnect(host->ssh);
		ssh_free(host->ssh);
	}
	free(host);
}

/* What the URL says outdoes the configuration. */
static int configure(struct host *host, const char *ssh_config, struct err *err)
{
	const long timeout_s = TIMEOUT_S;
	const bool no = false;
	ssh_session s = host->ssh;

	if (ssh_options_set(s, SSH_OPTIONS_HOST, host->url.host) ||
	    ssh_options_parse_config(s, ssh_config) ||
	    ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no) ||
	    ssh_options_set(s, SSH_OPTIONS_TIMEOUT, &timeout_s) ||
	    (host->url.port && ssh_options_set(s, SSH_OPTIONS_PORT, &host->url.port)) ||
	    (*host->url.user && ssh_options_set(s, SSH_OPTIONS_USER, host->url.user)))
		return err_set(err, -EINVAL, "cannot use the SSH configuration for %s: %s",
			       host->url.host, ssh_get_error(s));
	ssh_set_counters(s, &host->moved, NULL);
	return 0;
}

/* A way that is cut says nothing: then its end is found within about a minute. */
static void watch_connection(ssh_session s)
{
	const int on = 1, idle_s = 20, interval_s = 10, count = 4;
	const unsigned unanswered_ms = 60000;
	const int fd = (int)ssh_get_fd(s);

	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
}

static int refuse_unknown(const struct host *host, struct err *err)
{
	unsigned char *hash = NULL;
	ssh_key key = NULL;
	char *text = NULL;
	size_t len;

	if (!ssh_get_server_publickey(host->ssh, &key) &&
	    !ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &len))
		text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, len);
	const int ret =
		err_set(err, -EACCES,
			"%s is not known: its key is %s. Compare it with the host's, then accept "
			"it once with ssh(1), which adds it to known_hosts",
			host->url.host, text ? text : "unreadable");
	ssh_string_free_char(text);
	ssh_clean_pubkey_hash(&hash);
	ssh_key_free(key);
	return ret;
}

static int check_host_key(const struct host *host, struct err *err)
{
	switch (ssh_session_is_known_server(host->ssh)) {
	case SSH_KNOWN_HOSTS_OK:
		return 0;
	case SSH_KNOWN_HOSTS_UNKNOWN:
	case SSH_KNOWN_HOSTS_NOT_FOUND:
		return refuse_unknown(host, err);
	case SSH_KNOWN_HOSTS_CHANGED:
	case SSH_KNOWN_HOSTS_OTHER:
		return err_set(err, -EACCES,
			       "%s has another key than known_hosts says: it was set up anew, or "
			       "somebody is in between; if you know why, ssh-keygen -R %s",
			       host->url.host, host->url.host);
	default:
		return err_set(err, -EACCES, "cannot check the key of %s: %s", host->url.host,
			       ssh_get_error(host->ssh));
	}
}

/* Without passphrase: none is asked for. */
static int log_in(const struct host *host, struct err *err)
{
	if (ssh_userauth_publickey_auto(host->ssh, NULL, NULL) == SSH_AUTH_SUCCESS)
		return 0;
	return err_set(err, -EACCES,
		       "%s takes none of our keys: put one in the agent (ssh-add), or name a file "
		       "without passphrase as IdentityFile in ssh_config",
		       host->url.host);
}

static int open_host(struct host *host, const char *ssh_config, struct err *err)
{
	host->ssh = ssh_new();
	if (!host->ssh)
		return err_set(err, -ENOMEM, "out of memory");
	int ret = configure(host, ssh_config, err);
	if (ret)
		return ret;
	if (ssh_connect(host->ssh) != SSH_OK)
		return err_set(err, -EIO, "cannot connect to %s: %s", host->url.host,
			       ssh_get_error(host->ssh));
	watch_connection(host->ssh);
	ret = check_host_key(host, err);
	if (!ret)
		ret = log_in(host, err);
	if (ret)
		return ret;
	host->sftp = sftp_new(host->ssh);
	if (!host->sftp || sftp_init(host->sftp))
		return err_set(err, -EIO, "%s gives no SFTP: %s", host->url.host,
			       ssh_get_error(host->ssh));
	return 0;
}

static bool is_same(const struct vxcap_url *a, const struct vxcap_url *b)
{
	return !strcmp(a->user, b->user) && !strcmp(a->host, b->host) && a->port == b->port;
}

/* The connection that there is, or a new one. */
static int find_host(struct vxcap_remote *remote, const struct vxcap_url *url, struct host **out,
		     struct err *err)
{
	struct host *host = remote->hosts;

	while (host && !is_same(&host->url, url))
		host = host->next;
	if (!host) {
		host = calloc(1, sizeof(*host));
		if (!host)
			return err_set(err, -ENOMEM, "out of memory");
		host->url = *url;
		const int ret = open_host(host, remote->ssh_config, err);
		if (ret) {
			host_free(host);
			return ret;
		}
		host->next = remote->hosts;
		remote->hosts = host;
	}
	*out = host;
	return 0;
}

int vxcap_remote_new(struct vxcap_remote **out, const char *ssh_config, struct err *err)
{
	/* libssh takes one that cannot be read as empty. */
	if (ssh_config && access(ssh_config, R_OK))
		return err_set(err, -errno, "cannot read %s: %s", ssh_config, strerror(errno));
	struct vxcap_remote *remote = calloc(1, sizeof(*remote));
	if (!remote)
		return err_set(err, -ENOMEM, "out of memory");
	remote->ssh_config = ssh_config;
	*out = remote;
	return 0;
}

void vxcap_remote_free(struct vxcap_remote *remote)
{
	if (!remote)
		return;
	for (struct host *host = remote->hosts, *next; host; host = next) {
		next = host->next;
		host_free(host);
	}
	free(remote);
}

uint64_t vxcap_remote_moved(const struct vxcap_remote *remote)
{
	uint64_t n = 0;

	for (const struct host *host = remote ? remote->hosts : NULL; host; host = host->next)
		n += host->moved.in_bytes + host->moved.out_bytes;
	return n;
}

/* ---- files and folders ---- */

static int fail(const struct host *host, const char *url, struct err *err)
{
	switch (sftp_get_error(host->sftp)) {
	case SSH_FX_NO_SUCH_FILE:
	case SSH_FX_NO_SUCH_PATH:
		return err_set(err, -ENOENT, "cannot open %s: %s", url, strerror(ENOENT));
	case SSH_FX_PERMISSION_DENIED:
		return err_set(err, -EACCES, "cannot open %s: %s", url, strerror(EACCES));
	default:
		return err_set(err, -EIO, "cannot read %s: %s", url, ssh_get_error(host->ssh));
	}
}

static int begin(struct vxcap_remote *remote, const char *text, struct vxcap_url *url,
		 struct host **host, struct err *err)
{
	const int ret = vxcap_url_parse(url, text, err);

	return ret ? ret : find_host(remote, url, host, err);
}

static int is_folder(const struct host *host, const struct vxcap_url *url, const char *text,
		     struct err *err)
{
	sftp_attributes a = sftp_stat(host->sftp, url->path);

	if (!a)
		return fail(host, text, err);
	const bool is = a->type == SSH_FILEXFER_TYPE_DIRECTORY;
	sftp_attributes_free(a);
	return is ? 0 : -ENOTDIR;
}

/* What a link leads to shows when it is opened. */
static bool may_be_file(const struct sftp_attributes_struct *entry)
{
	return entry->type == SSH_FILEXFER_TYPE_REGULAR ||
	       entry->type == SSH_FILEXFER_TYPE_SYMLINK || entry->type == SSH_FILEXFER_TYPE_UNKNOWN;
}

int vxcap_remote_list(struct vxcap_remote *remote, const char *text, vxcap_remote_visit_fn visit,
		      void *arg, struct err *err)
{
	sftp_attributes entry;
	struct host *host;
	struct vxcap_url url;

	int ret = begin(remote, text, &url, &host, err);
	if (!ret)
		ret = is_folder(host, &url, text, err);
	if (ret)
		return ret;
	sftp_dir dir = sftp_opendir(host->sftp, url.path);
	if (!dir)
		return fail(host, text, err);
	while (!ret && (entry = sftp_readdir(host->sftp, dir))) {
		if (entry->name && may_be_file(entry))
			ret = visit(arg, entry->name, entry->size);
		sftp_attributes_free(entry);
	}
	if (!ret && !sftp_dir_eof(dir))
		ret = fail(host, text, err);
	(void)sftp_closedir(dir);
	return ret;
}

/* Asked before it is opened: the server would wait for a pipe's other end, and all that comes
 * behind with it. */
static int check_regular(const struct host *host, const char *path, const char *text,
			 struct err *err)
{
	sftp_attributes a = sftp_stat(host->sftp, path);

	if (!a)
		return fail(host, text, err);
	const bool is = a->type == SSH_FILEXFER_TYPE_REGULAR;
	sftp_attributes_free(a);
	return is ? 0 : err_set(err, -EINVAL, "%s is neither a file nor a folder", text);
}

int vxcap_remote_open(struct vxcap_remote_file **out, struct vxcap_remote *remote, const char *text,
		      uint64_t *size, struct err *err)
{
	struct vxcap_remote_file *file = calloc(1, sizeof(*file));
	struct vxcap_url url;
	int ret = file ? begin(remote, text, &url, &file->host, err)
		       : err_set(err, -ENOMEM, "out of memory");

	if (!ret)
		ret = check_regular(file->host, url.path, text, err);
	if (ret)
		goto fail;
	file->file = sftp_open(file->host->sftp, url.path, O_RDONLY, 0);
	sftp_attributes a = file->file ? sftp_fstat(file->file) : NULL;
	if (!a) {
		ret = fail(file->host, text, err);
		goto fail;
	}
	*size = a->size;
	sftp_attributes_free(a);
	*out = file;
	return 0;
fail:
	vxcap_remote_close(file);
	return ret;
}

/* ---- ranges ---- */

static int lost(const struct vxcap_remote_file *file)
{
	return ssh_is_connected(file->host->ssh) ? -EIO : -ECONNRESET;
}

static size_t request_len(const struct vxcap_remote_file *file, size_t at)
{
	return file->len - at < REQUEST_LEN ? file->len - at : REQUEST_LEN;
}

/* What an answer lacked: a server may give less than it was asked for. */
static int ask_again(struct vxcap_remote_file *file, size_t at, size_t len)
{
	size_t done = 0;

	while (done < len) {
		(void)sftp_seek64(file->file, file->at + at + done);
		const ssize_t n = sftp_read(file->file, file->ahead + at + done, len - done);
		if (n < 0)
			return lost(file);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int)done;
}

/* Waits for the next answer. 0; -ENODATA: the file ends there; as lost. */
static int take_answer(struct vxcap_remote_file *file)
{
	const size_t at = file->come, want = request_len(file, at);
	int n = sftp_async_read(file->file, file->ahead + at, (uint32_t)want,
				file->request[at / REQUEST_LEN]);

	if (n < 0)
		return lost(file);
	if ((size_t)n < want) {
		const int more = ask_again(file, at + (size_t)n, want - (size_t)n);
		if (more < 0)
			return more;
		n += more;
	}
	file->come += (size_t)n;
	return (size_t)n == want ? 0 : -ENODATA;
}

static void forget(struct vxcap_remote_file *file)
{
	free(file->ahead);
	file->ahead = NULL;
	file->len = file->come = 0;
}

/* Answers that nobody waits for would stay in libssh. */
static void end_range(struct vxcap_remote_file *file)
{
	while (file->ahead && file->come < file->len && !take_answer(file))
		;
	forget(file);
}

void vxcap_remote_expect(struct vxcap_remote_file *file, uint64_t offset, size_t len)
{
	if (file->ahead && offset >= file->at && offset - file->at < file->len &&
	    len <= file->len - (size_t)(offset - file->at))
		return;
	end_range(file);
	if (len > VXCAP_REMOTE_AHEAD)
		len = VXCAP_REMOTE_AHEAD;
	file->ahead = len ? malloc(len) : NULL;
	if (!file->ahead)
		return;
	file->at = offset;
	file->len = len;
	(void)sftp_seek64(file->file, offset);
	for (size_t at = 0; at < len; at += REQUEST_LEN) {
		const int id = sftp_async_read_begin(file->file, (uint32_t)request_len(file, at));
		if (id < 0) { /* what is asked for by then, comes */
			file->len = at;
			break;
		}
		file->request[at / REQUEST_LEN] = (uint32_t)id;
	}
}

/* Of the range asked for, what begins at offset; 0: it is not in it, or at the end of the file. */
static ssize_t read_ahead(struct vxcap_remote_file *file, uint64_t offset, uint8_t *buf, size_t len)
{
	if (!file->ahead || offset < file->at || offset - file->at >= file->len)
		return 0;
	const size_t from = (size_t)(offset - file->at);
	const size_t take = len < file->len - from ? len : file->len - from;
	int ret = 0;
	while (!ret && file->come < from + take)
		ret = take_answer(file);
	if (ret == -ENODATA)
		file->len = file->come;
	else if (ret)
		return ret;
	if (file->come <= from)
		return 0;
	const size_t n = file->come - from < take ? file->come - from : take;
	memcpy(buf, file->ahead + from, n);
	if (from + n == file->len)
		forget(file);
	return (ssize_t)n;
}

ssize_t vxcap_remote_read(struct vxcap_remote_file *file, uint64_t offset, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read_ahead(file, offset + done, (uint8_t *)buf + done, len - done);
		if (n == 0) {
			vxcap_remote_expect(file, offset + done, len - done);
			n = read_ahead(file, offset + done, (uint8_t *)buf + done, len - done);
		}
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

void vxcap_remote_close(struct vxcap_remote_file *file)
{
	if (!file)
		return;
	end_range(file);
	if (file->file)
		(void)sftp_close(file->file);
	free(file);
}
