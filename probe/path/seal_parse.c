#include "path/seal_parse.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#define LINE_B64   64u
#define LINE_BYTES 48u

#define FILE_KEY_B64 22u

/* What is left to read. */
struct text {
	const uint8_t *p, *end;
};

struct line {
	const uint8_t *p;
	size_t len;
};

/* "-> ARGUMENT ARGUMENT ...", then a body in base64. */
struct raw_stanza {
	struct line args[2]; /* the first two */
	unsigned n_args;
	size_t body_len;
	uint8_t body[LINE_BYTES]; /* its first line; an X25519 body is no longer */
};

static bool line_is(struct line line, const char *text)
{
	return line.len == strlen(text) && memcmp(line.p, text, line.len) == 0;
}

static bool text_begins(const struct text *text, const char *prefix)
{
	const size_t len = strlen(prefix);

	return (size_t)(text->end - text->p) >= len && memcmp(text->p, prefix, len) == 0;
}

/* The next line without its newline, which must be there. */
static bool text_line(struct text *text, struct line *line)
{
	const uint8_t *newline = memchr(text->p, '\n', (size_t)(text->end - text->p));

	if (!newline)
		return false;
	*line = (struct line){text->p, (size_t)(newline - text->p)};
	text->p = newline + 1;
	return true;
}

/* A line that begins with the prefix; *line is what follows it. */
static bool text_line_after(struct text *text, const char *prefix, struct line *line)
{
	if (!text_begins(text, prefix))
		return false;
	text->p += strlen(prefix);
	return text_line(text, line);
}

/* Bytes of one line of base64 without padding, or -1. OpenSSL is lenient, age is not: bytes have
 * one spelling only (RFC 4648 section 3.5), so encoding them again must give the same text. */
static int base64_decode(struct line line, uint8_t out[static LINE_BYTES])
{
	uint8_t padded[LINE_B64], again[LINE_B64 + 1];

	if (line.len > LINE_B64 || line.len % 4 == 1)
		return -1;
	const int len = (int)line.len * 3 / 4;
	memset(padded, '=', sizeof(padded));
	memcpy(padded, line.p, line.len);
	if (EVP_DecodeBlock(out, padded, (int)(line.len + 3) / 4 * 4) < 0)
		return -1;
	(void)EVP_EncodeBlock(again, out, len);
	const bool is_canonical = memcmp(again, line.p, line.len) == 0;
	OPENSSL_cleanse(padded, sizeof(padded)); /* it can be a key: seal_file_key_parse */
	OPENSSL_cleanse(again, sizeof(again));
	return is_canonical ? len : -1;
}

/* One or more visible characters each, with one space between (age.md, ABNF). */
static bool read_arguments(struct raw_stanza *raw, struct line line)
{
	const uint8_t *p = line.p, *end = line.p + line.len;

	for (;;) {
		const uint8_t *start = p;
		while (p<end && * p> ' ' && *p < 0x7f)
			p++;
		if (p == start)
			return false;
		if (raw->n_args < 2)
			raw->args[raw->n_args] = (struct line){start, (size_t)(p - start)};
		raw->n_args++;
		if (p == end)
			return true;
		if (*p++ != ' ')
			return false;
	}
}

/* Lines of 64 characters, then a shorter one, which may be empty. */
static bool read_body(struct raw_stanza *raw, struct text *text)
{
	struct line line;
	uint8_t bytes[LINE_BYTES];

	do {
		const int n = text_line(text, &line) ? base64_decode(line, bytes) : -1;
		if (n < 0)
			return false;
		if (raw->body_len == 0)
			memcpy(raw->body, bytes, (size_t)n);
		raw->body_len += (size_t)n;
	} while (line.len == LINE_B64);
	return true;
}

static bool read_raw_stanza(struct text *text, struct raw_stanza *raw)
{
	struct line line;

	*raw = (struct raw_stanza){0};
	return text_line_after(text, "-> ", &line) && read_arguments(raw, line) &&
	       read_body(raw, text);
}

/* False when an X25519 stanza is not as age.md says; its body's length is checked before anything
 * is decrypted, against partitioning oracles. */
