/* kernels/hostmem.c - memory and queues of the backends that compute where the host does. */
#define _GNU_SOURCE
#include "kernels/backend.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct ns_queue {
	struct ns_device *dev;
};

#define HUGE ((size_t)2 << 20)

enum ns_status ns_hostmem_make(void **mem, struct ns_device *dev, size_t bytes)
{
	/* 2 MiB pages gain 2-4 % on whole training steps; below that they would only waste memory */
	size_t align = bytes >= HUGE ? HUGE : 64;
	size_t size = (bytes + align - 1) / align * align;

	(void)dev;
	*mem = NULL;
	if (size < bytes || posix_memalign(mem, align, size ? size : align))
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu bytes", bytes);
	if (align == HUGE)
		(void)madvise(*mem, size, MADV_HUGEPAGE);
	memset(*mem, 0, size ? size : align);
	return NS_OK;
}

void ns_hostmem_free(struct ns_device *dev, void *mem)
{
	(void)dev;
	free(mem);
}

enum ns_status ns_hostmem_copy(struct ns_queue *queue, void *dst, const void *src, size_t bytes)
{
	(void)queue;
	if (bytes) /* of nothing either may be NULL */
		memcpy(dst, src, bytes);
	return NS_OK;
}

enum ns_status ns_host_queue_make(struct ns_queue **queue, struct ns_device *dev)
{
	*queue = malloc(sizeof **queue);
	if (!*queue)
		return ns_fail(NS_NO_MEMORY, "out of memory for a queue");
	(*queue)->dev = dev;
	return NS_OK;
}

void ns_host_queue_free(struct ns_queue *queue)
{
	free(queue);
}

/* Work is done when it is submitted: two host queues are always in order. */
enum ns_status ns_host_queue_after(struct ns_queue *queue, struct ns_queue *other)
{
	(void)queue;
	(void)other;
	return NS_OK;
}

enum ns_status ns_host_queue_wait(struct ns_queue *queue)
{
	(void)queue;
	return NS_OK;
}
