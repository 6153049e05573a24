#include "doctor/facts_json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct doctor_facts facts;
static struct err err;

static int read_back(const char *content)
{
	char path[] = "/tmp/doctor_json.XXXXXX";
	const int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	(void)close(fd);
	const int ret = facts_from_file(&facts, path, &err);
	(void)unlink(path);
	return ret;
}

static void expect_refused(const char *content, const char *part)
{
	facts_init(&facts);
	facts.mtu = 1234;
	cr_assert_eq(read_back(content), -EINVAL, "%s", content);
	cr_assert(strstr(err.text, part), "'%s' is not in '%s'", part, err.text);
	cr_assert_null(strchr(err.text, '\n'));
	cr_assert_eq(facts.mtu, 1234, "facts were touched");
}

Test(doctor_json, facts_survive_the_way_there_and_back)
{
	struct doctor_facts before;

	memset(&facts, 0, sizeof(facts));
	facts_init(&facts);
	(void)snprintf(facts.interface, sizeof(facts.interface), "eth1");
	(void)snprintf(facts.folder, sizeof(facts.folder), "/a \"b\"");
	facts.mtu = 9001;
	facts.memlock = INT64_MAX;
	facts.btf = 0;
	facts.carrier = 1;
	before = facts;
	json_t *root = json_pack("{s:o}", "facts", facts_to_json(&facts));
	char *text = json_dumps(root, 0);
	memset(&facts, 0, sizeof(facts));
	cr_assert_eq(read_back(text), 0, "%s", err.text);
	free(text);
	json_decref(root);
	cr_assert_str_eq(facts.interface, before.interface);
	cr_assert_str_eq(facts.folder, before.folder);
	cr_assert_str_eq(facts.driver, "");
	cr_assert_eq(facts.mtu, 9001);
	cr_assert_eq(facts.memlock, INT64_MAX);
	cr_assert_eq(facts.btf, 0);
	cr_assert_eq(facts.carrier, 1);
	cr_assert_eq(facts.queues, FACT_UNKNOWN);
}

Test(doctor_json, what_is_unknown_is_null_and_flags_are_booleans)
{
	facts_init(&facts);
	facts.btf = 1;
	json_t *object = facts_to_json(&facts);

	cr_assert(json_is_null(json_object_get(object, "mtu")));
	cr_assert(json_is_null(json_object_get(object, "driver")));
	cr_assert(json_is_true(json_object_get(object, "btf")));
	json_decref(object);
}

Test(doctor_json, a_folder_that_is_no_utf8_is_null)
{
	facts_init(&facts);
	(void)snprintf(facts.folder, sizeof(facts.folder), "/\xff");
	json_t *object = facts_to_json(&facts);

	cr_assert(json_is_null(json_object_get(object, "folder")));
	json_decref(object);
}

Test(doctor_json, missing_keys_are_unknown_and_later_ones_ignored)
{
	cr_assert_eq(read_back("{\"facts\": {\"interface\": \"eth1\", \"colour\": 7}}"), 0);
	cr_assert_eq(facts.mtu, FACT_UNKNOWN);
	cr_assert_str_eq(facts.kernel, "");
}

Test(doctor_json, bad_files_are_refused_in_one_sentence)
{
	expect_refused("", "not JSON");
	expect_refused("{\"facts\": {", "not JSON: line 1");
	expect_refused("[]", "no object \"facts\"");
	expect_refused("{\"facts\": 3}", "no object \"facts\"");
	expect_refused("{\"facts\": {}}", "interface");
	expect_refused("{\"facts\": {\"mtu\": \"9001\"}}", "mtu must be a number");
	expect_refused("{\"facts\": {\"mtu\": -5}}", "mtu must be a number");
	expect_refused("{\"facts\": {\"btf\": 1}}", "btf must be true or false");
	expect_refused("{\"facts\": {\"kernel\": 6}}", "kernel must be a text");
	expect_refused("{\"facts\": {\"interface\": \"0123456789abcdef\"}}", "longer than 15");
	expect_refused("{\"facts\": {\"mtu\": 1, \"mtu\": 2}}", "not JSON");
}

Test(doctor_json, a_file_that_is_not_there_is_named)
{
	cr_assert_eq(facts_from_file(&facts, "/nowhere.json", &err), -ENOENT);
	cr_assert(strstr(err.text, "/nowhere.json"), "%s", err.text);
}
