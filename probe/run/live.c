#include "run/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "base/notify.h"
#include "path/attach.h"
#include "path/attach_nic.h"
#include "run/capturer.h"
#include "run/ledger.h"
#include "run/plan.h"
#include "run/reload.h"
#include "serve/exporter.h"

struct child {
	pid_t pid; /* 0: none */
	int socket;
};

struct live {
	const struct config *config;
	struct engine_config engine;
	struct reload *reload;
	struct stats_config stats_config;
	struct attach_config attach_config;
	struct attach *attach;
	struct attach_maps maps;
	struct stats *stats;
	uint64_t heartbeat_ns; /* of the capture process, when the supervisor was last told of it */
	int stats_fd, signals;
	struct exporter_sockets sockets;
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
		child->pid = 0;
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
	if (!l->capture.pid)
		exit(capturer_main(&(struct capturer_config){l->config, &l->engine,
							     reload_settings(l->reload),
							     reload_names(l->reload)},
				   socket));
	ret = fork_child(&l->exporter, &socket, err);
	if (ret)
		return ret;
	if (!l->exporter.pid) {
		reload_close(l->reload);
		(void)close(
			l->capture.socket); /* else the capture process would outlive the starter */
		exit(exporter_main(socket));
	}
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

/* SIGHUP reloads; without a file to be read anew it ends the probe: a terminal that closes sends
 * it, often twice. */
static void fill_signals(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGHUP);
}

