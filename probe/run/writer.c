#include "run/writer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

/* How often files are looked at on an idle link. */
#define IDLE_MS 100
/* How often, of packet time, on a busy one. */
#define TEND_NS (IDLE_MS * UINT64_C(1000000))
/* How long others wait for a live worker that gives no sign of life. An idle one says every 100 ms
 * how far it is, a busy one after each batch: this one does not get its CPU. */
#define PATIENCE_NS 250000000u

/* One worker's packets, as far as the writer has them. */
struct input {
	struct handoff *handoff;
	struct chunk *chunk; /* NULL: none here, and watermark_ns is valid */
	uint32_t at;
	uint64_t watermark_ns;
	uint64_t latest_ns;  /* of its packets so far */
	uint64_t silent_ns;  /* CLOCK_MONOTONIC: waited for since, without a sign; 0: not */
	bool is_left_behind; /* and no more waited for */
	bool is_catching_up; /* it was: others' packets may be written that are later */
};

struct writer {
	struct writer_config config;
	struct stats_writer *counted;
	struct bell bell;
	struct output_tools *tools;
	struct output **outputs; /* by session or store; NULL: another writer's, or nothing came */
	uint32_t n_outputs;
	int64_t offset_ns;
	uint64_t latest_ns, tended_ns;
	uint64_t retry_ns; /* split: no new output is tried before */
	_Atomic bool is_done;
	struct input input[STEER_WORKERS_MAX];
};

static uint32_t outputs_of(const struct writer_config *c)
{
	return c->split ? c->stats->sessions_max : c->n_stores;
}

static uint32_t sessions_of(const struct writer_config *c)
{
	return c->split ? 1 : c->stats->sessions_max;
}

size_t writer_memory(const struct writer_config *c)
{
	const size_t each = sizeof(struct writer) + output_tools_memory(&c->output) +
			    outputs_of(c) * sizeof(struct output *);

	return c->writers * each + outputs_of(c) * output_memory(&c->output, sessions_of(c));
}

/* Now, so that a folder that cannot be written to is a refusal to start; also where each session's
 * output is opened later, and this one is closed again. */
static int open_outputs(struct writer *w, struct err *err)
{
	const struct writer_config *c = &w->config;
	int ret = 0;

	for (uint32_t i = c->output.writer; i < c->n_stores && !ret; i += c->writers) {
		const struct output_place place = {.name = c->stores[i],
						   .store = i,
						   .sessions = sessions_of(c),
						   .is_first = i == 0};
		if (i && c->split)
			break;
		ret = output_open(&w->outputs[i], w->tools, &place, err);
	}
	if (!ret && c->split) {
		output_close(w->outputs[0]);
		w->outputs[0] = NULL;
	}
	return ret;
}

int writer_open(struct writer **out, const struct writer_config *config, struct err *err)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->config = *config;
	w->counted = &config->stats->writer[config->output.writer];
	w->bell.fd = -1;
	w->n_outputs = outputs_of(config);
	w->outputs = calloc(w->n_outputs, sizeof(struct output *));
	int ret = w->outputs ? bell_init(&w->bell, err) : err_set(err, -ENOMEM, "out of memory");
	if (ret || (ret = output_tools_open(&w->tools, &config->output, config->stats, err)))
		goto fail;
	if ((ret = open_outputs(w, err)))
		goto fail;
	*out = w;
	return 0;
fail:
	writer_close(w);
	return ret;
}

void writer_close(struct writer *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_outputs && w->outputs; i++)
		output_close(w->outputs[i]);
	output_tools_close(w->tools);
	bell_fini(&w->bell);
	free(w->outputs);
	free(w);
}

void writer_set(struct writer *w, const struct output_settings settings[static OUTPUT_STORES_MAX])
{
	output_tools_set(w->tools, settings);
}

struct bell *writer_bell(struct writer *w)
{
	return &w->bell;
}

void writer_set_handoff(struct writer *w, uint32_t worker, struct handoff *handoff)
{
	w->input[worker] = (struct input){.handoff = handoff};
}

