#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/progress.h"

void log_line(const char *format, ...)
{
	char line[1280]; /* an err, and what it means */
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	progress_hide();
	(void)fprintf(stderr, "vxprobe: %s\n", line);
}
