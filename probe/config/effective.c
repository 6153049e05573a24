/* effective: what is in force, whatever part of it came by file, command line or default. */
#define _GNU_SOURCE /* open_memstream */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"
#include "path/chain.h"

static void write_list(FILE *f, const struct option_row *row, const struct config *c)
{
	char text[64];

	for (unsigned i = 0; i < c->n_recipients && row->type == OPTION_RECIPIENT; i++) {
		seal_recipient_format(&c->recipients[i], text);
		(void)fprintf(f, "%s: %s\n", row->name, text);
	}
	for (unsigned i = 0; i < c->n_allow && row->type == OPTION_ALLOW; i++) {
		chain_hex(c->allow[i].address.byte, 16, text);
		(void)fprintf(f, "%s: %s/%u\n", row->name, text, c->allow[i].len);
	}
}

static void write_stores(FILE *f, const struct config *c)
{
	char text[64];

	for (const struct config_store *s = c->stores; s < c->stores + c->n_stores; s++) {
		(void)fprintf(f, "store: %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			      s->name, s->rotate_len, s->rotate_ns, s->retain_len, s->retain_ns);
		for (unsigned i = 0; i < s->n_recipients; i++) {
			seal_recipient_format(&s->recipients[i], text);
			(void)fprintf(f, "recipient: %s\n", text);
		}
	}
}

static void write_option(FILE *f, const struct option_row *row, const struct config *c)
{
	const void *field = (const char *)c + row->offset;

	switch (row->type) {
	case OPTION_HELP:
	case OPTION_FILE:
		return;
	case OPTION_RECIPIENT:
	case OPTION_ALLOW:
		write_list(f, row, c);
		return;
	case OPTION_STORES:
		write_stores(f, c);
		return;
	case OPTION_TEXT:
	case OPTION_LISTEN:
		if (*(const char *const *)field)
			(void)fprintf(f, "%s: %s\n", row->name, *(const char *const *)field);
		return;
	case OPTION_FLAG:
		(void)fprintf(f, "%s: %d\n", row->name, *(const bool *)field);
		return;
	case OPTION_LEVEL:
		(void)fprintf(f, "%s: %" PRId64 "\n", row->name, *(const int64_t *)field);
		return;
	case OPTION_NUMBER:
	case OPTION_POWER:
	case OPTION_SIZE:
	case OPTION_SPACE:
	case OPTION_TIME:
	case OPTION_CHOICE:
		break;
	}
	(void)fprintf(f, "%s: %" PRIu64 "\n", row->name, option_number(row, c));
}

/* Not the key itself: what is hashed with values that can be guessed might tell it. */
static void write_sample_key(FILE *f, const struct config *c)
{
	uint8_t hash[CHAIN_HASH];
	char text[2 * CHAIN_HASH + 1];

	if (!c->sample_key_file)
		return;
	chain_hash(&c->sample_key, sizeof(c->sample_key), hash);
	chain_hex(hash, sizeof(hash), text);
	(void)fprintf(f, "sample-key: %s\n", text);
}

void config_hash(const struct config *c, uint8_t out[static 32])
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	for (unsigned i = 0; i < option_n && f; i++)
		write_option(f, &option_rows[i], c);
	if (f) {
		write_sample_key(f, c);
		(void)fclose(f);
	}
	chain_hash(text ? text : "", len, out);
	free(text);
}
