#include "path/chain_walk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define LINES 12

static char line[LINES + 2][CHAIN_LINE_MAX + 1];
static size_t len[LINES + 2];
static struct chain_signer last; /* holds the secret of entry LINES + 1 */
static uint8_t first_key[CHAIN_KEY], head[CHAIN_HASH];
static const uint8_t *pinned_key, *anchor;
static struct chain_finding findings[64];
static unsigned n_findings, n_entries, n_good;
static uint8_t other[32] = {1};

static void sign(struct chain_signer *signer, unsigned i)
{
	struct chain_entry entry = {.event = i ? CHAIN_STOP : CHAIN_START};

	cr_assert_eq(chain_sign(signer, &entry, line[i], &len[i]), 0);
	len[i]--;
}

static void prepare(void)
{
	cr_assert_eq(chain_begin(&last), 0);
	cr_assert_eq(chain_public(&last, first_key), 0);
	for (unsigned i = 0; i < LINES; i++)
		sign(&last, i);
	chain_hash(line[LINES - 1], len[LINES - 1], head);
}

TestSuite(chain_walk, .init = prepare);

static void take_finding(void *arg, const struct chain_finding *f)
{
	(void)arg;
	cr_assert_lt(n_findings, 64);
	findings[n_findings++] = *f;
}

static void take_entry(void *arg, const struct chain_entry *entry, bool is_good)
{
	(void)arg;
	(void)entry;
	n_entries++;
	n_good += is_good;
}

static struct chain_walk *begin(void)
{
	const struct chain_walk_config config = {anchor, pinned_key, take_entry, take_finding,
						 NULL};
	struct chain_walk *walk;
	struct err err;

	n_findings = n_entries = n_good = 0;
	cr_assert_eq(chain_walk_open(&walk, &config, &err), 0);
	return walk;
}

/* Walks lines in this order; -1 ends it. */
static void walk_order(const int *order)
{
	struct chain_walk *walk = begin();

	for (; *order >= 0; order++)
		chain_walk_line(walk, line[*order], len[*order], 1);
	chain_walk_end(walk);
	chain_walk_close(walk);
}

static void walk_first(unsigned n)
{
	int order[LINES + 3];

	for (unsigned i = 0; i < n; i++)
		order[i] = (int)i;
	order[n] = -1;
	walk_order(order);
}

static bool is_found(enum chain_fault fault, int64_t first, int64_t end)
{
	for (unsigned i = 0; i < n_findings; i++)
		if (findings[i].fault == fault && findings[i].first == first &&
		    findings[i].last == end)
			return true;
	return false;
}

static void assert_only(enum chain_fault fault, int64_t first, int64_t end)
{
	cr_expect_eq(n_findings, 1, "%u findings", n_findings);
	cr_expect(is_found(fault, first, end), "%s %d to %d", chain_fault_name(findings[0].fault),
		  (int)findings[0].first, (int)findings[0].last);
}

Test(chain_walk, has_nothing_to_say_of_a_whole_chain)
{
	pinned_key = first_key;
	anchor = head;
	walk_first(LINES);
	cr_expect_eq(n_findings, 0);
	cr_expect_eq(n_good, LINES);
	cr_expect_eq(n_entries, LINES);
}

Test(chain_walk, gives_head_anchor_and_first_key)
{
	uint8_t hash[CHAIN_HASH], third[CHAIN_HASH];

	chain_hash(line[2], len[2], third);
	anchor = third;
	struct chain_walk *walk = begin();
	for (unsigned i = 0; i < LINES; i++)
		chain_walk_line(walk, line[i], len[i], 1);
	chain_walk_end(walk);
	cr_expect_eq(chain_walk_head(walk, hash), LINES);
	cr_expect_eq(memcmp(hash, head, sizeof(hash)), 0);
	cr_expect_eq(chain_walk_anchored(walk), 3);
	cr_expect_eq(memcmp(chain_walk_first_key(walk), first_key, CHAIN_KEY), 0);
	chain_walk_close(walk);
}

/* Also in the key that it names, and in its own number. */
Test(chain_walk, names_an_altered_entry_alone_wherever_it_is_altered)
{
	for (unsigned i = 0; i < LINES; i++)
		for (size_t at = 0; at < len[i]; at++) {
			const char c = line[i][at];
			line[i][at] = c == '5' ? '6' : '5';
			walk_first(LINES);
			line[i][at] = c;
			bool is_named = false;
			for (unsigned k = 0; k < n_findings; k++) {
				const struct chain_finding *f = &findings[k];
				is_named |= f->first <= (int)i + 1 && f->last >= (int)i + 1;
				/* Of the very last one nothing shows what it is. */
				cr_expect(f->first == (int)i + 1 || f->fault == CHAIN_MISPLACED ||
						  f->fault == CHAIN_UNPROVEN,
					  "%u at %zu: %s %d", i + 1, at, chain_fault_name(f->fault),
					  (int)f->first);
			}
			cr_expect(is_named, "%u at %zu", i + 1, at);
		}
}

Test(chain_walk, names_an_entry_whose_file_was_altered_and_no_other)
{
	line[4][len[4] - 200] ^= 1;
	walk_first(LINES);
	assert_only(CHAIN_ALTERED, 5, 5);
	cr_expect_eq(n_good, LINES - 1);
}

