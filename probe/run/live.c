#include "run/live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "base/log.h"
#include "path/attach.h"
#include "path/attach_nic.h"
#include "run/capturer.h"
#include "run/ledger.h"
#include "run/plan.h"
#include "serve/exporter.h"
#include "serve/metrics.h"

struct child {
	pid_t pid; /* 0: none */
	int socket;
};

struct live {
	const struct config *config;
	struct engine_config engine;
	struct attach *attach;
	struct attach_maps maps;
	struct stats *stats;
	int stats_fd, signals, listener;
	struct child capture, exporter;
};

/* ---- children ---- */

/* Forks before anything else is open. In the child returns 0 and *socket is its end. */
static int fork_child(struct child *child, int *socket, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_set(err, -errno, "cannot make a socket pair: %s", strerror(errno));
	child->pid = fork();
	if (child->pid < 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return err_set(err, -errno, "cannot fork: %s", strerror(errno));
	}
	(void)close(pair[child->pid ? 1 : 0]);
	if (child->pid)
		child->socket = pair[0];
	else
		*socket = pair[1];
	return 0;
}

static int fork_children(struct live *l, struct err *err)
{
	int socket;
	int ret = fork_child(&l->capture, &socket, err);

	if (ret)
		return ret;
	if (!l->capture.pid) {
		if (l->listener >= 0)
			(void)close(l->listener);
		exit(capturer_main(l->config, &l->engine, socket));
	}
	if (l->listener < 0)
		return 0;
	ret = fork_child(&l->exporter, &socket, err);
	if (ret)
		return ret;
	if (!l->exporter.pid) {
		(void)close(
			l->capture.socket); /* else the capture process would outlive the starter */
		exit(exporter_main(socket, l->listener));
	}
	(void)close(l->listener);
	l->listener = -1;
	return 0;
}

/* Tells a child to end, waits for it. Returns its exit code, 128 + signal if one killed it. */
static int end_child(struct child *child)
{
	int status = 0;

	if (!child->pid)
		return 0;
	(void)close(child->socket);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- start ---- */

static int open_signals(struct live *l, struct err *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* inherited: Ctrl-C is not for the children */
	(void)signal(SIGPIPE, SIG_IGN);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return l->signals < 0 ? err_set(err, -errno, "cannot wait for signals: %s", strerror(errno))
			      : 0;
}

static int plan(struct live *l, struct attach_config *attach, struct err *err)
{
	const struct config *c = l->config;
	struct stats_config stats;
	uint32_t queues;

	*attach = (struct attach_config){.interface = c->interface,
					 .mode = (enum attach_mode)c->mode,
					 .workers = (uint32_t)c->workers,
					 .ring = (uint32_t)c->ring,
					 .port = (uint16_t)c->port,
					 .allow = c->allow,
					 .n_allow = c->n_allow};
	int ret = attach_nic_queues(c->interface, &queues, err);
	if (ret)
		return ret;
	ret = plan_engine(c, queues, attach_memory(attach, queues), &l->engine, &stats, err);
	if (ret)
		return ret;
	attach->key = l->engine.decap.key;
	return stats_open(&l->stats, &l->stats_fd, &stats, err);
}

/* The exporter's descriptor cannot be mapped for writing. */
static int send_stats(const struct live *l, int socket, int flags, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->stats_fd);
	const int fd = open(path, flags | O_CLOEXEC);
	int ret = fd < 0 ? -errno : fdpass_send(socket, "s", 1, &fd, 1);
	if (fd >= 0)
		(void)close(fd);
	return ret ? err_set(err, ret, "cannot hand over the statistics: %s", strerror(-ret)) : 0;
}

