/*
 * plain: names of files and sessions are anybody's, and would steer the terminal of who reads them.
 *
 * Any thread; pure.
 */
#pragma once

/* Puts '?' for each control character (ISO 6429), also for those of UTF-8. Returns text. */
char *plain_text(char *text);