Test(chain_walk, names_what_was_removed)
{
	walk_order((const int[]){0, 1, 2, 5, 6, 7, -1});
	assert_only(CHAIN_MISSING, 4, 5);
	walk_order((const int[]){3, 4, 5, -1});
	assert_only(CHAIN_MISSING, 1, 3);
}

Test(chain_walk, cannot_prove_the_last_one_behind_a_gap)
{
	walk_order((const int[]){0, 1, 3, -1});
	cr_expect_eq(n_findings, 2);
	cr_expect(is_found(CHAIN_MISSING, 3, 3));
	cr_expect(is_found(CHAIN_UNPROVEN, 4, 4));
	cr_expect_eq(n_good, 2);
}

/* No key is left that shows it, but the entry behind it knows its hash. */
Test(chain_walk, names_what_is_altered_behind_a_gap)
{
	line[3][len[3] - 10] ^= 1;
	walk_order((const int[]){0, 1, 3, 4, 5, -1});
	cr_expect_eq(n_findings, 2);
	cr_expect(is_found(CHAIN_MISSING, 3, 3));
	cr_expect(is_found(CHAIN_ALTERED, 4, 4));
	cr_expect_eq(n_good, 4);
}

Test(chain_walk, names_what_stands_in_the_wrong_place)
{
	walk_order((const int[]){0, 1, 3, 2, 4, 5, -1});
	cr_expect(is_found(CHAIN_MISPLACED, 4, 4));
	walk_order((const int[]){0, 1, 2, 2, 3, -1});
	assert_only(CHAIN_MISPLACED, 3, 3);
	walk_order((const int[]){0, 1, 2, 3, 1, -1});
	assert_only(CHAIN_MISPLACED, 2, 2);
}

/* Who takes the probe has the secret of the next entry, and of no other. */
Test(chain_walk, names_what_is_signed_with_a_later_key)
{
	struct chain_signer stolen = last;

	stolen.sequence = 4;
	chain_hash(line[3], len[3], stolen.hash);
	sign(&stolen, LINES); /* in the place of entry 5 */
	walk_order((const int[]){0, 1, 2, 3, LINES, -1});
	assert_only(CHAIN_ALTERED, 5, 5);
	sign(&stolen, LINES + 1); /* and goes on from there */
	walk_order((const int[]){0, 1, 2, 3, LINES, LINES + 1, -1});
	assert_only(CHAIN_ALTERED, 5, 5);
	walk_order((const int[]){0, 1, 2, 3, LINES, 4, 5, -1}); /* put in between */
	assert_only(CHAIN_ALTERED, 5, 5);
	cr_expect_eq(n_good, 6);
}

Test(chain_walk, sees_a_chain_made_anew_by_its_first_key_alone)
{
	pinned_key = first_key;
	anchor = head;
	cr_assert_eq(chain_begin(&last), 0);
	sign(&last, 0);
	walk_first(1);
	cr_expect(is_found(CHAIN_OTHER_KEY, 1, 1));
	cr_expect(is_found(CHAIN_NO_HEAD, 1, 1));
	pinned_key = anchor = NULL;
	walk_first(1);
	cr_expect_eq(n_findings, 0);
}

Test(chain_walk, sees_a_lost_end_by_the_head)
{
	anchor = head;
	walk_first(LINES - 1);
	assert_only(CHAIN_NO_HEAD, LINES - 1, LINES - 1);
	anchor = NULL;
	walk_first(LINES - 1);
	cr_expect_eq(n_findings, 0);
}

Test(chain_walk, tells_a_line_without_an_end_and_a_chain_without_lines)
{
	struct chain_walk *walk = begin();

	chain_walk_line(walk, line[0], len[0], 1);
	chain_walk_line(walk, line[1], len[1] / 2, -ENODATA);
	chain_walk_end(walk);
	chain_walk_close(walk);
	assert_only(CHAIN_CUT, 2, 2);
	walk_first(0);
	assert_only(CHAIN_EMPTY, 0, 0);
}

Test(chain_walk, names_garbage_and_goes_on)
{
	struct chain_walk *walk = begin();

	chain_walk_line(walk, line[0], len[0], 1);
	chain_walk_line(walk, "garbage", 7, 1);
	chain_walk_line(walk, line[2], len[2], 1);
	chain_walk_line(walk, line[3], len[3], 1);
	chain_walk_line(walk, line[4], CHAIN_LINE_MAX, -EBADMSG);
	chain_walk_line(walk, line[5], len[5], 1);
	chain_walk_line(walk, line[6], len[6], 1);
	chain_walk_end(walk);
	chain_walk_close(walk);
	cr_expect_eq(n_findings, 2, "%u", n_findings);
	cr_expect(is_found(CHAIN_ALTERED, 2, 2));
	cr_expect(is_found(CHAIN_ALTERED, 5, 5));
	cr_expect_eq(n_good, 5);
}

Test(chain_walk, wants_no_key_that_was_not_pinned)
{
	pinned_key = other;
	walk_first(3);
	assert_only(CHAIN_OTHER_KEY, 1, 1);
}
