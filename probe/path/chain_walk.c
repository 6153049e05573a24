#include "path/chain_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a line says about the one that follows it. */
struct link {
	int64_t sequence;
	uint8_t hash[CHAIN_HASH], key[CHAIN_KEY];
	bool has_key;
};

enum verdict { NONE, GOOD, ALTERED, UNPROVEN, MISPLACED };

struct chain_walk {
	struct chain_walk_config config;
	uint64_t line;
	struct link proven;    /* the last line that a key vouches for */
	struct link last;      /* the last line at all, unless it was misplaced */
	bool is_broken;        /* last is not proven */
	int64_t anchored, due; /* due: what the held entry should have been */
	int64_t head_sequence;
	uint8_t head_hash[CHAIN_HASH], first_key[CHAIN_KEY];
	/* The line before, which the next one may vouch for. */
	enum verdict verdict;
	uint64_t held_line;
	bool is_readable; /* held is an entry */
	const char *why;
	struct chain_entry *held, *entry;
};

static const char *const fault_name[CHAIN_FAULTS] = {
	[CHAIN_ALTERED] = "altered",
	[CHAIN_MISSING] = "missing",
	[CHAIN_MISPLACED] = "misplaced",
	[CHAIN_UNPROVEN] = "unproven",
	[CHAIN_CUT] = "cut",
	[CHAIN_EMPTY] = "empty",
	[CHAIN_NO_HEAD] = "no_head",
	[CHAIN_OTHER_KEY] = "other_key",
};

const char *chain_fault_name(enum chain_fault fault)
{
	return fault_name[fault];
}

int chain_walk_open(struct chain_walk **out, const struct chain_walk_config *config,
		    struct err *err)
{
	struct chain_walk *w = calloc(1, sizeof(*w));

	if (w) {
		w->config = *config;
		w->held = calloc(1, sizeof(*w->held));
		w->entry = calloc(1, sizeof(*w->entry));
	}
	if (!w || !w->held || !w->entry) {
		chain_walk_close(w);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = w;
	return 0;
}

void chain_walk_close(struct chain_walk *w)
{
	if (!w)
		return;
	free(w->held);
	free(w->entry);
	free(w);
}

static void report(struct chain_walk *w, enum chain_fault fault, int64_t first, int64_t last,
		   uint64_t line, const char *why)
{
	w->config.finding(w->config.arg,
			  &(struct chain_finding){fault, first, last, line, why ? why : ""});
}

/* ---- the line before, once it is judged ---- */

static void release(struct chain_walk *w)
{
	const int64_t sequence = w->is_readable ? w->held->sequence : w->due;

	if ((w->verdict == GOOD || w->verdict == UNPROVEN) && sequence > w->due)
		report(w, CHAIN_MISSING, w->due, sequence - 1, w->held_line, NULL);
	if (w->verdict == ALTERED)
		report(w, CHAIN_ALTERED, w->due, w->due, w->held_line, w->why);
	if (w->verdict == MISPLACED)
		report(w, CHAIN_MISPLACED, sequence, sequence, w->held_line, w->why);
	if (w->verdict == UNPROVEN)
		report(w, CHAIN_UNPROVEN, sequence, sequence, w->held_line, w->why);
	if (w->verdict != NONE && w->is_readable)
		w->config.entry(w->config.arg, w->held, w->verdict == GOOD);
	w->verdict = NONE;
}

/* ---- a line ---- */

static void hold(struct chain_walk *w, enum verdict verdict, int64_t due, const char *why)
{
	struct chain_entry *free_one = w->held;

	w->held = w->entry;
	w->entry = free_one;
	w->verdict = verdict;
	w->is_readable = true;
	w->due = due;
	w->held_line = w->line;
	w->why = why;
}

static struct link link_of(const struct chain_entry *e, const uint8_t hash[static CHAIN_HASH])
{
	struct link link = {.sequence = e->sequence, .has_key = true};

