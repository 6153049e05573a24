/*
 * fuzz_config: command line and configuration file. An input is 'r' (run), 'f' (read) or another
 * letter (check), words each ended by a newline, and behind a NUL the file of -c.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "fuzz.h"

#define WORDS 32

static char text[4096], file[64];

/* The words of what is in front of the NUL. Returns their number. */
static int split(char **argv, const uint8_t *data, size_t len)
{
	int n = 0;
	char *rest = text;

	len = len < sizeof(text) ? len : sizeof(text) - 1;
	memcpy(text, data, len);
	text[len] = 0;
	for (char *word; n < WORDS && (word = strsep(&rest, "\n"));)
		if (*word)
			argv[n++] = word;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "vxprobe", option[] = "-c";
	char *argv[WORDS + 4] = {name};
	const uint8_t *nul = memchr(data, 0, size);
	struct config config, now;
	char line[1024];
	struct err err;

	if (!size)
		return 0;
	const size_t words_len = nul ? (size_t)(nul - data) : size;
	int argc = 1 + split(argv + 1, data + 1, words_len ? words_len - 1 : 0);
	if (nul) {
		(void)snprintf(file, sizeof(file), "%s", fuzz_file(nul + 1, size - words_len - 1));
		argv[argc++] = option;
		argv[argc++] = file;
	}
	const enum config_command command = *data == 'r'   ? CONFIG_RUN
					    : *data == 'f' ? CONFIG_READ
							   : CONFIG_CHECK;
	if (config_parse(&config, command, argc, argv, &err))
		return 0;
	config_summary(&config, line, sizeof(line));
	if (!config_reload(&now, &config, &err))
		config_close(&now);
	config_close(&config);
	return 0;
}
