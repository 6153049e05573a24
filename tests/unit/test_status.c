#define _GNU_SOURCE /* unshare, strsep */
#include "serve/status.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/served.h"
#include "base/clock.h"
#include "serve/report.h"

static json_t *parse(const char *text)
{
	json_error_t where;
	json_t *d = json_loads(text, 0, &where);

	cr_assert_not_null(d, "%s", where.text);
	return d;
}

static const char before[] = "{\"monotonic\": 100.0, \"ledger\": {\"seen\": 10, \"fates\": "
			     "{\"kept\": 10, \"passed\": 5}},"
			     " \"files\": {\"written_bytes\": 1000}, \"sessions\": ["
			     "{\"session_ingress_packets\": 1, \"session_egress_packets\": 2,"
			     " \"session_undirected_packets\": 3, \"session_ingress_bytes\": 100,"
			     " \"session_egress_bytes\": 200, \"session_undirected_bytes\": 300}]}";
static const char after[] =
	"{\"version\": \"1.0\", \"interface\": \"eth0\", \"time\": 1000.0, \"monotonic\": 102.0,"
	" \"uptime\": 7200.0, \"healthy\": true, \"ready\": true, \"mode\": {\"xdp\": \"native\","
	" \"copy\": \"zero\", \"multi_buffer\": true, \"mtu\": 9001, \"queues\": 2, \"workers\": "
	"2},"
	" \"memory_bound\": 1048576, \"flows\": {\"active\": 12345, \"created\": 1234567},"
	" \"config\": {\"successes\": 3, \"failures\": 1, \"is_ok\": false, \"last_success\": "
	"940.0},"
	" \"names\": {\"successes\": 0, \"failures\": 0, \"is_ok\": true, \"last_success\": 0.0},"
	" \"ledger\": {\"seen\": 2010, \"in_flight\": 3, \"fates\": {\"kept\": 30, \"passed\": 5,"
	" \"io_error\": 0}},"
	" \"files\": {\"sealed\": 2, \"raw_bytes\": 4096, \"written_bytes\": 3048}, \"sessions\": ["
	"{\"name\": \"slow\", \"source\": \"10.0.0.1\", \"vni\": 7, \"last_packet\": 880.0,"
	" \"session_ingress_packets\": 2, \"session_egress_packets\": 4,"
	" \"session_undirected_packets\": 6, \"session_ingress_bytes\": 350,"
	" \"session_egress_bytes\": 450, \"session_undirected_bytes\": 550,"
	" \"session_captured_bytes\": 759, \"session_truncated_packets\": 4,"
	" \"session_dropped_packets\": 1},"
	"{\"name\": \"new-and-fast\", \"source\": \"fd00::1\", \"vni\": 16777215,"
	" \"last_packet\": 999.0, \"session_ingress_packets\": 2000,"
	" \"session_egress_packets\": 0, \"session_undirected_packets\": 0,"
	" \"session_ingress_bytes\": 1000000, \"session_egress_bytes\": 0,"
	" \"session_undirected_bytes\": 0, \"session_captured_bytes\": 1028000},"
	"{\"name\": \"never\", \"source\": \"10.0.0.3\", \"vni\": 8, \"last_packet\": null}]}";

static json_t *with_rates(void)
{
	json_t *b = parse(before), *a = parse(after);

	status_add_rates(b, a);
	json_decref(b);
	return a;
}

static double at(const json_t *object, const char *key)
{
	cr_assert(json_is_number(json_object_get(object, key)), "%s", key);
	return json_number_value(json_object_get(object, key));
}

Test(status, rates_are_what_happened_between_by_the_time_between)
{
	json_t *d = with_rates();
	const json_t *rates = json_object_get(json_object_get(d, "ledger"), "per_second");
	const json_t *first = json_array_get(json_object_get(d, "sessions"), 0);

	cr_expect_eq(at(rates, "seen"), 1000);
	cr_expect_eq(at(rates, "kept"), 10);
	cr_expect_eq(at(rates, "passed"), 0);
	cr_expect_eq(at(json_object_get(d, "files"), "written_bytes_per_second"), 1024);
	cr_expect_eq(at(first, "packets"), 12);
	cr_expect_eq(at(first, "bytes"), 1350);
	cr_expect_eq(at(first, "packets_per_second"), 3);
	cr_expect_eq(at(first, "bits_per_second"), 3000);
	json_decref(d);
}

