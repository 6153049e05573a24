#include "vxcap_json.h"

#include <stdlib.h>
#include <string.h>

json_t *vxcap_json_text(const char *text)
{
	json_t *value = json_string(text);

	if (value)
		return value;
	char *plain = strdup(text);
	for (char *p = plain; p && *p; p++)
		if ((unsigned char)*p > 126)
			*p = '?';
	value = json_string(plain ? plain : "");
	free(plain);
	return value;
}
