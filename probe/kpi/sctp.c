#include "kpi/sctp.h"

#include <errno.h>
#include <stdlib.h>

struct sctp {
	struct sctp_config config;
};

int sctp_open(struct sctp **out, const struct sctp_config *config, struct err *err)
{
	struct sctp *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, -ENOMEM, "out of memory for SCTP associations");
	s->config = *config;
	*out = s;
	return 0;
}

void sctp_close(struct sctp *sctp)
{
	free(sctp);
}

size_t sctp_memory(const struct sctp_config *config)
{
	(void)config;
	return sizeof(struct sctp);
}

void sctp_packet(struct sctp *sctp, const struct kpi_sink *sink, const struct packet *packet,
		 const struct dissected *d)
{
	(void)sctp, (void)sink, (void)packet, (void)d;
}

void sctp_unreachable(struct sctp *sctp, const struct kpi_sink *sink, const struct flow_key *quoted,
		      unsigned direction)
{
	(void)sctp, (void)sink, (void)quoted, (void)direction;
}

void sctp_expire(struct sctp *sctp, uint64_t now_ns, unsigned n)
{
	(void)sctp, (void)now_ns, (void)n;
}
