/*
 * log: lines for the operator on standard error. Control and writer threads; never per packet.
 */
#pragma once

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
