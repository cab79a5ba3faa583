/* kernels/plan.c - asking a backend's implementations in turn, best first. */
#include "kernels/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The implementation in `force` for `kind`, its length in *len; NULL if there is none. */
static const char *forced(const char *force, const char *kind, size_t *len)
{
	size_t k = strlen(kind);

	while (force && *force) {
		*len = strcspn(force, ",");
		if (*len > k && !strncmp(force, kind, k) && force[k] == '/')
			return force;
		force += *len + (force[*len] == ',');
	}
	return NULL;
}

static enum ns_status make_with(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op, const struct ns_impl *impl)
{
	NS_TRY(impl->make(plan, dev, op));
	(*plan)->impl = impl;
	if (dev->chosen)
		dev->chosen(dev->chosen_user, op, impl->name);
	return NS_OK;
}

enum ns_status ns_plan_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_impl *const *i;
	size_t len = 0;
	const char *force = forced(dev->force, ns_op_name(op->kind), &len);

	NS_TRY(ns_op_check(op));
	for (i = dev->backend->impls; *i; i++) {
		enum ns_status status;

		if ((*i)->kind != op->kind)
			continue;
		if (force && (strlen((*i)->name) != len || strncmp((*i)->name, force, len)))
			continue;
		status = make_with(plan, dev, op, *i);
		if (status != NS_DECLINED)
			return status;
	}
	if (force)
		return ns_fail(NS_NO_DEVICE, "NS_FORCE: %.*s does not support this shape", (int)len, force);
	return ns_fail(NS_NO_DEVICE, "device %s: no implementation of %s supports this shape", dev->backend->name, ns_op_name(op->kind));
}

enum ns_status ns_plan_make_by(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op, const char *impl)
{
	const struct ns_impl *const *i;

	NS_TRY(ns_op_check(op));
	for (i = dev->backend->impls; *i; i++)
		if ((*i)->kind == op->kind && !strcmp((*i)->name, impl))
			return make_with(plan, dev, op, *i);
	return ns_fail(NS_INVALID, "device %s has no implementation %s", dev->backend->name, impl);
}

enum ns_status ns_plan_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	return plan->run(plan, args, queue);
}

void ns_plan_free(struct ns_plan *plan)
{
	if (plan)
		plan->free(plan);
}

enum ns_status ns_force_check(const struct ns_device *dev)
{
	const char *force = dev->force;

	while (force && *force) {
		size_t len = strcspn(force, ",");
		const struct ns_impl *const *i = dev->backend->impls;

		while (*i && (strlen((*i)->name) != len || strncmp((*i)->name, force, len)))
			i++;
		if (!*i)
			return ns_fail(NS_CONFIG, "NS_FORCE: device %s has no implementation '%.*s' (see nightshift doctor)", dev->backend->name,
				       (int)len, force);
		force += len + (force[len] == ',');
	}
	return NS_OK;
}

static void plain_free(struct ns_plan *plan)
{
	free(plan);
}

enum ns_status ns_plain_plan_make(struct ns_plan **plan, const struct ns_op *op, size_t workspace_bytes,
				  enum ns_status (*run)(const struct ns_plan *, const struct ns_args *, struct ns_queue *))
{
	struct ns_plain_plan *p = calloc(1, sizeof *p);

	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	p->base.workspace_bytes = workspace_bytes;
	p->base.run = run;
	p->base.free = plain_free;
	p->op = *op;
	*plan = &p->base;
	return NS_OK;
}

void ns_queue_drain(const struct ns_backend *backend, struct ns_queue *queue)
{
	char message[1024];

	snprintf(message, sizeof message, "%s", ns_message());
	if (queue && backend->wait(queue) != NS_OK)
		(void)ns_fail(NS_NO_DEVICE, "%s", message);
}
