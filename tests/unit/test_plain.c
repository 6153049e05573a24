#include "base/plain.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *plain(const char *text)
{
	static char copy[64];

	return plain_text(strcpy(copy, text));
}

Test(plain, controls_become_question_marks)
{
	cr_assert_str_eq(plain("a\033[2J\n\x7f"), "a?[2J??");
	cr_assert_str_eq(plain("\x9b"
			       "2J"),
			 "?2J");
}

Test(plain, controls_of_utf_8_do_too)
{
	cr_assert_str_eq(plain("\xc2\x9b"
			       "2J"),
			 "\xc2?2J");
}

Test(plain, letters_stay)
{
	cr_assert_str_eq(plain("\xc3\x9c"
			       "ber \xe2\x82\xac \xc2\xa7"),
			 "\xc3\x9c"
			 "ber \xe2\x82\xac \xc2\xa7");
}
