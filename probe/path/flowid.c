#include "path/flowid.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "inner.h"
#include "wire.h"

struct flowid_hash {
	EVP_MD *sha1;
	EVP_MD_CTX *context;
};

static void put_u16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void set_in_order(struct flowid *out, uint8_t proto, const uint8_t *a, const uint8_t *b,
			 uint32_t len, bool has_ports, uint16_t port_a, uint16_t port_b)
{
	*out = (struct flowid){.len = 2 * len + (has_ports ? 8 : 4)};
	memcpy(out->byte + 2, a, len);
	memcpy(out->byte + 2 + len, b, len);
	uint8_t *const end = out->byte + 2 + 2 * len;
	end[0] = proto;
	if (!has_ports)
		return;
	put_u16(end + 2, port_a);
	put_u16(end + 4, port_b);
}

void flowid_set(struct flowid *out, uint8_t proto, const uint8_t *a, const uint8_t *b, uint32_t len,
		bool has_ports, uint16_t port_a, uint16_t port_b)
{
	const int order = memcmp(a, b, len);

	if (order > 0 || (order == 0 && port_a > port_b))
		set_in_order(out, proto, b, a, len, has_ports, port_b, port_a);
	else
		set_in_order(out, proto, a, b, len, has_ports, port_a, port_b);
}

bool flowid_addresses(const uint8_t *data, const struct dissected *d, const uint8_t **from,
		      const uint8_t **to, uint32_t *len)
{
	if (!d->key.version)
		return false;
	*len = d->key.version == 4 ? 4 : 16;
	*from = data + d->l3 + (*len == 4 ? 12 : 8);
	*to = *from + *len;
	return true;
}

/* The type that answers this one; -1: none does. */
static int icmp_counterpart(uint8_t version, uint8_t type)
{
	static const uint8_t pairs4[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}, {10, 9}};
	static const uint8_t pairs6[][2] = {{128, 129}, {133, 134}, {135, 136},
					    {130, 131}, {139, 140}, {144, 145}};
	const uint8_t(*pair)[2] = version == 4 ? pairs4 : pairs6;
	const unsigned n = version == 4 ? 5 : 6;

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < 2; k++)
			if (pair[i][k] == type)
				return pair[i][1 - k];
	return -1;
}

static bool is_icmp(uint8_t version, uint8_t proto)
{
	return proto == (version == 4 ? INNER_ICMP : INNER_ICMPV6);
}

bool flowid_of(const uint8_t *data, uint32_t len, const struct dissected *d, struct flowid *out)
{
	const uint32_t end = dissect_end(d, len);
	const uint8_t proto = d->key.proto, *from, *to;
	uint32_t address_len;

	if (!d->l4 || !flowid_addresses(data, d, &from, &to, &address_len))
		return false;
	if (flowid_has_ports(proto)) {
		if (end < d->l4 + 4u)
			return false;
		flowid_set(out, proto, from, to, address_len, true, wire_u16(data + d->l4),
			   wire_u16(data + d->l4 + 2));
		return true;
	}
	if (!is_icmp(d->key.version, proto)) {
		flowid_set(out, proto, from, to, address_len, false, 0, 0);
		return true;
	}
	if (end < d->l4 + 2u)
		return false;
	const uint8_t type = data[d->l4];
	const int counterpart = icmp_counterpart(d->key.version, type);
	if (counterpart < 0)
		set_in_order(out, proto, from, to, address_len, true, type, data[d->l4 + 1]);
	else
		flowid_set(out, proto, from, to, address_len, true, type, (uint16_t)counterpart);
	return true;
}

int flowid_hash_open(struct flowid_hash **out, struct err *err)
{
	struct flowid_hash *hash = calloc(1, sizeof(*hash));

	if (!hash)
		return err_set(err, -ENOMEM, "out of memory");
	hash->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	hash->context = EVP_MD_CTX_new();
	if (!hash->sha1 || !hash->context ||
	    EVP_DigestInit_ex(hash->context, hash->sha1, NULL) != 1) {
		flowid_hash_close(hash);
		return err_set(err, -EIO,
			       "OpenSSL has no SHA-1, by which flows are indexed: allow it in "
			       "openssl.cnf");
	}
	*out = hash;
	return 0;
}

void flowid_hash_close(struct flowid_hash *hash)
{
	if (!hash)
		return;
	EVP_MD_CTX_free(hash->context);
	EVP_MD_free(hash->sha1);
	free(hash);
}

int flowid_sha1(struct flowid_hash *hash, const uint8_t *bytes, uint32_t len,
		uint8_t out[static FLOWID_SHA1])
{
	/* Without a type the context begins anew: 170 ns in all, a fetch would be ten times that.
	 */
	return EVP_DigestInit_ex(hash->context, NULL, NULL) == 1 &&
			       EVP_DigestUpdate(hash->context, bytes, len) == 1 &&
			       EVP_DigestFinal_ex(hash->context, out, NULL) == 1
		       ? 0
		       : -EIO;
}

uint64_t flowid_key(const uint8_t sha1[static FLOWID_SHA1])
{
	uint64_t key = 0;

	for (unsigned i = 8; i-- > 0;)
		key = key << 8 | sha1[i];
	return key;
}
