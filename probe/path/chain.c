#define _GNU_SOURCE /* timegm, strptime */
#include "path/chain.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define SECOND_NS UINT64_C(1000000000)
/* Of a line that is none, read at once. */
#define GARBAGE_MAX (8 * CHAIN_LINE_MAX)
/* No chain gets so long, and sums with it do not overflow. */
#define SEQUENCE_MAX (INT64_C(1) << 53)

/* The end of a line: ,"sig":"<128 digits>"} */
static const char sig_begin[] = ",\"sig\":\"", sig_end[] = "\"}";
#define SIG_LEN (sizeof(sig_begin) - 1 + 2 * CHAIN_SIGNATURE + sizeof(sig_end) - 1)

/* ---- what entries have ---- */

enum { TEXT, NAME, NUMBER, HASH, LIST };

#define AT(field)   offsetof(struct chain_entry, field)
#define SIZE(field) sizeof(((struct chain_entry *)0)->field)

static const struct member {
	const char *name;
	int type;
	size_t offset, size;
} member[] = {
	{"version", TEXT, AT(version), SIZE(version)},
	{"host", TEXT, AT(host), SIZE(host)},
	{"file", NAME, AT(file), SIZE(file)},
	{"bytes", NUMBER, AT(bytes), 0},
	{"sha256", HASH, AT(sha256), 0},
	{"packets", NUMBER, AT(packets), 0},
	{"drops", NUMBER, AT(drops), 0},
	{"recipients", LIST, 0, 0},
	{"files", NUMBER, AT(files), 0},
	{"step_ns", NUMBER, AT(step_ns), 0},
	{"reason", TEXT, AT(reason), SIZE(reason)},
};
#define MEMBERS (sizeof(member) / sizeof(member[0]))
/* Bits of the above. */
enum {
	VERSION = 1 << 0,
	HOST = 1 << 1,
	FILE_NAME = 1 << 2,
	BYTES = 1 << 3,
	SHA256 = 1 << 4,
	PACKETS = 1 << 5,
	DROPS = 1 << 6,
	RECIPIENTS = 1 << 7,
	FILES = 1 << 8,
	STEP = 1 << 9,
	REASON = 1 << 10,
	CONTENT = FILE_NAME | BYTES | SHA256
};

static const struct {
	const char *name;
	unsigned members;
} events[CHAIN_EVENTS] = {
	[CHAIN_START] = {"start", VERSION | HOST},
	[CHAIN_STOP] = {"stop", 0},
	[CHAIN_CONFIGURED] = {"configured", SHA256 | RECIPIENTS},
	[CHAIN_CLOCK] = {"clock", STEP},
	[CHAIN_SEALED] = {"sealed", CONTENT | PACKETS | DROPS | RECIPIENTS},
	[CHAIN_BROKEN] = {"broken", CONTENT | PACKETS | DROPS | RECIPIENTS},
	[CHAIN_FOUND] = {"found", CONTENT},
	[CHAIN_RECOVERED] = {"recovered", CONTENT},
	[CHAIN_DELETED] = {"deleted", FILE_NAME | REASON},
	[CHAIN_UNREADABLE] = {"unreadable", FILE_NAME | BYTES | REASON},
	[CHAIN_UNHASHED] = {"unhashed", FILES},
};

const char *chain_event_name(enum chain_event event)
{
	return events[event].name;
}

bool chain_has_file_hash(enum chain_event event)
{
	return (events[event].members & CONTENT) == CONTENT;
}

bool chain_is_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._:-";
	const size_t len = strspn(name, allowed);

	return len && len < CHAIN_NAME_MAX && !name[len] && name[0] != '.';
}

static bool ends_with(const char *text, const char *end)
{
	const size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

bool chain_is_stored(const char *name)
{
	return chain_is_name(name) &&
	       (ends_with(name, ".pcapng.zst") || ends_with(name, ".pcapng.zst.age"));
}

/* ---- keys ---- */

static int public_of(const uint8_t secret[static CHAIN_KEY], uint8_t out[static CHAIN_KEY])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, CHAIN_KEY);
	size_t len = CHAIN_KEY;
	const bool ok = key && EVP_PKEY_get_raw_public_key(key, out, &len) == 1;

	EVP_PKEY_free(key); /* wipes its copy */
	return ok ? 0 : -EIO;
}

static int make_key(uint8_t secret[static CHAIN_KEY], uint8_t public[static CHAIN_KEY])
{
	return RAND_priv_bytes(secret, CHAIN_KEY) == 1 ? public_of(secret, public) : -EIO;
}

static int sign(const uint8_t secret[static CHAIN_KEY], const char *text, size_t len,
		uint8_t out[static CHAIN_SIGNATURE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, CHAIN_KEY);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t out_len = CHAIN_SIGNATURE;
	const bool ok = key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
			EVP_DigestSign(context, out, &out_len, (const uint8_t *)text, len) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return ok ? 0 : -EIO;
}

