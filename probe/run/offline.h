/*
 * offline: 'vxprobe read': the engine over capture files, in one process. Main thread.
 */
#pragma once

#include "config/config.h"

/* 0 or -errno with a sentence. What could be read before an error is stored all the same. */
int offline_run(const struct config *config, struct err *err);
