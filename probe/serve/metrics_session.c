#include "serve/metrics_part.h"

#include <stddef.h>

/* An info: five texts of 63 bytes, each of which may have to be escaped. */
#define INFO_LEN 1024
/* Of all families' heads, which those of NFs have once more. */
#define HEADS_LEN 65536

size_t metrics_sessions_memory(uint32_t sessions_max, const struct view_facts *facts)
{
	return HEADS_LEN + (size_t)metrics_select_max(sessions_max, facts->series_max) * INFO_LEN +
	       metrics_select_memory(sessions_max, facts) +
	       metrics_kpis_memory(sessions_max, facts);
}

#define SESSION_LABELS(s)                                                                          \
	"source", (s)->name, "vni", (s)->vni.text, "generation", (s)->generation.text

static void write_info(struct exposition *e, const struct view *v, const struct subjects *sessions)
{
	exposition_family(e, EXPOSITION_INFO, "vxprobe_session", "",
			  "What a session is called, and what is done with its packets.");
	for (uint32_t i = 0; i < sessions->n; i++) {
		const struct subject *s = &sessions->subject[i];
		struct session_labels l;
		stats_labels(v->ledger.stats, s->id, &l);
		exposition_integer(e, 1,
				   LABELS(SESSION_LABELS(s), "name", l.name, "nf", l.nf, "vrf",
					  l.vrf, "account", l.account, "eni", l.eni, "policy",
					  l.policy));
	}
}

static void write_last_packet(struct exposition *e, const struct view *v,
			      const struct subjects *sessions)
{
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_session_last_packet_timestamp_seconds",
			  "seconds", "When the last packet of the session came, since 1970.");
	for (uint32_t i = 0; i < sessions->n; i++) {
		const struct subject *s = &sessions->subject[i];
		exposition_seconds(e, view_last_packet_ns(v, s->id), LABELS(SESSION_LABELS(s)));
	}
}

static void write_counts(struct exposition *e, const struct view *v, const struct selection *chosen)
{
	metrics_single(e, EXPOSITION_GAUGE, "vxprobe_sessions", "", "Sessions known.",
		       view_sessions(v));
	metrics_single(e, EXPOSITION_GAUGE, "vxprobe_sessions_active", "",
		       "Sessions with a packet in the last 15 minutes: those with series.",
		       chosen->n_active);
	metrics_single(e, EXPOSITION_GAUGE, "vxprobe_series", "",
		       "Series of sessions and NFs on this page.", chosen->series);
	metrics_single(
		e, EXPOSITION_COUNTER, "vxprobe_series_dropped", "",
		"Series of sessions and NFs that were left out of a page, beyond series-max.",
		v->series_dropped);
}

/* ---- loss by the mirror ---- */

static void write_loss(struct exposition *e, const struct subjects *sessions, const char *name,
		       const char *help, size_t offset)
{
	static const char *const transports[] = {[LOSS_TCP] = "tcp", [LOSS_SCTP] = "sctp"};

	exposition_family(e, EXPOSITION_GAUGE, name, "ratio", help);
	for (uint32_t i = 0; i < sessions->n; i++) {
		const struct subject *s = &sessions->subject[i];
		for (unsigned t = 0; t < LOSS_TRANSPORTS; t++) {
			const char *field = (const char *)&s->loss[t] + offset;
			if (s->has_loss[t])
				exposition_ratio(
					e, *(const double *)(const void *)field,
					LABELS(SESSION_LABELS(s), "transport", transports[t]));
		}
	}
}

static void write_losses(struct exposition *e, const struct view *v,
			 const struct subjects *sessions)
{
	write_loss(e, sessions, "vxprobe_session_capture_loss_ratio",
		   "Share of what receivers acknowledged that was never mirrored, bytes of TCP and "
		   "chunks of SCTP; not there where nothing was acknowledged.",
		   offsetof(struct loss_estimate, ratio));
	write_loss(e, sessions, "vxprobe_session_capture_loss_low_ratio",
		   "Lower end of the interval that the share lies in, 95 times of 100.",
		   offsetof(struct loss_estimate, low));
	write_loss(e, sessions, "vxprobe_session_capture_loss_high_ratio",
		   "Upper end of the interval that the share lies in, 95 times of 100.",
		   offsetof(struct loss_estimate, high));
	exposition_family(e, EXPOSITION_GAUGE, "vxprobe_session_loss_visible_ratio", "ratio",
			  "Share of the session's bytes whose loss would show.");
	for (uint32_t i = 0; i < sessions->n; i++) {
		const struct subject *s = &sessions->subject[i];
		exposition_ratio(e, view_loss_visible(v, s->id), LABELS(SESSION_LABELS(s)));
	}
}

int metrics_sessions(struct exposition *e, struct view *v, uint64_t now_ns, struct err *err)
{
	struct selection chosen;
	const int ret = metrics_select(&chosen, v, now_ns, err);

	if (!ret) {
		v->series_dropped += chosen.dropped;
		write_counts(e, v, &chosen);
		write_info(e, v, &chosen.sessions);
		write_last_packet(e, v, &chosen.sessions);
		write_losses(e, v, &chosen.sessions);
		metrics_kpis(e, v, &chosen.sessions);
		metrics_kpis(e, v, &chosen.nfs);
	}
	metrics_release(&chosen);
	return ret;
}