/* Before the children are forked: they inherit the mask, since Ctrl-C is not for them. */
static void block_signals(void)
{
	sigset_t set;

	fill_signals(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static int open_signals(struct live *l, struct err *err)
{
	sigset_t set;

	fill_signals(&set);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return l->signals < 0 ? err_set(err, -errno, "cannot wait for signals: %s", strerror(errno))
			      : 0;
}

static int plan(struct live *l, uint32_t queues, struct err *err)
{
	const struct config *c = l->config;

	l->attach_config = (struct attach_config){.interface = c->interface,
						  .mode = (enum attach_mode)c->mode,
						  .workers = (uint32_t)c->workers,
						  .ring = (uint32_t)c->ring,
						  .port = (uint16_t)c->port,
						  .allow = c->allow,
						  .n_allow = c->n_allow};
	const int ret = plan_engine(c, queues, attach_memory(&l->attach_config, queues), &l->engine,
				    &l->stats_config, err);
	l->attach_config.key = l->engine.decap.key;
	return ret;
}

/* Of an interface that is not here: the least. */
int live_check(const struct config *config, struct err *err)
{
	struct live l = {.config = config};
	struct err unknown;
	uint32_t queues = 1;

	(void)attach_nic_queues(config->interface, &queues, &unknown);
	return plan(&l, queues, err);
}

/* Another descriptor of the statistics: the exporter's cannot be mapped for writing. */
static int stats_reopen(const struct live *l, int *fd, int flags, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->stats_fd);
	*fd = open(path, flags | O_CLOEXEC);
	return *fd < 0 ? err_set(err, -errno, "cannot open the statistics: %s", strerror(errno))
		       : 0;
}

static int send_stats(const struct live *l, struct err *err)
{
	int fd, ret = stats_reopen(l, &fd, O_RDWR, err);

	if (ret)
		return ret;
	ret = fdpass_send(l->capture.socket, "s", 1, &fd, 1);
	(void)close(fd);
	return ret ? err_set(err, ret, "cannot hand over the statistics: %s", strerror(-ret)) : 0;
}

static int feed_exporter(struct live *l, struct err *err)
{
	struct view_facts facts = plan_facts(l->config);
	int fd, ret = attach_send_counters(l->attach, l->exporter.socket, err);

	if (ret || (ret = stats_reopen(l, &fd, O_RDONLY, err)))
		return ret;
	facts.starter = getpid();
	facts.capture = l->capture.pid;
	attach_nic_driver(l->config->interface, facts.driver);
	ret = exporter_feed(l->exporter.socket, &facts, fd, &l->sockets, err);
	(void)close(fd);
	exporter_close(&l->sockets);
	return ret;
}

static int feed_capture(struct live *l, struct err *err)
{
	char ready;
	int ret = attach_send(l->attach, l->capture.socket, err);

	if (ret || (ret = send_stats(l, err)))
		return ret;
	/* The capture process has said itself what is wrong. */
	return recv(l->capture.socket, &ready, 1, 0) == 1 ? 0 : err_set(err, -ECHILD, "%s", "");
}

/* What was got, and what a better mode needs. */
static void say_started(const struct live *l)
{
	const struct attach_facts *f = attach_facts(l->attach);
	char why[128] = "";

	if (f->native_error)
		(void)snprintf(why, sizeof(why), "; the driver refuses native mode: %s",
			       strerror((int)f->native_error));
	else if (f->native && !f->zero_copy)
		(void)snprintf(why, sizeof(why), "; zero-copy needs a driver that has it%s",
			       f->multi_buffer ? " and an MTU of at most 3770" : "");
	log_line("capturing on %s: %u RX queues, %u workers, XDP %s, %s, %s%s",
		 l->config->interface, f->queues, f->workers, f->native ? "native" : "generic",
		 f->zero_copy ? "zero-copy" : "copy",
		 f->multi_buffer ? "several buffers per packet" : "one buffer per packet", why);
}

static int start(struct live *l, struct err *err)
{
	uint32_t queues;
	int ret = attach_nic_kernel(err);

	if (ret || (ret = attach_nic_queues(l->config->interface, &queues, err)) ||
	    (ret = plan(l, queues, err)) || (ret = plan_check_metrics(l->config, err)) ||
	    (ret = reload_open(&l->reload, l->config, err)))
		return ret;
	block_signals();
	if ((ret = fork_children(l, err)) || (ret = open_signals(l, err)) ||
	    (ret = stats_open(&l->stats, &l->stats_fd, &l->stats_config, err)))
		return ret;
	if ((ret = reload_begin(l->reload, l->stats, l->capture.socket, err)))
		return ret;
	ret = exporter_bind(&l->sockets, l->config->interface, l->config->listen,
			    l->config->health_listen, err);
	if (ret)
		return ret;
	if ((ret = attach_open(&l->attach, &l->attach_config, err)) ||
	    (ret = attach_map(l->attach, &l->maps, err)) || (ret = feed_capture(l, err)) ||
	    (ret = feed_exporter(l, err)) || (ret = attach_start(l->attach, err)))
		return ret;
	plan_log_bounds(l->config, &l->stats_config,
			attach_memory(&l->attach_config, l->stats_config.queues));
	__atomic_store_n(&l->stats->is_capturing, 1, __ATOMIC_RELAXED);
	say_started(l);
	notify_ready();
	return 0;
}

/* ---- run and stop ---- */

/* All that are pending at once: the kernel gives SIGHUP first, so who sends many of them would keep
 * SIGTERM away. 0; 1: a signal that ends the probe; -errno with a sentence. */
static int follow_signals(struct live *l, struct err *err)
{
	struct signalfd_siginfo info[3];
	const ssize_t n = read(l->signals, info, sizeof(info));

	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(info[0]); i++)
		if (info[i].ssi_signo != SIGHUP || !l->config->file)
			return 1;
	if (n > 0) {
		notify_reloading();
		const int ret = reload_all(l->reload, err);
		if (ret)
			return ret;
		notify_ready();
	}
	return 0;
}

/* The probe is alive while its capture process is: a hung one is the supervisor's to end. */
static void tell_supervisor(struct live *l)
{
	const uint64_t heartbeat_ns = stats_get(&l->stats->heartbeat_ns);

	if (heartbeat_ns != l->heartbeat_ns)
		notify_alive();
	l->heartbeat_ns = heartbeat_ns;
}