Test(status, a_session_that_is_new_began_with_nothing)
{
	json_t *d = with_rates();
	const json_t *second = json_array_get(json_object_get(d, "sessions"), 1);

	cr_expect_eq(at(second, "packets_per_second"), 1000);
	cr_expect_eq(at(second, "bits_per_second"), 4e6);
	json_decref(d);
}

Test(status, what_fell_has_no_rate)
{
	json_t *b = parse(after), *a = parse(before);

	(void)json_object_set_new(a, "monotonic", json_real(200));
	status_add_rates(b, a);
	cr_expect_eq(at(json_object_get(json_object_get(a, "ledger"), "per_second"), "seen"), 0);
	cr_expect_eq(at(json_array_get(json_object_get(a, "sessions"), 0), "packets_per_second"),
		     0);
	json_decref(a);
	json_decref(b);
}

static const char table[] =
	"vxprobe 1.0 on eth0, up 2 h: capturing, healthy\n"
	"XDP native, zero-copy, several buffers per packet; MTU 9001; 2 queues, 2 workers; "
	"memory at most 1.0 MiB\n"
	"flows: 12,345 now, 1,234,567 since the start\n"
	"configuration: loaded anew 3 times, 1 times in vain; as of 60 s ago; THE LAST RELOAD "
	"FAILED\n"
	"\n"
	"PACKETS                         TOTAL       PER SECOND\n"
	"seen                            2,010            1,000\n"
	"kept                               30               10\n"
	"passed                              5                0\n"
	"in flight                           3\n"
	"\n"
	"SESSION       SOURCE         VNI   PACKETS/S      BITS/S  CAPTURED    TRUNCATED         "
	"LOST"
	"     LAST\n"
	"new-and-fast  fd00::1   16777215       1,000    4.0 Mbit   100.0 %            0           "
	" 0"
	"      1 s\n"
	"slow          10.0.0.1         7           3    3.0 kbit    50.0 %            4           "
	" 1"
	"    2 min\n"
	"never         10.0.0.3         8           0       0 bit         -            0           "
	" 0"
	"    never\n"
	"\n"
	"files: 2 sealed; 3.0 KiB written, 1.0 KiB per second, of 4.0 KiB of pcapng\n";

Test(status, the_table_has_the_fastest_session_first)
{
	json_t *d = with_rates();
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	status_show(d, f);
	(void)fclose(f);
	cr_expect_str_eq(text, table);
	free(text);
	json_decref(d);
}

Test(status, says_loudly_what_is_wrong)
{
	json_t *d = with_rates();
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)json_object_set_new(d, "healthy", json_false());
	(void)json_object_set_new(d, "ready", json_false());
	status_show(d, f);
	(void)fclose(f);
	cr_expect_not_null(strstr(text, "NOT CAPTURING YET, NOT HEALTHY"));
	free(text);
	json_decref(d);
}

/* ---- the command ---- */

static int run(const char *arguments)
{
	char words[128], *argv[8] = {NULL};
	int argc = 0;

	(void)snprintf(words, sizeof(words), "status %s", arguments);
	for (char *rest = words, *word; (word = strsep(&rest, " "));)
		if (*word)
			argv[argc++] = word;
	cr_redirect_stdout();
	cr_redirect_stderr();
	const int code = status_main(argc, argv);
	(void)fflush(stdout);
	(void)fflush(stderr);
	return code;
}

#define REFUSES(name, arguments, exit_code, sentence)                                              \
	Test(status, name)                                                                         \
	{                                                                                          \
		cr_expect_eq(run(arguments), exit_code);                                           \
		cr_expect_stderr_eq_str("vxprobe: " sentence "\n");                                \
	}