bool writer_is_done(const struct writer *w)
{
	return atomic_load_explicit(&w->is_done, memory_order_acquire); /* pairs with writer_run */
}

/* ---- merge ---- */

static uint8_t *block_of(const struct input *in)
{
	return in->chunk->data + in->at;
}

/* Gets a worker's next chunk. Chunks without a packet go straight back. */
static void refresh(struct input *in)
{
	while (!in->chunk) {
		const uint64_t before_ns = in->watermark_ns;
		in->watermark_ns = handoff_watermark(in->handoff);
		in->chunk = handoff_take_full(in->handoff);
		in->at = 0;
		if (in->chunk || in->watermark_ns != before_ns) {
			in->silent_ns = 0;
			in->is_left_behind = false;
		}
		if (!in->chunk)
			return;
		if (!in->chunk->len)
			handoff_put_back(in->handoff, &in->chunk);
	}
}

/* Earlier in time; at the same time, earlier in the source. */
static bool is_before(const struct input *a, const struct input *b)
{
	const uint8_t *x = block_of(a), *y = block_of(b);
	const uint64_t s = block_packet_time(x), t = block_packet_time(y);
	return s != t ? s < t
		      : (block_packet_id(x) & PACKET_SEQUENCE) <
				(block_packet_id(y) & PACKET_SEQUENCE);
}

/* The input with the earliest packet, or NULL. *horizon_ns: workers without one here, save those
 * left behind, may still give packets from then on. */
static struct input *earliest(struct writer *w, uint64_t *horizon_ns)
{
	struct input *best = NULL;

	*horizon_ns = UINT64_MAX;
	for (uint32_t i = 0; i < w->config.workers; i++) {
		struct input *in = &w->input[i];
		refresh(in);
		if (in->chunk)
			best = best && !is_before(in, best) ? best : in;
		else if (!in->is_left_behind && in->watermark_ns < *horizon_ns)
			*horizon_ns = in->watermark_ns;
	}
	return best;
}

/* Nothing is here, and nothing more will come. */
static bool is_over(const struct writer *w)
{
	for (uint32_t i = 0; i < w->config.workers; i++)
		if (w->input[i].chunk || w->input[i].watermark_ns != UINT64_MAX)
			return false;
	return true;
}

static void ask_for_more(struct writer *w, uint64_t horizon_ns)
{
	for (uint32_t i = 0; i < w->config.workers; i++)
		if (!w->input[i].chunk && w->input[i].watermark_ns <= horizon_ns)
			handoff_set_hungry(w->input[i].handoff);
}

/* Goes on without who has been silent for too long. Not of files: their packets come when they are
 * read. */
static void lose_patience(struct writer *w, uint64_t horizon_ns)
{
	const uint64_t now_ns = clock_monotonic_ns();

	for (uint32_t i = 0; i < w->config.workers && w->config.stats->is_live; i++) {
		struct input *in = &w->input[i];
		if (in->chunk || in->watermark_ns > horizon_ns || horizon_ns == UINT64_MAX)
			continue;
		if (!in->silent_ns)
			in->silent_ns = now_ns;
		else if (now_ns - in->silent_ns >= PATIENCE_NS)
			in->is_left_behind = in->is_catching_up = true;
	}
}

/* ---- outputs ---- */

static struct output *output_of(struct writer *w, uint32_t place, uint64_t time_ns)
{
	const uint32_t session = place_session(place);
	struct err err;

	if (!w->config.split)
		return w->outputs[place_store(place)];
	if (w->outputs[session])
		output_set_store(w->outputs[session], place_store(place));
	if (w->outputs[session] || time_ns < w->retry_ns)
		return w->outputs[session];
	if (output_open(&w->outputs[session], w->tools,
			&(struct output_place){.store = place_store(place), .sessions = 1}, &err)) {
		w->retry_ns = time_ns + OUTPUT_RETRY_NS;
		log_line("%s", err.text);
	}
	return w->outputs[session];
}

/* A packet behind a later one is late, and counted. What the source gave so keeps its place; what a
 * worker that was left behind gave in order begins a new file. */
