/* fuzz_capfile: a capture file, pcap or pcapng. */
#include "fuzz.h"
#include "path/capfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capfile *file;
	struct capfile_packet p;
	struct err err;
	volatile uint8_t last;

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