static bool read_x25519(const struct raw_stanza *raw, struct seal_stanza *out)
{
	uint8_t share[LINE_BYTES];

	*out = (struct seal_stanza){.kind = (const char *)raw->args[0].p,
				    .kind_len = raw->args[0].len,
				    .is_x25519 = line_is(raw->args[0], "X25519")};
	if (!out->is_x25519)
		return true;
	if (raw->n_args != 2 || base64_decode(raw->args[1], share) != SEAL_KEY ||
	    raw->body_len != sizeof(out->body))
		return false;
	memcpy(out->share, share, sizeof(out->share));
	memcpy(out->body, raw->body, sizeof(out->body));
	return true;
}

/* All stanzas. A passphrase must stand alone (age.md, "scrypt"). */
static bool read_stanzas(struct seal_head *head, struct text *text)
{
	struct raw_stanza raw;
	struct seal_stanza stanza;
	bool has_passphrase = false;

	head->stanzas = text->p;
	while (text_begins(text, "->")) {
		if (!read_raw_stanza(text, &raw) || !read_x25519(&raw, &stanza))
			return false;
		has_passphrase |= line_is(raw.args[0], "scrypt");
		head->n_stanzas++;
	}
	head->stanzas_end = text->p;
	return head->n_stanzas > 0 && !(has_passphrase && head->n_stanzas > 1);
}

static bool read_mac_and_salt(struct seal_head *head, struct text *text)
{
	struct line line;
	uint8_t mac[LINE_BYTES];

	if (!text_line_after(text, "--- ", &line) || base64_decode(line, mac) != SEAL_MAC ||
	    (size_t)(text->end - text->p) < SEAL_SALT)
		return false;
	memcpy(head->mac, mac, SEAL_MAC);
	memcpy(head->salt, text->p, SEAL_SALT);
	text->p += SEAL_SALT;
	return true;
}

int seal_parse_head(const uint8_t *buf, size_t len, struct seal_head *out, struct err *err)
{
	struct text text = {buf, buf + len};
	struct seal_head head = {0};

	if (!text_begins(&text, SEAL_VERSION))
		return err_set(err, -EBADMSG,
			       "not an age v1 file, which begins with age-encryption.org/v1");
	text.p += strlen(SEAL_VERSION);
	if (!read_stanzas(&head, &text) || !read_mac_and_salt(&head, &text))
		return err_set(err, -EBADMSG,
			       "the age header is cut or damaged before byte %zu; restore the file "
			       "from a copy",
			       (size_t)(text.p - buf));
	/* The MAC covers "---" and not the space behind it. */
	head.mac_len = (size_t)(head.stanzas_end - buf) + 3;
	head.len = (size_t)(text.p - buf);
	*out = head;
	return 0;
}

bool seal_parse_stanza(const uint8_t **p, const uint8_t *end, struct seal_stanza *out)
{
	struct text text = {*p, end};
	struct raw_stanza raw;

	if (!read_raw_stanza(&text, &raw) || !read_x25519(&raw, out))
		return false;
	*p = text.p;
	return true;
}

static int hex_decode(uint8_t out[static SEAL_FILE_KEY], const char *text)
{
	for (size_t i = 0; i < 2 * SEAL_FILE_KEY; i++) {
		const char c = text[i];
		const int digit = c >= '0' && c <= '9'   ? c - '0'
				  : c >= 'a' && c <= 'f' ? c - 'a' + 10
				  : c >= 'A' && c <= 'F' ? c - 'A' + 10
							 : -1;
		if (digit < 0)
			return -EINVAL;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | digit);
	}
	return 0;
}

int seal_file_key_parse(uint8_t out[static SEAL_FILE_KEY], const char *text, size_t len)
{
	uint8_t bytes[LINE_BYTES];

	if (len == 2 * SEAL_FILE_KEY)
		return hex_decode(out, text);
	if (len == FILE_KEY_B64 + 2 && !memcmp(text + FILE_KEY_B64, "==", 2))
		len = FILE_KEY_B64;
	if (len != FILE_KEY_B64 ||
	    base64_decode((struct line){(const uint8_t *)text, len}, bytes) != SEAL_FILE_KEY)
		return -EINVAL;
	memcpy(out, bytes, SEAL_FILE_KEY);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return 0;
}
