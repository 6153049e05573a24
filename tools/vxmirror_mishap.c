#include "vxmirror_mishap.h"

#include <errno.h>
#include <stdlib.h>

#include "vxmirror_flow.h"

/* A series of random numbers: SplitMix64 (Steele, Lea and Flood, 2014). */
struct series {
	uint64_t state;
};

/* The mirror at one end. */
struct end {
	struct series loss;
	bool is_losing;   /* in a burst */
	uint64_t last_ns; /* arrival of the last one of a direction whose order stays */
	uint64_t flow_seed;
};

struct mishap {
	struct mishap_config config;
	mishap_fn pass, lose;
	void *arg;
	struct delay *delay;
	struct end ends[2];
	struct series duplicate, lateness;
	struct mishap_counts counts;
};

static uint64_t next(struct series *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* At least 0 and below 1, from a number's upper 53 bits. */
static double fraction(uint64_t number)
{
	return (double)(number >> 11) * 0x1p-53;
}

static bool happens(struct series *s, double probability)
{
	return fraction(next(s)) < probability;
}

static uint64_t up_to(struct series *s, uint64_t ns)
{
	return (uint64_t)(fraction(next(s)) * ((double)ns + 1));
}

int mishap_open(struct mishap **out, const struct mishap_config *config, mishap_fn pass,
		mishap_fn lose, void *arg, struct err *err)
{
	struct mishap *m = calloc(1, sizeof(*m));
	struct series seeds = {config->seed};

	if (!m)
		return err_set(err, -ENOMEM, "out of memory");
	m->config = *config;
	m->pass = pass;
	m->lose = lose;
	m->arg = arg;
	for (unsigned i = 0; i < 2; i++) {
		m->ends[i].loss.state = next(&seeds);
		m->ends[i].flow_seed = next(&seeds);
	}
	m->duplicate.state = next(&seeds);
	m->lateness.state = next(&seeds);
	const int ret = delay_open(&m->delay, err);
	if (ret) {
		mishap_close(m);
		return ret;
	}
	*out = m;
	return 0;
}

void mishap_close(struct mishap *mishap)
{
	if (!mishap)
		return;
	delay_close(mishap->delay);
	free(mishap);
}

static bool has_direction(const struct capfile_packet *p, enum mishap_direction wanted)
{
	return wanted == MISHAP_BOTH ||
	       flow_is_egress(p->data, p->cap_len) == (wanted == MISHAP_EGRESS);
}

/* Gilbert's two states: a burst ends after each packet with probability 1 / mean; one begins so
 * often that the share of packets in bursts is the rate. */
static bool is_in_burst(struct end *end, double rate)
{
	const double ends = 1 / MISHAP_BURST_MEAN;
	const double begins = ends * rate / (1 - rate);

	end->is_losing = happens(&end->loss, end->is_losing ? 1 - ends : begins);
	return end->is_losing;
}

static bool is_lost(struct mishap *m, const struct mirrored *mirrored)
{
	const struct capfile_packet *p = &mirrored->packet;
	struct end *end = &m->ends[mirrored->is_far_end];
	const double rate = m->config.loss_rate;

	switch (m->config.loss) {
	case MISHAP_BURST:
		return is_in_burst(end, rate);
	case MISHAP_FLOW:
		return fraction(flow_hash(p->data, p->cap_len, end->flow_seed, true)) < rate;
	default:
		return happens(&end->loss, rate);
	}
}

static int release(struct mishap *m, uint64_t until_ns, struct err *err)
{
	const struct mirrored *next_due;
	int ret = 0;

	while (ret == 0 && (next_due = delay_take(m->delay, until_ns)))
		ret = m->pass(m->arg, next_due, err);
	return ret;
}

/* What is due by now has been released: of what is not late, nothing is to be remembered. */
static int pass(struct mishap *m, struct mirrored *mirrored, uint64_t late_ns, struct err *err)
{
	mirrored->packet.time_ns += late_ns;
	return late_ns ? delay_put(m->delay, mirrored, err) : m->pass(m->arg, mirrored, err);
}

static int lose(struct mishap *m, const struct mirrored *mirrored, struct err *err)
{
	m->counts.lost++;
	m->counts.lost_bytes += mirrored->packet.wire_len;
	return m->lose(m->arg, mirrored, err);
}

/* Both directions: any may overtake any. One of them: as by a queue of its own. */
static uint64_t lateness(struct mishap *m, const struct mirrored *mirrored, uint64_t base_ns)
{
	const uint64_t time_ns = mirrored->packet.time_ns;
	uint64_t *last_ns = &m->ends[mirrored->is_far_end].last_ns;
	uint64_t late_ns = base_ns + up_to(&m->lateness, m->config.reorder_ns);

	if (m->config.reorder == MISHAP_BOTH)
		return late_ns;
	if (time_ns + late_ns < *last_ns && *last_ns - time_ns <= base_ns + m->config.reorder_ns)
		late_ns = *last_ns - time_ns;
	*last_ns = time_ns + late_ns;
	return late_ns;
}

/* base_ns: how late all of this end are. */
static int mirror(struct mishap *m, struct mirrored mirrored, uint64_t base_ns, struct err *err)
{
	const struct mishap_config *c = &m->config;
	struct mirrored copy = mirrored;
	uint64_t late_ns = base_ns;

	if (c->has_loss && is_lost(m, &mirrored))
		return lose(m, &mirrored, err);
	if (c->reorder_ns && has_direction(&mirrored.packet, c->reorder))
		late_ns = lateness(m, &mirrored, base_ns);
	const int ret = pass(m, &mirrored, late_ns, err);
	if (ret || c->duplicate_rate <= 0 || !happens(&m->duplicate, c->duplicate_rate))
		return ret;
	m->counts.doubled++;
	return pass(m, &copy, late_ns + up_to(&m->duplicate, c->duplicate_ns), err);
}

int mishap_packet(struct mishap *mishap, const struct capfile_packet *packet, struct err *err)
{
	struct mishap *m = mishap;
	struct mirrored mirrored = {.packet = *packet, .id = m->counts.packets++};
	int ret = release(m, packet->time_ns, err);

	if (ret)
		return ret;
	if (!has_direction(packet, m->config.only)) {
		m->counts.other_direction++;
		return 0;
	}
	ret = mirror(m, mirrored, 0, err);
	if (ret || !m->config.has_both_ends)
		return ret;
	mirrored.is_far_end = true;
	return mirror(m, mirrored, m->config.both_ends_ns, err);
}

int mishap_flush(struct mishap *mishap, struct err *err)
{
	return release(mishap, UINT64_MAX, err);
}

struct mishap_counts mishap_counts(const struct mishap *mishap)
{
	return mishap->counts;
}
