#include "serve/summary.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const count_keys[] = {
#define COUNT(name, key, ...) [SUMMARY_##name] = key,
#include "serve/summary.def"
#undef COUNT
};
static const char *const transport_keys[] = {
	[SUMMARY_TCP] = "tcp", [SUMMARY_SCTP] = "sctp", [SUMMARY_UE] = "ue_tcp"};
static const char *const side_keys[] = {
	[SUMMARY_CLIENT] = "client", [SUMMARY_SERVER] = "server", [SUMMARY_BOTH] = "both"};

/* ---- counts: between the probe and who asks it ---- */

/* [[bucket, samples], ...]: few of them have any. */
static json_t *buckets(const struct histogram *h)
{
	json_t *out = json_array();

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (h->bucket[i])
			(void)json_array_append_new(
				out, json_pack("[iI]", (int)i, (json_int_t)h->bucket[i]));
	return out;
}

/* {side: buckets}; NULL, which no object takes: no sample. */
static json_t *rtts_to_json(struct histogram *const rtt[static SUMMARY_SIDES])
{
	json_t *out = NULL;

	for (unsigned side = 0; side < SUMMARY_SIDES; side++) {
		if (!rtt[side])
			continue;
		out = out ? out : json_object();
		(void)json_object_set_new(out, side_keys[side], buckets(rtt[side]));
	}
	return out;
}

static const char *const loss_keys[] = {[LOSS_TCP] = "tcp_loss", [LOSS_SCTP] = "sctp_loss"};

static json_t *loss_to_json(const struct loss *l)
{
	return json_pack("[IIIfffff]", (json_int_t)l->acks, (json_int_t)l->blocks,
			 (json_int_t)l->lossy, l->acked, l->missing, l->acked_squared,
			 l->missing_squared, l->product);
}

static void take_loss(struct loss *out, const json_t *array)
{
	double n[8] = {0};

	for (unsigned i = 0; i < 8; i++)
		n[i] = fmax(json_number_value(json_array_get(array, i)), 0);
	*out = (struct loss){.acks = (uint64_t)n[0],
			     .blocks = (uint64_t)n[1],
			     .lossy = (uint64_t)n[2],
			     .acked = n[3],
			     .missing = n[4],
			     .acked_squared = n[5],
			     .missing_squared = n[6],
			     .product = n[7]};
}

static json_t *to_json(const struct summary *s)
{
	json_t *out = json_pack("{si}", "groups", (int)s->groups);

	for (unsigned i = 0; out && i < SUMMARY_COUNTS; i++)
		if (s->n[i])
			(void)json_object_set_new(out, count_keys[i],
						  json_integer((json_int_t)s->n[i]));
	for (unsigned t = 0; out && t < LOSS_TRANSPORTS; t++)
		if (s->loss[t].acks)
			(void)json_object_set_new(out, loss_keys[t], loss_to_json(&s->loss[t]));
	for (unsigned t = 0; out && t < SUMMARY_TRANSPORTS; t++)
		(void)json_object_set_new(out, transport_keys[t], rtts_to_json(s->rtt[t]));
	return out;
}

json_t *summary_to_json(const struct view *v, uint32_t session)
{
	struct summary s;
	json_t *out = summary_read_session(&s, v, session) ? NULL : to_json(&s);

	summary_drop(&s);
	return out;
}

static int take_buckets(struct summary *out, enum summary_transport transport,
			enum summary_side side, const json_t *array)
{
	struct histogram h = {0};
	json_t *pair;
	size_t i;

	json_array_foreach(array, i, pair) {
		const json_int_t bucket = json_integer_value(json_array_get(pair, 0));
		const json_int_t n = json_integer_value(json_array_get(pair, 1));
		if (bucket >= 0 && bucket < HISTOGRAM_BUCKETS && n > 0)
			h.bucket[bucket] += (uint64_t)n;
	}
	return histogram_count(&h) ? summary_add_rtt(out, transport, side, &h) : 0;
}

static int take_rtts(struct summary *out, enum summary_transport transport, const json_t *sides)
{
	int ret = 0;

	for (unsigned side = 0; !ret && side < SUMMARY_SIDES; side++)
		ret = take_buckets(out, transport, side, json_object_get(sides, side_keys[side]));
	return ret;
}

