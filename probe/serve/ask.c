#include "serve/ask.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "config/value.h"
#include "serve/report.h"

#define INTERVAL_MAX_NS UINT64_C(3600000000000)
#define ANSWER_S        10

/* ---- options ---- */

static int set_interval(uint64_t *interval_ns, const char *text, struct err *err)
{
	uint64_t ns;

	if (value_time(&ns, text) && ns && ns <= INTERVAL_MAX_NS) {
		*interval_ns = ns;
		return 0;
	}
	return err_set(err, -EINVAL, "--interval %s: a time such as 1s is wanted, 1h at most",
		       text);
}

static int set_interface(char interface[static IF_NAMESIZE], const char *name, struct err *err)
{
	if (!*name || strlen(name) >= IF_NAMESIZE)
		return err_set(err, -EINVAL, "-i %s: that is no name of an interface", name);
	(void)snprintf(interface, IF_NAMESIZE, "%s", name);
	return 0;
}

static int set_option(struct ask_options *o, int letter, char **argv, struct err *err)
{
	switch (letter) {
	case 'h':
		return -ECANCELED;
	case 'j':
		o->json = true;
		return 0;
	case 'i':
		return set_interface(o->interface, optarg, err);
	case 't':
		return set_interval(&o->interval_ns, optarg, err);
	case 'b':
		o->by = optarg;
		return 0;
	default:
		return err_set(err, -EINVAL, "%s %s; --help lists the options", argv[optind - 1],
			       letter == ':' ? "wants an argument" : "is no option here");
	}
}

int ask_parse(struct ask_options *o, bool has_by, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{"by", required_argument, NULL, 'b'}, {"interface", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'},     {"interval", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},     {0}};
	int letter, ret = 0;

	opterr = 0;
	while (!ret && (letter = getopt_long(argc, argv, ":i:h", options + !has_by, NULL)) != -1)
		ret = set_option(o, letter, argv, err);
	if (!ret && optind < argc)
		ret = err_set(err, -EINVAL, "%s is no option here; --help lists the options",
			      argv[optind]);
	return ret;
}

/* ---- which probe ---- */

/* Interfaces with a probe, by the listening sockets that proc(5), /proc/net/unix, shows. */
struct probes {
	unsigned n;
	char first[IF_NAMESIZE];
	char names[160]; /* for people */
};

static void add_probe(struct probes *p, const char *interface)
{
	const size_t n = strlen(p->names);

	if (!p->n++)
		(void)snprintf(p->first, sizeof(p->first), "%s", interface);
	(void)snprintf(p->names + n, sizeof(p->names) - n, "%s%s", n ? ", " : "", interface);
}

static void find_probes(struct probes *out)
{
	char line[512], interface[IF_NAMESIZE];
	unsigned flags;
	FILE *f = fopen("/proc/net/unix", "re");

	*out = (struct probes){0};
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s @" REPORT_PREFIX "%15s", &flags,
			   interface) == 2 &&
		    flags & 0x10000 /* __SO_ACCEPTCON: it listens */)
			add_probe(out, interface);
	if (f)
		(void)fclose(f);
}

int ask_choose(char interface[static IF_NAMESIZE], struct err *err)
{
	struct probes p;

	if (*interface)
		return 0;
	find_probes(&p);
	if (!p.n)
		return err_set(err, -ENOENT, "no vxprobe is running in this network namespace");
	if (p.n > 1)
		return err_set(err, -EINVAL, "several run here, choose one with -i: %s", p.names);
	memcpy(interface, p.first, sizeof(p.first));
	return 0;
}

/* ---- asking ---- */

int ask_probe(json_t **out, const char *interface, struct err *err)
{
	const struct timeval patience = {.tv_sec = ANSWER_S};
	json_error_t where;
	int fd;
	const int ret = report_connect(&fd, interface);

	if (ret == -ECONNREFUSED)
		return err_set(err, ret, "no vxprobe captures on %s in this network namespace",
			       interface);
	if (ret == -EPERM)
		return err_set(err, ret,
			       "who answers for %s is a process of another user: only a vxprobe of "
			       "root's or of your own user is believed",
			       interface);
	if (ret)
		return err_set(err, ret, "cannot ask the vxprobe on %s: %s", interface,
			       strerror(-ret));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	*out = json_loadfd(fd, 0, &where);
	(void)close(fd);
	return *out ? 0
		    : err_set(err, -EPROTO,
			      "the vxprobe on %s gave no answer: it answers root and its own user",
			      interface);
}
