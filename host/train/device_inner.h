/* host/train/device_inner.h - steps on a device with memory of its own: for device.c and device_make.c alone. */
#ifndef NS_DEVICE_INNER_H
#define NS_DEVICE_INNER_H

#include "host/train/trainer_inner.h"

#define NS_DEVICE_SLOTS 2

struct ns_device_slot {
	char *here, *there; /* host, device: hyperparameters, then the first leaf's tail, then rows and labels of each virtual rank */
	char *back;	    /* host memory: tail of the sum, then the squared norm */
	struct ns_queue *done;
	struct ns_graph *leaves, *update; /* update NULL: one graph does both */
	int64_t step;			  /* -1: free */
};

struct ns_device_meeting { /* several ranks, through NCCL */
	struct ns_nccl *nccl;
	int first[64], width[64]; /* our own subtrees */
	int count;
	int *all_first, *all_count, total; /* every rank's subtrees: their first leaves, by rank; how many a rank has */
	int64_t slice;
	float *receive; /* device memory: our slice of each subtree's sum */
	struct ns_plan *fold;
};

struct ns_device_steps {
	struct ns_device_slot slots[NS_DEVICE_SLOTS];
	struct ns_queue *copies;
	size_t tail_at, rows_at, row_bytes, label_at, bytes; /* offsets in a slot; bytes of one virtual rank, and its labels' offset in them */
	int next;					     /* slot of the next step */
	struct ns_plan *fold;
	float *host;	/* several ranks without NCCL: leaves and their sum, pinned; else NULL */
	float **leaves; /* the same, one by one */
	struct ns_device_meeting meeting;
};

/* y += x by `plan`, rounded once: the same bits as the host's addition. */
enum ns_status ns_device_add(struct ns_trainer *r, struct ns_plan *plan, float *y, const float *x);

#endif