static void take_text(char out[static 64], const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	(void)snprintf(out, 64, "%s", text ? text : "");
}

static int take_session(struct summary *out, const json_t *session)
{
	const json_t *s = json_object_get(session, "summary");
	int ret = 0;

	*out = (struct summary){.sessions = 1,
				.groups =
					(uint32_t)json_integer_value(json_object_get(s, "groups"))};
	take_text(out->name, session, "name");
	take_text(out->nf, session, "nf");
	for (unsigned i = 0; i < SUMMARY_COUNTS; i++) {
		const json_int_t n = json_integer_value(json_object_get(s, count_keys[i]));
		out->n[i] = n > 0 ? (uint64_t)n : 0;
	}
	for (unsigned t = 0; t < LOSS_TRANSPORTS; t++)
		take_loss(&out->loss[t], json_object_get(s, loss_keys[t]));
	for (unsigned t = 0; !ret && t < SUMMARY_TRANSPORTS; t++)
		ret = take_rtts(out, t, json_object_get(s, transport_keys[t]));
	return ret;
}

int summary_from_json(struct summary_table *out, const json_t *document, struct err *err)
{
	const json_t *sessions = json_object_get(document, "sessions");
	const json_t *session;
	size_t i;
	int ret = summary_open(out, json_array_size(sessions), err);

	if (ret)
		return ret;
	json_array_foreach(sessions, i, session)
		if (!ret && take_session(&out->row[i], session))
			ret = err_set(err, -ENOMEM, "out of memory for the report");
	if (ret)
		summary_close(out);
	return ret;
}

/* ---- figures: for programs ---- */

static json_t *number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *integer(double value)
{
	return isnan(value) ? json_null() : json_integer((json_int_t)value);
}

static json_t *rtt_of_side(const struct summary_rtt *r)
{
	if (!r->samples)
		return json_null();
	return json_pack("{so so so so}", "samples", integer(r->samples), "p50", number(r->p50),
			 "p95", number(r->p95), "p99", number(r->p99));
}

/* Both sides, also the one without samples, or what does not tell them apart. */
static json_t *rtt(const struct summary_transport_figures *t)
{
	const struct summary_rtt *r = t->rtt;

	if (!r[t->far].samples)
		return json_null();
	if (t->far == SUMMARY_BOTH)
		return json_pack("{so}", side_keys[SUMMARY_BOTH], rtt_of_side(&r[SUMMARY_BOTH]));
	return json_pack("{so so}", side_keys[SUMMARY_CLIENT], rtt_of_side(&r[SUMMARY_CLIENT]),
			 side_keys[SUMMARY_SERVER], rtt_of_side(&r[SUMMARY_SERVER]));
}

static json_t *transport(const struct summary_transport_figures *t)
{
	return json_pack("{so so so so so}", "rtt", rtt(t), "data", integer(t->data),
			 "retransmitted_share", number(t->resent), "attempted",
			 integer(t->attempted), "failed", integer(t->failed));
}

static json_t *loss(const struct summary_figures *f)
{
	if (isnan(f->lost))
		return json_null();
	return json_pack("{so so so so}", "share", number(f->lost), "low", number(f->lost_low),
			 "high", number(f->lost_high), "visible_share", number(f->visible));
}

json_t *summary_figures_to_json(const struct summary_figures *f)
{
	json_t *out = json_pack("{ss ss si so so so so so so so so}", "name", f->of->name, "nf",
				f->of->nf, "sessions", (int)f->of->sessions, "packets",
				integer(f->packets), "bytes", integer(f->bytes),
				"packets_per_second", number(f->packets_per_second),
				"bits_per_second", number(f->bits_per_second), "truncated_share",
				number(f->truncated), "duplicate_share", number(f->duplicates),
				"one_direction_share", number(f->one_way), "mirror_loss", loss(f));

	for (unsigned t = 0; out && t < SUMMARY_TRANSPORTS; t++)
		if (f->transport[t].is_seen)
			(void)json_object_set_new(out, transport_keys[t],
						  transport(&f->transport[t]));
	return out;
}
