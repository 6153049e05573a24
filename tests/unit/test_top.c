#include "serve/top.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

static int run(const char *arguments)
{
	char words[128], *argv[8] = {NULL};
	int argc = 0;

	(void)snprintf(words, sizeof(words), "top %s", arguments);
	for (char *rest = words, *word; (word = strsep(&rest, " "));)
		if (*word)
			argv[argc++] = word;
	cr_redirect_stdout();
	cr_redirect_stderr();
	const int code = top_main(argc, argv);
	(void)fflush(stdout);
	(void)fflush(stderr);
	return code;
}

#define REFUSES(name, arguments, exit_code, sentence)                                              \
	Test(top, name)                                                                            \
	{                                                                                          \
		cr_expect_eq(run(arguments), exit_code);                                           \
		cr_expect_stderr_eq_str("vxprobe: " sentence "\n");                                \
	}

REFUSES(no_such_option, "--bad", 2, "--bad is no option here; --help lists the options")
REFUSES(nothing_behind_the_options, "eth0", 2, "eth0 is no option here; --help lists the options")
REFUSES(an_option_without_its_argument, "--by", 2,
	"--by wants an argument; --help lists the options")
REFUSES(another_order, "--by vni", 2, "--by vni: session or nf is wanted")
REFUSES(an_interval_of_nothing, "--interval 0", 2,
	"--interval 0: a time such as 1s is wanted, 1h at most")
REFUSES(an_interface_without_a_probe, "-i none0", 1,
	"no vxprobe captures on none0 in this network namespace")

Test(top, help_teaches)
{
	cr_expect_eq(run("--help"), 0);
	cr_expect_stderr_eq_str("");
}
