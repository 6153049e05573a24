#include "../../tools/vxcap_url.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct err err;

static void expect(const char *text, const char *user, const char *host, unsigned port,
		   const char *path)
{
	struct vxcap_url url;

	cr_assert(vxcap_url_is(text));
	cr_assert_eq(vxcap_url_parse(&url, text, &err), 0, "%s", err.text);
	cr_assert_str_eq(url.user, user);
	cr_assert_str_eq(url.host, host);
	cr_assert_eq(url.port, port);
	cr_assert_str_eq(url.path, path);
}

Test(vxcap_url, takes_every_part)
{
	expect("sftp://probe/var/lib", "", "probe", 0, "/var/lib");
	expect("sftp://me@probe:2222/", "me", "probe", 2222, "/");
	expect("sftp://[2001:db8::1]/a", "", "2001:db8::1", 0, "/a");
	expect("sftp://me@[::1]:65535/a:b@c", "me", "::1", 65535, "/a:b@c");
	expect("sftp://10.0.0.1:1//a%20b", "", "10.0.0.1", 1, "//a%20b");
}

Test(vxcap_url, refuses_what_is_none)
{
	static const char *const texts[] = {"sftp://",          "sftp://probe",
					    "sftp:///a",        "sftp://@probe/a",
					    "sftp://me@/a",     "sftp://probe:/a",
					    "sftp://probe:0/a", "sftp://probe:65536/a",
					    "sftp://p:2x/a",    "sftp://p:-2/a",
					    "sftp://[::1/a",    "sftp://[::1]2/a",
					    "sftp://[]/a",      "sftp://::1/a",
					    "sftp://p: 2/a",    "sftp://p:99999999999999999999/a"};
	char longest[400] = "sftp://";
	struct vxcap_url url;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(vxcap_url_parse(&url, texts[i], &err), -EINVAL, "%s", texts[i]);
	memset(longest + 7, 'a', 256);
	strcpy(longest + 7 + 256, "/a");
	cr_assert_eq(vxcap_url_parse(&url, longest, &err), -EINVAL);
	strcpy(longest + 7 + 255, "/a");
	cr_assert_eq(vxcap_url_parse(&url, longest, &err), 0);
	cr_assert_not(vxcap_url_is("/var/sftp://x"));
	cr_assert_not(vxcap_url_is("sftp:/x"));
}
