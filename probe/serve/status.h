/*
 * status: 'vxprobe status': what a running probe is doing, as a table or as JSON.
 *
 * Main thread of a process of its own. Asks the probe's exporter twice, so that it can tell rates.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* argv[0] is "status". Returns the exit code: 0, 1: no probe or no answer, 2: wrong use. */
int status_main(int argc, char **argv);

/* Adds rates to the later of two documents of report.h: to sessions "packets_per_second" and
 * "bits_per_second", with the sums over all directions "packets" and "bytes"; "per_second" to the
 * ledger; "written_bytes_per_second" to files. */
void status_add_rates(const json_t *before, json_t *after);
/* Writes a document with rates as a table. */
void status_show(const json_t *document, FILE *out);
/* 0 where there is no number. */
double status_number(const json_t *object, const char *key);