static int hand_over(struct live *l, struct err *err)
{
	char ready;
	int ret = attach_send(l->attach, l->capture.socket, err);

	if (ret || (ret = send_stats(l, l->capture.socket, O_RDWR, err)))
		return ret;
	if (l->exporter.pid && ((ret = attach_send_counters(l->attach, l->exporter.socket, err)) ||
				(ret = send_stats(l, l->exporter.socket, O_RDONLY, err))))
		return ret;
	/* The capture process has said itself what is wrong. */
	return recv(l->capture.socket, &ready, 1, 0) == 1 ? 0 : err_set(err, -ECHILD, "%s", "");
}

static void say_started(const struct live *l)
{
	const struct attach_facts *f = attach_facts(l->attach);

	log_line("capturing on %s: %u RX queues, %u workers, XDP %s, %s, %s%s",
		 l->config->interface, f->queues, f->workers, f->native ? "native" : "generic",
		 f->zero_copy ? "zero-copy" : "copy",
		 f->multi_buffer ? "several buffers per packet" : "one buffer per packet",
		 f->native ? "" : " (native mode needs XDP in the driver)");
}

static int start(struct live *l, struct err *err)
{
	struct attach_config attach;
	int ret = plan(l, &attach, err);

	if (ret || (ret = fork_children(l, err)) || (ret = attach_open(&l->attach, &attach, err)) ||
	    (ret = attach_map(l->attach, &l->maps, err)) || (ret = hand_over(l, err)) ||
	    (ret = attach_start(l->attach, err)))
		return ret;
	say_started(l);
	return 0;
}

/* ---- run and stop ---- */

/* Until a signal comes or the capture process is gone. */
static void wait_for_end(struct live *l)
{
	struct pollfd p[] = {{.fd = l->signals, .events = POLLIN},
			     {.fd = l->capture.socket, .events = POLLIN},
			     {.fd = attach_fd(l->attach), .events = POLLIN}};
	struct err err;

	for (;;) {
		if (poll(p, 3, -1) < 0)
			continue;
		if (p[0].revents || p[1].revents)
			return;
		if (p[2].revents && attach_follow(l->attach, &err))
			log_line("%s", err.text);
	}
}

/* While the capture process seals its files a second signal ends it at once. */
static void wait_for_capture(struct live *l)
{
	struct signalfd_siginfo info;
	struct pollfd p[] = {{.fd = l->capture.socket, .events = POLLIN},
			     {.fd = l->signals, .events = POLLIN}};

	(void)!read(l->signals, &info, sizeof(info));
	(void)shutdown(l->capture.socket, SHUT_WR);
	while (poll(p, 2, -1) < 0 || !p[0].revents)
		if (p[1].revents && read(l->signals, &info, sizeof(info)) > 0)
			(void)kill(l->capture.pid, SIGKILL);
}

static int report(struct live *l, struct err *err)
{
	const struct ledger_source source = {l->stats, attach_facts(l->attach), &l->maps};
	char *text;
	size_t len;
	int ret = metrics_text(&source, &text, &len, err);

	ledger_log(&source);
	if (ret)
		return ret;
	ret = plan_write_metrics(l->config, text, len, err);
	free(text);
	return ret;
}

static int run(struct live *l, struct err *err)
{
	wait_for_end(l);
	attach_stop(l->attach);
	wait_for_capture(l);
	const int code = end_child(&l->capture);
	const int ret = report(l, err);
	if (code > 128)
		return err_set(err, -ECHILD,
			       "the capture process was ended by signal %d: its open files end in "
			       "\"trunc\" after the next start",
			       code - 128);
	return code ? err_set(err, -ECHILD, "the capture process failed") : ret;
}

int live_run(const struct config *config, struct err *err)
{
	struct live l = {.config = config, .stats_fd = -1, .signals = -1, .listener = -1};
	int ret = open_signals(&l, err);

	if (!ret && strcmp(config->listen, "none"))
		ret = exporter_listen(&l.listener, config->listen, err);
	if (!ret && !(ret = start(&l, err)))
		ret = run(&l, err);
	(void)end_child(&l.capture);
	(void)end_child(&l.exporter);
	attach_close(l.attach);
	if (l.stats_fd >= 0)
		(void)close(l.stats_fd);
	return ret;
}