static void judge_time(struct writer *w, struct input *in, struct output *o, uint64_t time_ns)
{
	if (time_ns >= w->latest_ns) {
		w->latest_ns = in->latest_ns = time_ns;
		in->is_catching_up = false;
		return;
	}
	stats_add(&w->counted->late, 1);
	if (time_ns < in->latest_ns)
		return;
	in->latest_ns = time_ns;
	if (in->is_catching_up && o)
		output_end_before(o, time_ns);
}

static void write_packet(struct writer *w, struct input *in, uint8_t *block)
{
	const uint32_t place = block_packet_interface(block), session = place_session(place);
	const uint64_t time_ns = block_packet_time(block);
	struct output *o = output_of(w, place, time_ns);

	judge_time(w, in, o, time_ns);
	if (o)
		output_packet(o, block, block_packet_total(block), session, w->offset_ns);
	else
		stats_add(&w->counted->fate[FATE_IO_ERROR], 1);
}

static void end_all_files(struct writer *w)
{
	for (uint32_t i = 0; i < w->n_outputs; i++)
		if (w->outputs[i])
			output_end_file(w->outputs[i]);
}

/* Files are looked after also when nothing comes for them; a step of the wall clock ends them all,
 * since within a file time must not run backwards. */
static void tend_files(struct writer *w, uint64_t now_ns)
{
	const int64_t offset_ns = atomic_load_explicit(w->config.offset_ns, memory_order_relaxed);

	if (llabs(offset_ns - w->offset_ns) > CLOCK_STEP_NS)
		end_all_files(w);
	w->offset_ns = offset_ns;
	if (now_ns == UINT64_MAX)
		return;
	w->tended_ns = now_ns;
	for (uint32_t i = 0; i < w->n_outputs; i++)
		if (w->outputs[i])
			output_tick(w->outputs[i], now_ns);
}

/* The fullest way, in per cent of its chunks. Of files there is none: they wait. */
static unsigned pressure(const struct writer *w)
{
	unsigned most = 0;

	for (uint32_t i = 0; i < w->config.workers && w->config.stats->is_live; i++) {
		const struct handoff_places p = handoff_count(w->input[i].handoff);
		const unsigned all = p.worker + p.full + p.writer + p.empty;

		if (all && 100 * p.full / all > most) /* 0: all just change places */
			most = 100 * p.full / all;
	}
	return most;
}

static void advance(struct writer *w, struct input *in)
{
	uint8_t *block = block_of(in);

	in->at += block_packet_total(block);
	output_tools_judged(w->tools, in->chunk->policies);
	write_packet(w, in, block);
	if (w->latest_ns > w->tended_ns + TEND_NS)
		tend_files(w, w->latest_ns);
	if (in->at < in->chunk->len)
		return;
	handoff_put_back(in->handoff, &in->chunk);
	output_tools_set_pressure(w->tools, pressure(w));
}

static void wait_for_workers(struct writer *w, uint64_t horizon_ns)
{
	uint64_t now_ns;

	ask_for_more(w, horizon_ns);
	bell_announce(&w->bell);
	const struct input *best = earliest(w, &now_ns);
	if (now_ns != horizon_ns || (best && block_packet_time(block_of(best)) < now_ns))
		bell_leave(&w->bell);
	else
		bell_wait(&w->bell, IDLE_MS);
	lose_patience(w, horizon_ns);
}

void *writer_run(void *arg)
{
	struct writer *w = arg;
	uint64_t horizon_ns;

	w->offset_ns = atomic_load_explicit(w->config.offset_ns, memory_order_relaxed);
	for (;;) {
		struct input *in = earliest(w, &horizon_ns);
		if (!in && is_over(w))
			break;
		if (in &&
		    (block_packet_time(block_of(in)) < horizon_ns || horizon_ns == UINT64_MAX)) {
			advance(w, in);
			continue;
		}
		tend_files(w, horizon_ns);
		wait_for_workers(w, horizon_ns);
	}
	end_all_files(w);
	atomic_store_explicit(&w->is_done, true,
			      memory_order_release); /* pairs with writer_is_done */
	bell_ring(w->config.control);
	return NULL;
}
