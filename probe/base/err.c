#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/plain.h"

int err_set(struct err *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	(void)plain_text(err->text);
	return code;
}
