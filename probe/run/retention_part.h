/*
 * retention_part: what the files of retention share.
 */
#pragma once

#include "path/catalogue.h"
#include "run/retention.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define SECOND_NS  UINT64_C(1000000000)
#define EVENTS_LEN 65536

struct retention {
	struct retention_config config;
	struct retention_settings settings; /* of this turn */
	pthread_mutex_t mutex;              /* over the next field */
	struct retention_settings next;
	struct catalogue *catalogue;
	struct catalogue_file **by_name; /* [files_max] */
	int inotify, wake;
	_Atomic bool is_hurried, is_stopped;
	uint64_t scanned_ns; /* monotonic; 0: scan at once */
	char events[EVENTS_LEN] __attribute__((aligned(8)));

	/* this turn */
	uint64_t bytes, reserve, freed;
	unsigned failures, n_gone;

	/* since the last line */
	uint64_t said_ns; /* monotonic; 0: never */
	uint64_t files_unsaid[RETENTION_REASONS], bytes_unsaid;
	int error;       /* of a deletion; 0: none */
	bool is_failing; /* the folder cannot be read, and the operator has been told */
};

/* What was deleted, and which limits do not hold: at most once a minute; at the end what is left.
 */
void retention_say(struct retention *retention, bool is_end);
/* Which limits there are. */
void retention_say_settings(const struct retention_settings *settings);