int chain_begin(struct chain_signer *s)
{
	*s = (struct chain_signer){0};
	return RAND_priv_bytes(s->secret, sizeof(s->secret)) == 1 ? 0 : -EIO;
}

int chain_public(const struct chain_signer *s, uint8_t out[static CHAIN_KEY])
{
	return public_of(s->secret, out);
}

/* ---- writing ---- */

static json_t *hex_text(const uint8_t *data, size_t len)
{
	char text[2 * CHAIN_SIGNATURE + 1];

	chain_hex(data, len, text);
	return json_string(text);
}

static json_t *time_text(uint64_t time_ns)
{
	const time_t seconds = (time_t)(time_ns / SECOND_NS);
	char text[32], whole[64];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(whole, sizeof(whole), "%s.%09uZ", text, (unsigned)(time_ns % SECOND_NS));
	return json_string(whole);
}

/* Printable ASCII: what else a host may be called is '?'. */
static json_t *plain_text(const char *text)
{
	char plain[CHAIN_TEXT_MAX];

	(void)snprintf(plain, sizeof(plain), "%s", text);
	for (char *p = plain; *p; p++)
		*p = *p >= ' ' && *p <= '~' ? *p : '?';
	return json_string(plain);
}

static json_t *list(const struct chain_entry *e)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < e->n_recipients; i++)
		if (json_array_append_new(array, json_string(e->recipients[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *value_of(const struct chain_entry *e, const struct member *m)
{
	const void *field = (const char *)e + m->offset;

	switch (m->type) {
	case NUMBER:
		return json_integer(*(const int64_t *)field);
	case HASH:
		return hex_text(field, CHAIN_HASH);
	case LIST:
		return list(e);
	default:
		return plain_text(field);
	}
}

/* All but the signature. jansson keeps the order, and refuses a NULL that ran out of memory. */
static json_t *object_of(const struct chain_entry *e)
{
	json_t *o = json_object();
	int bad = json_object_set_new(o, "chain", json_integer(1)) ||
		  json_object_set_new(o, "seq", json_integer(e->sequence)) ||
		  json_object_set_new(o, "time", time_text(e->time_ns)) ||
		  json_object_set_new(o, "prev", hex_text(e->before, CHAIN_HASH)) ||
		  json_object_set_new(o, "next", hex_text(e->next, CHAIN_KEY));

	if (e->sequence == 1)
		bad |= json_object_set_new(o, "key", hex_text(e->key, CHAIN_KEY));
	bad |= json_object_set_new(o, "event", json_string(events[e->event].name));
	for (unsigned i = 0; i < MEMBERS && !bad; i++)
		if (events[e->event].members & 1u << i)
			bad |= json_object_set_new(o, member[i].name, value_of(e, &member[i]));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

/* The text that is signed: the object without its closing brace. */
static int body_of(const struct chain_entry *e, char *out, size_t *len)
{
	json_t *o = object_of(e);
	const size_t n = o ? json_dumpb(o, out, CHAIN_LINE_MAX, JSON_COMPACT) : 0;

	json_decref(o);
	if (!n)
		return -ENOMEM;
	if (n - 1 + SIG_LEN > CHAIN_LINE_MAX)
		return -E2BIG;
	*len = n - 1;
	return 0;
}

int chain_sign(struct chain_signer *s, struct chain_entry *e, char *out, size_t *len)
{
	uint8_t signature[CHAIN_SIGNATURE], next[CHAIN_KEY];
	size_t n;

	e->sequence = s->sequence + 1;
	memcpy(e->before, s->hash, sizeof(e->before));
	int ret = make_key(next, e->next);
	if (ret || (ret = public_of(s->secret, e->key)) || (ret = body_of(e, out, &n)) ||
	    (ret = sign(s->secret, out, n, signature))) {
		OPENSSL_cleanse(next, sizeof(next));
		return ret;
	}
	memcpy(out + n, sig_begin, sizeof(sig_begin) - 1);
	n += sizeof(sig_begin) - 1;
	chain_hex(signature, sizeof(signature), out + n);
	n += 2 * sizeof(signature);
	memcpy(out + n, sig_end, sizeof(sig_end) - 1);
	n += sizeof(sig_end) - 1;
	chain_hash(out, n, s->hash);
	out[n++] = '\n';
	s->sequence++;
	memcpy(s->secret, next, sizeof(next)); /* over the one that signed */
	OPENSSL_cleanse(next, sizeof(next));
	*len = n;
	return 0;
}

/* ---- reading ---- */

int chain_read_line(FILE *file, char out[static CHAIN_LINE_MAX + 1], size_t *len)
{
	size_t n = 0;
	int c = 0;

	/* A terabyte without a newline is made in a millisecond. */
	for (*len = 0; n < GARBAGE_MAX && (c = getc_unlocked(file)) != EOF && c != '\n'; n++)
		if (*len < CHAIN_LINE_MAX)
			out[(*len)++] = (char)c;
	out[*len] = 0;
	if (ferror(file))
		return -EIO;
	if (n > CHAIN_LINE_MAX)
		return -EBADMSG;
	if (c == '\n')
		return 1;
	return *len ? -ENODATA : 0;
}

static bool take_text(const json_t *value, char *out, size_t size)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= size)
		return false;
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	(void)strcpy(out, text); /* its length is checked */
	return true;
}

static bool take_hex(const json_t *value, uint8_t *out, size_t len)
{
	const char *text = json_string_value(value);

	return text && chain_unhex(text, out, len);
}

static bool take_list(const json_t *value, struct chain_entry *out)
{
	const size_t n = json_array_size(value); /* 0 of what is none */

	if (!json_is_array(value) || n > CHAIN_RECIPIENTS_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!take_text(json_array_get(value, i), out->recipients[i],
			       sizeof(out->recipients[i])))
			return false;
	out->n_recipients = (unsigned)n;
	return true;
}

static bool take_number(const json_t *value, int64_t *out)
{
	*out = json_integer_value(value); /* 0 of what is none */
	return json_is_integer(value);
}

static bool take_member(const json_t *value, const struct member *m, struct chain_entry *out)
{
	void *field = (char *)out + m->offset;

	switch (m->type) {
	case NUMBER:
		return take_number(value, field) &&
		       (*(int64_t *)field >= 0 || m->offset == AT(step_ns));
	case HASH:
		return take_hex(value, field, CHAIN_HASH);
	case LIST:
		return take_list(value, out);
	case NAME:
		return take_text(value, field, m->size) && chain_is_name(field);
	default:
		return take_text(value, field, m->size);
	}
}

static bool take_time(const json_t *value, uint64_t *out)
{
	const char *text = json_string_value(value);
	struct tm utc = {0};
	unsigned ns = 0;
	int end = 0;

	/* 20 characters to the dot, 9 digits, Z */
	if (!text || strlen(text) != 30)
		return false;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	if (!rest || rest != text + 19 || strspn(rest + 1, "0123456789") != 9 ||
	    sscanf(rest, ".%9uZ%n", &ns, &end) != 1 || end != 11)
		return false;
	const time_t seconds = timegm(&utc);
	*out = (uint64_t)seconds * SECOND_NS + ns;
	return seconds >= 0 && seconds < (time_t)(INT64_MAX / SECOND_NS);
}

static bool take_event(const json_t *value, enum chain_event *out)
{
	const char *text = json_string_value(value);

	for (unsigned i = 0; text && i < CHAIN_EVENTS; i++)
		if (!strcmp(text, events[i].name)) {
			*out = i;
			return true;
		}
	return false;
}

/* What is wrong, or NULL. */
static const char *take_all(const json_t *o, struct chain_entry *out)
{
	int64_t version;

	if (!take_number(json_object_get(o, "chain"), &version) || version != 1)
		return "chain";
	if (!take_number(json_object_get(o, "seq"), &out->sequence) || out->sequence < 1 ||
	    out->sequence > SEQUENCE_MAX)
		return "seq";
	if (!take_time(json_object_get(o, "time"), &out->time_ns))
		return "time";
	if (!take_hex(json_object_get(o, "prev"), out->before, CHAIN_HASH))
		return "prev";
	if (!take_hex(json_object_get(o, "next"), out->next, CHAIN_KEY))
		return "next";
	if (out->sequence == 1 && !take_hex(json_object_get(o, "key"), out->key, CHAIN_KEY))
		return "key";
	if (!take_event(json_object_get(o, "event"), &out->event))
		return "event";
	for (unsigned i = 0; i < MEMBERS; i++)
		if (events[out->event].members & 1u << i &&
		    !take_member(json_object_get(o, member[i].name), &member[i], out))
			return member[i].name;
	return NULL;
}

static bool ends_signed(const char *line, size_t len)
{
	return len > SIG_LEN && !memcmp(line + len - SIG_LEN, sig_begin, sizeof(sig_begin) - 1) &&
	       !memcmp(line + len - (sizeof(sig_end) - 1), sig_end, sizeof(sig_end) - 1);
}

int chain_parse(struct chain_entry *out, const char *line, size_t len, struct err *err)
{
	json_error_t where;

	if (!ends_signed(line, len))
		return err_set(err, -EBADMSG, "it does not end with a signature");
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(err, -EBADMSG, "it is no JSON object");
	}
	memset(out, 0, sizeof(*out));
	const char *wrong = take_all(o, out);
	json_decref(o);
	return wrong ? err_set(err, -EBADMSG, "\"%s\" is missing or wrong", wrong) : 0;
}

bool chain_is_signed(const char *line, size_t len, const uint8_t key[static CHAIN_KEY])
{
	uint8_t signature[CHAIN_SIGNATURE];
	const size_t body = len - SIG_LEN;

	if (!ends_signed(line, len) ||
	    !chain_read_hex(line + body + sizeof(sig_begin) - 1, signature, sizeof(signature)))
		return false;
	EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, CHAIN_KEY);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const bool ok = k && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, k) == 1 &&
			EVP_DigestVerify(context, signature, sizeof(signature),
					 (const uint8_t *)line, body) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(k);
	return ok;
}
