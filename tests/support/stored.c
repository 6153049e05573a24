#define _GNU_SOURCE /* popen, scandir */
#include "stored.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "path/block_read.h"

#define SECRET "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"

/* bash: a pipe fails when any of its programs does. */
#define OPEN_PLAIN "zstd -dc --stdout 2>/dev/null <'%s'"
#define OPEN_SEALED                                                                                \
	"bash -o pipefail -c \"age -d -i <(echo " SECRET ") '%s' | zstd -dc\" 2>/dev/null"

static bool is_sealed(const char *path)
{
	uint8_t head[3] = {0};
	FILE *f = fopen(path, "re");

	assert(f);
	(void)!fread(head, 1, sizeof(head), f);
	(void)fclose(f);
	return !memcmp(head, "age", sizeof(head));
}

static void read_bytes(struct stored *s, const char *path)
{
	char command[1024];
	size_t cap = 1 << 20, n;
	struct stat st;

	(void)snprintf(command, sizeof(command), is_sealed(path) ? OPEN_SEALED : OPEN_PLAIN, path);
	FILE *f = popen(command, "r");
	s->bytes = malloc(cap);
	while ((n = fread(s->bytes + s->len, 1, cap - s->len, f)) > 0) {
		s->len += n;
		if (s->len == cap)
			s->bytes = realloc(s->bytes, cap *= 2);
	}
	s->is_whole = !pclose(f);
	s->file_len = stat(path, &st) ? 0 : (size_t)st.st_size;
}

static void add_block(struct stored *s, const struct block *b)
{
	if (b->kind == BLOCK_INTERFACE && s->n_interfaces < STORED_INTERFACES_MAX)
		s->interfaces[s->n_interfaces++] = b->interface;
	if (b->kind == BLOCK_STATISTICS && s->n_statistics < STORED_INTERFACES_MAX)
		s->statistics[s->n_statistics++] = b->statistics;
	if (b->kind == BLOCK_PACKET)
		s->packets[s->n++] = b->packet;
}

static void add_names(struct stored *s, const struct block_reader *reader,
		      struct block_names *names)
{
	struct block_name name;

	while (s->n_names < STORED_NAMES_MAX && block_names_next(reader, names, &name))
		s->names[s->n_names++] = (struct stored_name){name, s->n_interfaces};
}

static void read_blocks(struct stored *s)
{
	struct block_reader *reader;
	struct block block;
	struct err err;
	size_t at = 0, used;

	s->packets = calloc(s->len / block_packet_len(0) + 1, sizeof(*s->packets));
	s->names = calloc(STORED_NAMES_MAX, sizeof(*s->names));
	if (block_reader_open(&reader, &err))
		abort();
	while (at < s->len &&
	       !block_read(reader, s->bytes + at, s->len - at, &block, &used, &err)) {
		add_block(s, &block);
		if (block.kind == BLOCK_NAMES)
			add_names(s, reader, &block.names);
		at += used;
	}
	s->is_whole = s->is_whole && at == s->len;
	block_reader_close(reader);
}

static int is_file(const struct dirent *entry)
{
	return entry->d_type == DT_REG;
}

unsigned stored_read(struct stored *out, unsigned max, const char *dir)
{
	struct dirent **entries;
	const int n = scandir(dir, &entries, is_file, alphasort);

	if (n < 0 || (unsigned)n > max)
		abort();
	for (int i = 0; i < n; i++) {
		char path[512];
		struct stored *s = &out[i];
		free(s->bytes);
		free(s->packets);
		free(s->names);
		*s = (struct stored){0};
		(void)snprintf(s->name, sizeof(s->name), "%s", entries[i]->d_name);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, s->name);
		read_bytes(s, path);
		read_blocks(s);
		free(entries[i]);
	}
	free(entries);
	return (unsigned)n;
}

unsigned stored_count(const struct stored *files, unsigned n)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += files[i].n;
	return sum;
}
