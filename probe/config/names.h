/*
 * names: what sessions, and the addresses inside them, are called, and since when until when; and
 * the policies that say what is kept of them.
 *
 * An immutable snapshot in one block of memory without pointers: the starter makes it from the
 * names file and hands it on as a sealed memfd; the capture process maps it. Any thread may read;
 * texts are lent as long as the snapshot. tools/deploy/names.yaml explains the file.
 */
#pragma once

#include "abi.h"
#include "base/err.h"
#include "path/enroll.h"
#include "path/filter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_SESSIONS_MAX  65536u /* entries of sessions */
#define NAMES_ADDRESSES_MAX 512u   /* of one session: they fit into one pcapng block */
#define NAMES_NAME_MAX      48     /* characters of a NAME */
#define NAMES_TEXT_MAX      63     /* bytes of another text */
#define NAMES_POLICIES_MAX  64u
#define NAMES_RANGES_MAX    256u /* prefixes of a policy's list */
#define NAMES_NEVER         INT64_MAX
/* What a policy is called by: a word of enum session_policy, or NAMES_POLICY + its number. */
#define NAMES_POLICY         (SESSION_DROP + 1u)
#define NAMES_UNKNOWN_UNSAID UINT32_MAX
/* What is kept for a snapshot, of which names_memory says the size: 80 bytes for each session, 40
 * for each address, up to 11 KiB for each policy, and the texts. 65,536 sessions with a NAME each
 * took 8.4 MiB. */
#define NAMES_MEMORY_MAX (16u << 20)

struct names;

/* An entry. Texts are "" where the file gives none. */
struct names_session {
	const char *name;          /* [A-Za-z0-9.:-]+, no '.' in front; NAMES_NAME_MAX */
	const char *nf, *vrf;      /* UTF-8 without control characters; NAMES_TEXT_MAX */
	const char *account, *eni; /* the same */
	const char *store;         /* NAME of the store for its packets; "": the default one */
	uint64_t mac;              /* of the mirrored ENI; 0: not given */
	uint32_t policy;           /* full unless its nf has another one */
	int64_t from_ns, until_ns; /* wall clock, [from, until); 0 and NAMES_NEVER unless given */
	uint32_t index;            /* of this entry, for names_address */
};

/* A policy, as the file gives it. */
struct names_policy {
	const char *name;
	enum session_policy keep, user_plane;
	uint32_t snap_len;  /* UINT32_MAX: no bound */
	uint32_t sample;    /* of so many flows one is kept; 1: all */
	const char *filter; /* "": none */
	const struct filter_insn *code;
	const struct filter_range *only;
	uint32_t n_code, n_only;
};

/* A name of an address inside a session. */
struct names_address {
	struct address address;
	const char *nf;
	int64_t from_ns, until_ns;
};

/* Reads a names file. -EFBIG: it takes more than NAMES_MEMORY_MAX. Every other error has file,
 * line, key and what is allowed; among them: two entries of one (source, vni) or of one NAME that
 * are valid at the same time, a NAME that could be the automatic one of another session or that of
 * another's later generation, an address with two names at the same time. */
int names_load(struct names **out, const char *path, struct err *err);
/* Takes NULL. */
void names_close(struct names *names);

/* A sealed memfd with the snapshot; the caller's. */
int names_send(const struct names *names, int *fd, struct err *err);
/* Maps such a memfd; fd stays the caller's. -EPROTO: it is none. */
int names_map(struct names **out, int fd, struct err *err);
size_t names_memory(const struct names *names);
/* SHA-256 of all that it says. */
void names_hash(const struct names *names, uint8_t out[static 32]);

/* Whether it is of the form <address>-<number>[.<generation>], which are the NAMEs of sessions
 * without a name. */
bool names_is_automatic(const char *name);
/* The entry of a session at an instant. False: there is none. *change_ns in either case: until when
 * this answer holds (the next from or until of that session), or NAMES_NEVER. */
bool names_find(const struct names *names, const struct address *source, uint32_t vni,
		int64_t at_ns, struct names_session *out, int64_t *change_ns);
/* The i-th entry; false behind the last. */
bool names_entry(const struct names *names, uint32_t i, struct names_session *out);
/* The i-th address of an entry, in the order of the file; false behind the last. */
bool names_address(const struct names *names, const struct names_session *session, uint32_t i,
		   struct names_address *out);
/* A policy by its number; false behind the last. */
bool names_policy(const struct names *names, uint32_t i, struct names_policy *out);
/* That of sessions without an entry, or NAMES_UNKNOWN_UNSAID. */
uint32_t names_unknown(const struct names *names);
/* The first policy that samples, and so needs a key; NULL: none does. */
const char *names_sampler(const struct names *names);
/* Entries of sessions, for `vxprobe check`. */
uint32_t names_count(const struct names *names);
