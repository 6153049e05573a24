/* fuzz_capfile: a capture file, pcap or pcapng; no bytes are no file, a folder or an empty one. */
#include "fuzz.h"
#include "path/capfile.h"

static void open_none(void)
{
	static const char *const paths[] = {"/nonexistent", "/", "/dev/null"};
	struct capfile *file;
	struct err err;

	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		FUZZ_CHECK(capfile_open(&file, paths[i], &err) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capfile *file;
	struct capfile_packet p;
	struct err err;
	volatile uint8_t last;

	if (!size)
		open_none();
	if (capfile_open(&file, fuzz_file(data, size), &err))
		return 0;
	while (!capfile_next(file, &p, &err))
		if (p.cap_len)
			last = p.data[p.cap_len - 1];
	(void)last;
	FUZZ_CHECK(capfile_offset(file) <= size);
	capfile_close(file);
	return 0;
}
