/*
 * kernels/module.c - finding backends. CUDA's is a module that is opened at run time, so that the one binary starts where
 * there is neither driver nor CUDA library; programs that link the backend itself (tests) use theirs.
 */
#define _GNU_SOURCE
#include "kernels/backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "libnightshift-cuda.so"

extern const struct ns_backend ns_backend_cuda __attribute__((weak));

/* The module lies beside the binary, or where NS_CUDA_MODULE says. */
static enum ns_status module_path(char *path, size_t size)
{
	const char *given = getenv("NS_CUDA_MODULE");
	ssize_t n;

	if (given) {
		snprintf(path, size, "%s", given);
		return NS_OK;
	}
	n = readlink("/proc/self/exe", path, size - sizeof MODULE - 1);
	if (n < 0)
		return ns_fail(NS_INTERNAL, "/proc/self/exe: cannot read the path of the binary");
	path[n] = 0;
	strcpy(strrchr(path, '/') + 1, MODULE);
	return NS_OK;
}

static enum ns_status open_module(const struct ns_backend **backend)
{
	char path[4096];
	void *module, *symbol;

	NS_TRY(module_path(path, sizeof path));
	if (access(path, R_OK))
		return ns_fail(NS_NO_DEVICE, "device cuda: this build has no CUDA backend (%s is not there)", path);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays open: its table is used until the process ends */
	symbol = module ? dlsym(module, "ns_backend_cuda") : NULL;
	if (!symbol)
		return ns_fail(NS_NO_DEVICE, "device cuda: %s cannot be opened: %s", path, dlerror());
	*backend = symbol;
	return NS_OK;
}

enum ns_status ns_backend_get(const struct ns_backend **backend, const char *name)
{
	static const struct ns_backend *const all[] = {
#ifndef NS_NO_CPU /* kernels alone, on a machine without oneDNN */
		&ns_backend_cpu,
#endif
		&ns_backend_ref};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		if (!strcmp(all[i]->name, name)) {
			*backend = all[i];
			return NS_OK;
		}
	if (strcmp(name, "cuda"))
		return ns_fail(NS_CONFIG, "unknown device '%s': expected auto, cuda, cpu or ref", name);
	if (&ns_backend_cuda) {
		*backend = &ns_backend_cuda;
		return NS_OK;
	}
	return open_module(backend);
}

const struct ns_backend *ns_backend_find(const char *name)
{
	const struct ns_backend *backend = NULL;

	return ns_backend_get(&backend, name) == NS_OK ? backend : NULL;
}
