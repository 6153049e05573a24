#include "doctor/facts_json.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_NUMBER, KIND_FLAG };

static const struct field {
	const char *name;
	enum kind kind;
	size_t offset, len;
} fields[] = {
#define FIELD(kind, name, len)   {#name, kind, offsetof(struct doctor_facts, name), len},
#define TEXT(name, len, meaning) FIELD(KIND_TEXT, name, len)
#define NUMBER(name, meaning)    FIELD(KIND_NUMBER, name, 0)
#define FLAG(name, meaning)      FIELD(KIND_FLAG, name, 0)
#include "doctor/facts.def"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef FIELD
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static json_t *to_json(const struct doctor_facts *facts, const struct field *field)
{
	const void *at = (const char *)facts + field->offset;
	const char *text = at;
	const int64_t *number = at;

	if (field->kind == KIND_TEXT)
		return *text ? json_string(text) : json_null();
	if (*number == FACT_UNKNOWN)
		return json_null();
	return field->kind == KIND_FLAG ? json_boolean(*number) : json_integer(*number);
}

json_t *facts_to_json(const struct doctor_facts *facts)
{
	json_t *object = json_object();

	for (size_t i = 0; i < N_FIELDS; i++)
		/* Text that is no UTF-8, as a folder's name may be, is unknown to the reader. */
		if (json_object_set_new(object, fields[i].name, to_json(facts, &fields[i])) &&
		    json_object_set_new(object, fields[i].name, json_null())) {
			json_decref(object);
			return NULL;
		}
	return object;
}

/* ---- back ---- */

static int from_json(struct doctor_facts *facts, const struct field *field, const json_t *value,
		     const char *path, struct err *err)
{
	static const char *const wanted[] = {[KIND_TEXT] = "a text",
					     [KIND_NUMBER] = "a number from 0 on",
					     [KIND_FLAG] = "true or false"};
	void *at = (char *)facts + field->offset;
	int64_t *number = at;

	if (!value || json_is_null(value))
		return 0;
	if (field->kind == KIND_TEXT && json_is_string(value)) {
		if (json_string_length(value) >= field->len)
			return err_set(err, -EINVAL, "%s: %s is longer than %zu bytes", path,
				       field->name, field->len - 1);
		memcpy(at, json_string_value(value), json_string_length(value) + 1);
		return 0;
	}
	if (field->kind == KIND_FLAG && json_is_boolean(value)) {
		*number = json_is_true(value);
		return 0;
	}
	if (field->kind == KIND_NUMBER && json_is_integer(value) &&
	    json_integer_value(value) >= 0) {
		*number = json_integer_value(value);
		return 0;
	}
	return err_set(err, -EINVAL, "%s: %s must be %s, or null where it is unknown", path,
		       field->name, wanted[field->kind]);
}

static int from_object(struct doctor_facts *out, const json_t *object, const char *path,
		       struct err *err)
{
	struct doctor_facts facts;
	int ret = 0;

	if (!json_is_object(object))
		return err_set(err, -EINVAL,
			       "%s has no object \"facts\": 'vxprobe doctor -i IFACE --json' "
			       "writes such a file",
			       path);
	facts_init(&facts);
	for (size_t i = 0; i < N_FIELDS && !ret; i++)
		ret = from_json(&facts, &fields[i], json_object_get(object, fields[i].name), path,
				err);
	if (!ret && !*facts.interface)
		ret = err_set(err, -EINVAL, "%s does not name its interface (facts.interface)",
			      path);
	if (!ret)
		*out = facts;
	return ret;
}

int facts_from_file(struct doctor_facts *facts, const char *path, struct err *err)
{
	json_error_t error;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (!root && error.line < 0)
		return err_set(err, -ENOENT, "cannot read %s", error.text);
	if (!root)
		return err_set(err, -EINVAL, "%s is not JSON: line %d: %s", path, error.line,
			       error.text);
	const int ret = from_object(facts, json_object_get(root, "facts"), path, err);
	json_decref(root);
	return ret;
}