	memcpy(link.hash, hash, sizeof(link.hash));
	memcpy(link.key, e->next, sizeof(link.key));
	return link;
}

static bool follows(const struct link *link, const struct chain_entry *e)
{
	return e->sequence == link->sequence + 1 && !memcmp(e->before, link->hash, CHAIN_HASH);
}

/* The key that the line before names has signed this one: was that line as this one knows it? */
static void judge_last(struct chain_walk *w)
{
	const struct chain_entry *e = w->entry;

	if (w->verdict == MISPLACED || w->verdict == NONE)
		return;
	if (!memcmp(e->before, w->last.hash, CHAIN_HASH))
		w->verdict = w->verdict == UNPROVEN ? GOOD : w->verdict;
	else {
		/* Its number may be what was altered. */
		if (e->sequence - 2 >= w->due)
			report(w, CHAIN_MISSING, w->due, e->sequence - 2, w->held_line, NULL);
		w->due = e->sequence - 1;
		w->verdict = ALTERED;
		w->why = "the entry behind it knows it otherwise";
	}
}

static void take_good(struct chain_walk *w, const struct link *link, int64_t due)
{
	release(w);
	w->proven = w->last = *link;
	w->is_broken = false;
	hold(w, GOOD, due, NULL);
}

/* No key that is known has signed it. */
static void take_unsigned(struct chain_walk *w, const struct link *link)
{
	const int64_t due = w->last.sequence + 1;
	const bool was_broken = w->is_broken || !w->last.has_key;

	release(w);
	if (w->entry->sequence < due) {
		hold(w, MISPLACED, due, "it is there again, or behind a later one");
		return;
	}
	const bool is_due = w->entry->sequence == due;
	if (is_due && !was_broken)
		hold(w, ALTERED, due,
		     "its signature is not of the key that the entry before names");
	else
		hold(w, UNPROVEN, due, "no entry is left that names its key");
	w->last = *link;
	w->is_broken = true;
}

/* The first line gives the key that all begins with. */
static void take_first_key(struct chain_walk *w)
{
	if (w->line > 1 || w->entry->sequence != 1)
		return;
	memcpy(w->first_key, w->entry->key, CHAIN_KEY);
	memcpy(w->last.key, w->entry->key, CHAIN_KEY);
	w->last.has_key = true;
	w->proven = w->last;
	if (w->config.first_key && memcmp(w->config.first_key, w->first_key, CHAIN_KEY))
		report(w, CHAIN_OTHER_KEY, 1, 1, 1, NULL);
}

static void take_entry(struct chain_walk *w, const char *line, size_t len,
		       const uint8_t hash[static CHAIN_HASH])
{
	const struct link link = link_of(w->entry, hash);
	const int64_t due = w->last.sequence + 1;

	take_first_key(w);
	w->head_sequence = w->entry->sequence;
	memcpy(w->head_hash, hash, CHAIN_HASH);
	if (w->proven.has_key && follows(&w->proven, w->entry) &&
	    chain_is_signed(line, len, w->proven.key)) {
		/* What stood in between was put there. */
		if (w->is_broken && w->verdict == UNPROVEN)
			w->verdict = MISPLACED;
		take_good(w, &link, w->proven.sequence + 1);
	} else if (w->is_broken && w->last.has_key && chain_is_signed(line, len, w->last.key)) {
		judge_last(w);
		take_good(w, &link, w->verdict == ALTERED ? w->entry->sequence : due);
	} else {
		take_unsigned(w, &link);
	}
}

/* Something stands where an entry was due. */
static void take_garbage(struct chain_walk *w, const uint8_t hash[static CHAIN_HASH],
			 const char *why)
{
	const int64_t due = w->last.sequence + 1;

	release(w);
	w->verdict = ALTERED;
	w->is_readable = false;
	w->due = due;
	w->held_line = w->line;
	w->why = why;
	w->last = (struct link){.sequence = due};
	memcpy(w->last.hash, hash, CHAIN_HASH);
	w->is_broken = true;
}

void chain_walk_line(struct chain_walk *w, const char *line, size_t len, int ret)
{
	uint8_t hash[CHAIN_HASH];
	struct err err;

	w->line++;
	if (ret == -ENODATA) {
		release(w);
		report(w, CHAIN_CUT, w->last.sequence + 1, w->last.sequence + 1, w->line, NULL);
		return;
	}
	chain_hash(line, len, hash);
	if (ret < 0)
		take_garbage(w, hash, "the line is too long for an entry");
	else if (chain_parse(w->entry, line, len, &err))
		take_garbage(w, hash, "it cannot be read as an entry");
	else
		take_entry(w, line, len, hash);
	if (w->config.head && w->verdict == GOOD && !memcmp(hash, w->config.head, CHAIN_HASH))
		w->anchored = w->last.sequence;
}

void chain_walk_end(struct chain_walk *w)
{
	release(w);
	if (!w->line)
		report(w, CHAIN_EMPTY, 0, 0, 0, NULL);
	if (w->config.head && !w->anchored)
		report(w, CHAIN_NO_HEAD, w->head_sequence, w->head_sequence, w->line, NULL);
}

int64_t chain_walk_head(const struct chain_walk *w, uint8_t hash[static CHAIN_HASH])
{
	memcpy(hash, w->head_hash, CHAIN_HASH);
	return w->head_sequence;
}

const uint8_t *chain_walk_first_key(const struct chain_walk *w)
{
	return w->first_key;
}

int64_t chain_walk_anchored(const struct chain_walk *w)
{
	return w->anchored;
}