static int timeout_ms(const struct live *l)
{
	const int reload_ms = reload_timeout_ms(l->reload);
	const int watchdog_ms = notify_watchdog_interval_ms();

	if (!watchdog_ms)
		return reload_ms;
	return reload_ms >= 0 && reload_ms < watchdog_ms ? reload_ms : watchdog_ms;
}

/* Until a signal comes (0), a child is gone or the interface is (-errno with a sentence). */
static int wait_for_end(struct live *l, struct err *err)
{
	struct pollfd p[] = {{.fd = l->signals, .events = POLLIN},
			     {.fd = l->capture.socket, .events = POLLIN},
			     {.fd = l->exporter.socket, .events = POLLIN},
			     {.fd = attach_fd(l->attach), .events = POLLIN},
			     {.fd = reload_fd(l->reload), .events = POLLIN}};

	for (;;) {
		if (poll(p, 5, timeout_ms(l)) < 0)
			continue;
		tell_supervisor(l);
		int ret = follow_signals(l, err);
		if (ret)
			return ret > 0 ? 0 : ret;
		if (p[1].revents)
			return err_set(err, -ECHILD, "the capture process has ended");
		if (p[2].revents)
			return err_set(err, -ECHILD, "the exporter process has ended");
		if ((ret = reload_follow(l->reload, err)))
			return ret;
		if (!p[3].revents)
			continue;
		ret = attach_follow(l->attach, err);
		if (ret == -ENODEV)
			return ret;
		if (ret)
			log_line("%s", err->text);
	}
}

/* A signal that follows the first within a second is its echo, from a terminal or a supervisor. */
#define ECHO_NS 1000000000u

/* While the capture process seals its files, a second SIGINT or SIGTERM ends it at once. */
static void wait_for_capture(struct live *l)
{
	struct signalfd_siginfo info;
	struct pollfd p[] = {{.fd = l->capture.socket, .events = POLLIN},
			     {.fd = l->signals, .events = POLLIN}};
	uint64_t first_ns = 0;

	(void)shutdown(l->capture.socket, SHUT_WR);
	while (poll(p, 2, -1) < 0 || !p[0].revents) {
		if (read(l->signals, &info, sizeof(info)) != sizeof(info) ||
		    info.ssi_signo == SIGHUP)
			continue;
		const uint64_t now_ns = clock_monotonic_ns();
		if (first_ns && now_ns - first_ns > ECHO_NS) {
			log_line("ended at once: the open files are not sealed");
			(void)kill(l->capture.pid, SIGKILL);
		}
		first_ns = first_ns ? first_ns : now_ns;
	}
}

static int run(struct live *l, struct err *err)
{
	const struct ledger_source source = {l->stats, attach_facts(l->attach), &l->maps};
	struct err end = {""};
	int ret = wait_for_end(l, &end);

	notify_stopping();
	attach_stop(l->attach);
	wait_for_capture(l);
	const int code = end_child(&l->capture);
	const int reported = plan_report(l->config, &source, err);
	if (code > 128)
		return err_set(err, -ECHILD,
			       "the capture process was ended by signal %d: its open files are "
			       "called \"trunc\" after the next start",
			       code - 128);
	if (code)
		return err_set(err, -ECHILD, "the capture process failed");
	return ret ? err_set(err, ret, "%s", end.text) : reported;
}

int live_run(const struct config *config, struct err *err)
{
	struct live l = {
		.config = config, .stats_fd = -1, .signals = -1, .sockets = EXPORTER_NO_SOCKETS};
	const char *warning = config_warning(config);
	int ret = start(&l, err);

	if (!ret && warning)
		log_line("%s", warning);
	if (!ret)
		ret = run(&l, err);
	(void)end_child(&l.capture);
	(void)end_child(&l.exporter);
	attach_close(l.attach);
	reload_close(l.reload);
	exporter_close(&l.sockets);
	if (l.stats_fd >= 0)
		(void)close(l.stats_fd);
	return ret;
}
