/* fuzz_block: pcapng blocks, one behind the other. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "path/block_read.h"

static void look_at(struct block_reader *reader, struct block *block)
{
	struct block_name name;
	volatile uint8_t last;
	size_t len = 0;

	if (block->kind == BLOCK_PACKET) {
		if (block->packet.cap_len)
			last = block->packet.data[block->packet.cap_len - 1];
		(void)last;
		(void)block_reader_linktype(reader, block->packet.interface);
		FUZZ_CHECK(block->packet.time_ns <= INT64_MAX);
	}
	if (block->kind == BLOCK_NAMES)
		while (block_names_next(reader, &block->names, &name))
			len += strlen(name.name);
	FUZZ_CHECK(len <= BLOCK_MAX * UINT64_C(65536));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct block_reader *reader;
	struct block block;
	struct err err;
	size_t used;
	int ret;

	FUZZ_CHECK(!block_reader_open(&reader, &err));
	while (!(ret = block_read(reader, data, size, &block, &used, &err))) {
		FUZZ_CHECK(used && used <= size);
		look_at(reader, &block);
		data += used;
		size -= used;
	}
	FUZZ_CHECK(ret != -EAGAIN || (used > size && used <= BLOCK_MAX));
	block_reader_close(reader);
	return 0;
}
