/*
 * replay CORPUS_DIR: gives a target each file of its corpus, from memory that ends where the file
 * does. What goes wrong ends the program, the file's name last on standard error.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void replay(const char *path, off_t len)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = malloc(len ? (size_t)len : 1);

	if (!f || !data || fread(data, 1, (size_t)len, f) != (size_t)len) {
		perror(path);
		exit(1);
	}
	(void)fclose(f);
	fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(data, (size_t)len);
	free(data);
}

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	unsigned n = 0;

	if (!dir) {
		fprintf(stderr, "replay: no folder %s\n", argc == 2 ? argv[1] : "given");
		return 2;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		char path[4096];
		struct stat st;
		(void)snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (!stat(path, &st) && S_ISREG(st.st_mode)) {
			replay(path, st.st_size);
			n++;
		}
	}
	(void)closedir(dir);
	printf("%u inputs of %s\n", n, argv[1]);
	return n ? 0 : 1;
}
