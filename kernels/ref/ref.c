/* kernels/ref/ref.c - the table of the reference backend. */
#include "kernels/ref/ref.h"

#include <stdio.h>
#include <stdlib.h>

static enum ns_status ref_open(struct ns_device **dev, int index)
{
	(void)index;
	*dev = calloc(1, sizeof **dev);
	if (!*dev)
		return ns_fail(NS_NO_MEMORY, "out of memory for a device");
	(*dev)->backend = &ns_backend_ref;
	return NS_OK;
}

static void ref_close(struct ns_device *dev)
{
	free(dev);
}

static void ref_describe(struct ns_device *dev, char *text, size_t size)
{
	(void)dev;
	snprintf(text, size, "ref (plain C, compiled by %s)", __VERSION__);
}

static const struct ns_impl *const impls[] = {NS_REF_ALL, NULL};

const struct ns_backend ns_backend_ref = {
	.name = "ref",
	.impls = impls,
	.open = ref_open,
	.close = ref_close,
	.mem_make = ns_hostmem_make,
	.mem_free = ns_hostmem_free,
	.host_make = ns_hostmem_make,
	.host_free = ns_hostmem_free,
	.queue_make = ns_host_queue_make,
	.queue_free = ns_host_queue_free,
	.put = ns_hostmem_copy,
	.get = ns_hostmem_copy,
	.after = ns_host_queue_after,
	.wait = ns_host_queue_wait,
	.describe = ref_describe,
	.host_memory = 1,
};
