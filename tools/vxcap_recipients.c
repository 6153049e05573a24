#include "vxcap_recipients.h"

#include <errno.h>

#include "config/recipients.h"

int vxcap_recipients_option(struct vxcap_recipients *recipients, int option, const char *value,
			    struct err *err)
{
	if (option == 'R') /* -ENOENT would say that it is another option */
		return recipients_read(recipients->recipient, &recipients->n, value, err) ? -EIO
											  : 0;
	if (option != 'r')
		return -ENOENT;
	if (recipients->n == SEAL_RECIPIENTS_MAX)
		return err_set(err, -EINVAL, "more than %d recipients", SEAL_RECIPIENTS_MAX);
	const int ret = seal_recipient_parse(&recipients->recipient[recipients->n], value, err);
	recipients->n += !ret;
	return ret;
}
