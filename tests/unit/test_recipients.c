#include "config/recipients.h"

#include <criterion/criterion.h>
#include <string.h>

#include "config/config.h"

Test(recipients, equal_ones_count_once)
{
	const struct seal_recipient r[] = {{{1}}, {{2}}, {{1}}, {{2}}, {{3}}};

	cr_assert_eq(recipients_distinct(r, 0), 0);
	cr_assert_eq(recipients_distinct(r, 1), 1);
	cr_assert_eq(recipients_distinct(r, 4), 2);
	cr_assert_eq(recipients_distinct(r, 5), 3);
}

Test(recipients, one_alone_is_warned_of_also_when_given_twice)
{
	struct config config = {.n_recipients = 2};

	config.recipients[0] = config.recipients[1] = (struct seal_recipient){{7}};
	cr_assert_not_null(config_warning(&config));
	cr_assert_not_null(strstr(config_warning(&config), "one recipient"));
	config.recipients[1].x25519[0] = 8;
	cr_assert_null(config_warning(&config));
	config.n_recipients = 0; /* unencrypted: said elsewhere */
	cr_assert_null(config_warning(&config));
}
