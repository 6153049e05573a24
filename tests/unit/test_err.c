#include "base/err.h"

#include <criterion/criterion.h>

Test(err, set_returns_the_code)
{
	struct err err;

	cr_assert_eq(err_set(&err, -7, "%s is %d", "this", 7), -7);
	cr_assert_str_eq(err.text, "this is 7");
}

Test(err, set_hides_control_characters)
{
	struct err err;

	(void)err_set(&err, -1, "a%s", "\033[2J\n\x7f\xc3\xa9");
	cr_assert_str_eq(err.text, "a?[2J??\xc3\xa9");
}