REFUSES(no_such_option, "--bad", 2, "--bad is no option here; --help lists the options")
REFUSES(nothing_behind_the_options, "eth0", 2, "eth0 is no option here; --help lists the options")
REFUSES(an_option_without_its_argument, "-i", 2, "-i wants an argument; --help lists the options")
REFUSES(an_interval_without_a_unit, "--interval 1", 2,
	"--interval 1: a time such as 1s is wanted, 1h at most")
REFUSES(an_interval_of_nothing, "--interval 0", 2,
	"--interval 0: a time such as 1s is wanted, 1h at most")
REFUSES(a_name_that_is_too_long, "-i sixteen-letters-", 2,
	"-i sixteen-letters-: that is no name of an interface")
REFUSES(an_interface_without_a_probe, "-i none0", 1,
	"no vxprobe captures on none0 in this network namespace")

Test(status, help_teaches)
{
	cr_expect_eq(run("--help"), 0);
	cr_expect_stderr_eq_str("");
}

/* A probe that answers n times, as its own process. */
static pid_t answering(const char *interface, int n)
{
	struct view *v = served_open(4);
	struct err err;
	int listener;

	served_add(v, "10.0.0.1", 7, 5, 1);
	cr_assert_eq(report_listen(&listener, interface, &err), 0, "%s", err.text);
	const pid_t child = fork();
	for (int answered = 0; !child && answered < n; answered++) {
		struct pollfd p = {.fd = listener, .events = POLLIN};
		(void)poll(&p, 1, 10000);
		report_answer(v, listener);
	}
	if (!child)
		_exit(0);
	(void)close(listener);
	return child;
}

Test(status, shows_a_probe_that_runs)
{
	char interface[IF_NAMESIZE], arguments[64];

	(void)snprintf(interface, sizeof(interface), "s%d", (int)getpid());
	(void)snprintf(arguments, sizeof(arguments), "-i %s --interval 10ms --json", interface);
	const pid_t child = answering(interface, 2);
	cr_expect_eq(run(arguments), 0);
	cr_expect_stderr_eq_str("");
	(void)waitpid(child, NULL, 0);
}

Test(status, a_probe_that_gives_no_answer_is_named)
{
	char interface[IF_NAMESIZE], arguments[64], sentence[160];

	(void)snprintf(interface, sizeof(interface), "n%d", (int)getpid());
	(void)snprintf(arguments, sizeof(arguments), "-i %s --interval 10ms", interface);
	(void)snprintf(
		sentence, sizeof(sentence),
		"vxprobe: the vxprobe on %s gave no answer: it answers root and its own user\n",
		interface);
	struct err err;
	int listener;
	cr_assert_eq(report_listen(&listener, interface, &err), 0);
	const pid_t child = fork();
	if (!child) {
		struct pollfd p = {.fd = listener, .events = POLLIN};
		(void)poll(&p, 1, 10000);
		(void)close(accept(listener, NULL, NULL));
		_exit(0);
	}
	cr_expect_eq(run(arguments), 1);
	cr_expect_stderr_eq_str(sentence);
	(void)waitpid(child, NULL, 0);
}

Test(status, where_several_run_one_must_be_chosen)
{
	struct err err;
	int a, b;

	if (getuid())
		cr_skip_test("needs root");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	cr_assert_eq(report_listen(&a, "eth0", &err), 0);
	cr_assert_eq(report_listen(&b, "eth1", &err), 0);
	cr_expect_eq(run(""), 1);
	cr_expect_stderr_eq_str("vxprobe: several run here, choose one with -i: eth0, eth1\n");
}

Test(status, where_none_runs_it_says_so)
{
	if (getuid())
		cr_skip_test("needs root");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	cr_expect_eq(run(""), 1);
	cr_expect_stderr_eq_str("vxprobe: no vxprobe is running in this network namespace\n");
}

Test(status, the_only_one_is_found)
{
	if (getuid())
		cr_skip_test("needs root");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	const pid_t child = answering("eth7", 2);
	cr_expect_eq(run("--interval 10ms"), 0);
	cr_expect_stderr_eq_str("");
	(void)waitpid(child, NULL, 0);
}
