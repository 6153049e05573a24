#define _GNU_SOURCE /* tdestroy */
#include "vxcap_output.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "version.h"

/* 1 MiB: a write per hundreds of packets. */
#define BUFFER_LEN (1u << 20)
/* Longest interface block: its texts, and numbers, codes and lengths around them. */
#define DEFINITION_MAX (sizeof(struct block_interface) + 64u)
/* Names in one block, and room for the longest that many. */
#define NAMES_MAX       64u
#define NAMES_BLOCK_MAX (NAMES_MAX * (BLOCK_NAME_MAX + 32u))

struct vxcap_name {
	const struct vxcap_interface *of; /* NULL: notes that a block with it was written */
	struct address address;
	struct vxcap_name *next; /* of the same interface */
	char text[];
};

struct vxcap_output {
	const char *path; /* borrowed */
	int fd;
	void *interfaces; /* tree of struct vxcap_interface */
	void *names;      /* tree of struct vxcap_name */
	uint32_t n_interfaces;
	uint8_t *buffer;
	size_t len, cap;
};

int vxcap_output_open(struct vxcap_output **out, struct err *err)
{
	struct vxcap_output *output = calloc(1, sizeof(*output));

	if (!output)
		return err_set(err, -ENOMEM, "out of memory");
	output->fd = -1;
	if (array_grow((void **)&output->buffer, &output->cap, BUFFER_LEN, 1)) {
		vxcap_output_close(output);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = output;
	return 0;
}

void vxcap_output_close(struct vxcap_output *output)
{
	if (!output)
		return;
	if (output->fd >= 0 && output->fd != STDOUT_FILENO)
		close(output->fd);
	tdestroy(output->interfaces, free);
	tdestroy(output->names, free);
	free(output->buffer);
	free(output);
}

/* Comments do not count: they say how good the clock was when a file was begun, which would make an
 * interface of each file. The first one stays. */
static int compare_interfaces(const void *left, const void *right)
{
	const struct block_interface *a = &((const struct vxcap_interface *)left)->definition;
	const struct block_interface *b = &((const struct vxcap_interface *)right)->definition;
	const int by_name = strcmp(a->name, b->name);
	const int by_description = strcmp(a->description, b->description);
	const int by_filter = strcmp(a->filter, b->filter);

	if (by_name || by_description || by_filter)
		return by_name ? by_name : by_description ? by_description : by_filter;
	return (a->linktype > b->linktype) - (a->linktype < b->linktype);
}

struct vxcap_interface *vxcap_output_interface(struct vxcap_output *output,
					       const struct block_interface *definition)
{
	struct vxcap_interface *wanted = malloc(sizeof(*wanted));

	if (!wanted)
		return NULL;
	wanted->definition = *definition;
	wanted->definition.snaplen = BLOCK_SNAPLEN; /* libpcap wants all to be the same */
	wanted->number = UINT32_MAX;
	wanted->names = NULL;
	wanted->names_end = &wanted->names;
	struct vxcap_interface **found = tsearch(wanted, &output->interfaces, compare_interfaces);
	if (!found || *found != wanted)
		free(wanted);
	return found ? *found : NULL;
}

static int compare_names(const void *left, const void *right)
{
	const struct vxcap_name *a = left, *b = right;
	const int by_address = memcmp(&a->address, &b->address, sizeof(a->address));

	if (a->of != b->of)
		return (uintptr_t)a->of < (uintptr_t)b->of ? -1 : 1;
	return by_address ? by_address : strcmp(a->text, b->text);
}

/* 1: *out is new; 0: it is known already; -ENOMEM. */
static int know_name(struct vxcap_output *output, const struct vxcap_interface *of,
		     const struct address *address, const char *text, struct vxcap_name **out)
{
	const size_t len = strlen(text) + 1;
	struct vxcap_name *name = malloc(sizeof(*name) + len);

	if (!name)
		return -ENOMEM;
	*name = (struct vxcap_name){.of = of, .address = *address};
	memcpy(name->text, text, len);
	struct vxcap_name **found = tsearch(name, &output->names, compare_names);
	if (!found || *found != name)
		free(name);
	else
		*out = name;
	return !found ? -ENOMEM : *found == name;
}

int vxcap_output_name(struct vxcap_output *output, struct vxcap_interface *interface,
		      const struct block_name *name, struct err *err)
{
	struct vxcap_name *added;

	if (strlen(name->name) > BLOCK_NAME_MAX) /* none of ours, nor DNS's */
		return 0;
	const int ret = know_name(output, interface, &name->address, name->name, &added);
	if (ret < 0)
		return err_set(err, ret, "out of memory");
	if (ret) {
		*interface->names_end = added;
		interface->names_end = &added->next;
	}
	return 0;
}

int vxcap_output_flush(struct vxcap_output *output, struct err *err)
{
	size_t done = 0;

	while (done < output->len) {
		const ssize_t n = write(output->fd, output->buffer + done, output->len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -errno, "cannot write %s: %s", output->path,
				       strerror(errno));
		done += (size_t)n;
	}
	output->len = 0;
	return 0;
}

/* Makes room for len bytes behind output->len. */
static int reserve(struct vxcap_output *output, size_t len, struct err *err)
{
	if (output->cap - output->len >= len)
		return 0;
	const int ret = vxcap_output_flush(output, err);
	if (ret)
		return ret;
	if (array_grow((void **)&output->buffer, &output->cap, len, 1))
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

int vxcap_output_start(struct vxcap_output *output, const char *path, struct err *err)
{
	const bool is_stdout = !strcmp(path, "-");

	output->path = is_stdout ? "standard output" : path;
	/* 0600: what was sealed is in the clear now. */
	output->fd = is_stdout ? STDOUT_FILENO
			       : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (output->fd < 0)
		return err_set(err, -errno, "cannot create %s: %s", path, strerror(errno));
	output->len = block_section(output->buffer, output->cap, "vxcap " VERSION, NULL);
	return 0;
}

static int write_interface(struct vxcap_output *output, struct vxcap_interface *interface,
			   struct err *err)
{
	const int ret = reserve(output, DEFINITION_MAX, err);

	if (ret)
		return ret;
	output->len += block_interface(output->buffer + output->len, output->cap - output->len,
				       &interface->definition);
	interface->number = output->n_interfaces++;
	return 0;
}

/* Writes the first of an interface's names, NAMES_MAX at most. */
static int write_names(struct vxcap_output *output, struct vxcap_interface *interface,
		       struct err *err)
{
	struct block_name names[NAMES_MAX];
	struct vxcap_name *name = interface->names, *ignored;
	unsigned n = 0;
	int ret = reserve(output, NAMES_BLOCK_MAX, err);

	if (ret)
		return ret;
	for (; name && n < NAMES_MAX; name = name->next) {
		ret = know_name(output, NULL, &name->address, name->text, &ignored);
		if (ret < 0)
			return err_set(err, ret, "out of memory");
		if (ret)
			names[n++] = (struct block_name){name->address, name->text};
	}
	interface->names = name;
	if (!name)
		interface->names_end = &interface->names;
	if (n)
		output->len += block_names(output->buffer + output->len, output->cap - output->len,
					   names, n);
	return 0;
}

int vxcap_output_packet(struct vxcap_output *output, struct vxcap_interface *interface,
			const struct block_packet *packet, struct err *err)
{
	struct block_packet copy = *packet;
	int ret = interface->number == UINT32_MAX ? write_interface(output, interface, err) : 0;

	while (!ret && interface->names)
		ret = write_names(output, interface, err);
	if (!ret)
		ret = reserve(output, block_packet_len(packet->cap_len), err);
	if (ret)
		return ret;
	copy.interface = interface->number;
	if (copy.id == UINT64_MAX)
		copy.id = 0;
	if (copy.queue == UINT32_MAX)
		copy.queue = 0;
	uint8_t *const block = output->buffer + output->len;
	memcpy(block + BLOCK_PACKET_HEAD, packet->data, packet->cap_len);
	output->len += block_packet_frame(block, &copy);
	return 0;
}

int vxcap_output_finish(struct vxcap_output *output, struct err *err)
{
	const int fd = output->fd;
	const int ret = vxcap_output_flush(output, err);

	output->fd = -1;
	if (close(fd) && !ret)
		return err_set(err, -errno, "cannot write %s: %s", output->path, strerror(errno));
	return ret;
}
