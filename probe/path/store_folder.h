/*
 * store_folder: where a store's files lie: what earlier runs left there, and how files get names.
 *
 * Internal to store*.c; the store's writer thread's.
 */
#pragma once

#include "base/err.h"
#include "path/store.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>

#define STORE_NAME_MAX 64

struct store_folder {
	int fd; /* -1: not open */
	char name[STORE_NAME_MAX + 1], suffix[32];
	_Atomic uint32_t *highest;
	uint32_t n_recovered;
};

/* As store_open; what earlier runs left is then renamed, and the highest sequence number known.
 * After an error only close. */
int store_folder_open(struct store_folder *folder, const struct store_config *config,
		      struct err *err);
void store_folder_close(struct store_folder *folder);
/* Gives .NAME_000007_START.part its name NAME_000007_start_end, which is then in name, never over
 * another file. start: "": the one it has. */
int store_folder_rename(const struct store_folder *folder, const char *part, const char *start,
			const char *end, char name[static NAME_MAX + 1]);
/* Gives back what a file has allocated and not written. */
void store_folder_trim(int fd);
