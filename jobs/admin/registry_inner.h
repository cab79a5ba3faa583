/* jobs/admin/registry_inner.h - actions of the verb registry that have files of their own. Rank 0 alone; the registry is the first argument. */
#ifndef NS_ADMIN_REGISTRY_INNER_H
#define NS_ADMIN_REGISTRY_INNER_H

#include "jobs/admin/admin.h"

/* night: folder of a window's drift.json. What it says since the change is usual from now on: production is a release with those windows as its reference. */
enum ns_status ns_registry_accept(struct ns_job *job, const char *registry, const char *night, const char *unused);
/* prepared: folder of a preparation, or NULL. Production that names a model becomes a release of it. */
enum ns_status ns_registry_upgrade(struct ns_job *job, const char *registry, const char *prepared, const char *unused);
/* nights: folder of folders of nights, whose old results are removed but for those that a release or a trial needs. */
enum ns_status ns_registry_retain(struct ns_job *job, const char *registry, const char *nights, const char *unused);

#endif
