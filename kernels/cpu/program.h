/* kernels/cpu/program.h - programs of formulas in f32 over a part of what they make: pointwise.c has them, and what follows a convolution is one. */
#ifndef NS_CPU_PROGRAM_H
#define NS_CPU_PROGRAM_H

#include "kernels/cpu/cpu.h"

struct ns_cpu_program {
	struct ns_op_pointwise v; /* axes that can be walked as one are one */
	int64_t count;		  /* elements of the result */
	size_t workspace_bytes;
};

/* Is all of it f32? */
int ns_cpu_takes_program(const struct ns_op_pointwise *v);
void ns_cpu_program_make(struct ns_cpu_program *p, const struct ns_op_pointwise *v);
/* Once before runs with this workspace. */
void ns_cpu_program_begin(const struct ns_cpu_program *p, void *workspace);
/* Elements [begin, end) of the result y. self: the input whose memory y is; -1: none is. */
void ns_cpu_program_run(const struct ns_cpu_program *p, const void *const *in, int self, float *y, int64_t begin, int64_t end, void *workspace);

#endif
