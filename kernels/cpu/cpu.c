/* kernels/cpu/cpu.c - the table of the CPU backend: its own implementations first, then ref's. */
#include "kernels/cpu/cpu.h"
#include "kernels/ref/ref.h"

#include <stdio.h>
#include <stdlib.h>

static void cpu_close(struct ns_device *dev)
{
	if (dev)
		ns_dnnl_close(((struct ns_cpu *)dev)->dnnl);
	free(dev);
}

static enum ns_status cpu_open(struct ns_device **dev, int index)
{
	struct ns_cpu *cpu = calloc(1, sizeof *cpu);
	enum ns_status status;

	(void)index;
	if (!cpu)
		return ns_fail(NS_NO_MEMORY, "out of memory for a device");
	cpu->base.backend = &ns_backend_cpu;
	status = ns_dnnl_open(&cpu->dnnl);
	if (status != NS_OK)
		cpu_close(&cpu->base);
	else
		*dev = &cpu->base;
	return status;
}

/* the processor's name from /proc/cpuinfo */
static void cpu_name(char *name, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(name, size, "CPU");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
			snprintf(name, size, "%s", strchr(line, ':') + 2);
			name[strcspn(name, "\n")] = 0;
			break;
		}
	if (f)
		fclose(f);
}

static void cpu_describe(struct ns_device *dev, char *text, size_t size)
{
	char name[128], dnnl[96];

	(void)dev;
	cpu_name(name, sizeof name);
	ns_dnnl_describe(dnnl, sizeof dnnl);
	snprintf(text, size, "%s, %s", name, dnnl);
}

static const struct ns_impl *const impls[] = {&ns_cpu_augment,
					      &ns_cpu_stats,
					      &ns_cpu_conv,
					      &ns_cpu_conv_train,
					      &ns_cpu_conv_backward,
					      &ns_cpu_reorder,
					      &ns_cpu_pool,
					      &ns_cpu_pool_backward,
					      &ns_cpu_linear,
					      &ns_cpu_linear_backward,
					      &ns_cpu_xent,
					      &ns_cpu_head,
					      &ns_cpu_norm2,
					      &ns_cpu_sgd,
					      &ns_cpu_adamw,
					      &ns_cpu_ema,
					      &ns_cpu_ks,
					      &ns_cpu_mmd,
					      &ns_cpu_contract,
					      &ns_cpu_convolve,
					      &ns_cpu_winograd,
					      &ns_cpu_convolve_last,
					      &ns_cpu_depthwise,
					      &ns_cpu_convolve_then,
					      &ns_cpu_convolve_weights,
					      &ns_cpu_pointwise,
					      &ns_cpu_move,
					      &ns_cpu_reduce,
					      &ns_cpu_pool_nd,
					      &ns_cpu_along,
					      &ns_cpu_resample,
					      &ns_cpu_recurrent,
					      &ns_cpu_recurrent_back,
					      &ns_cpu_index,
					      NS_REF_ALL,
					      NULL};

const struct ns_backend ns_backend_cpu = {
	.name = "cpu",
	.impls = impls,
	.open = cpu_open,
	.close = cpu_close,
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
	.describe = cpu_describe,
	.host_memory = 1,
	.channels_last = 1,
	.flushes = 1,
};
