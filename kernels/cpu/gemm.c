/* kernels/cpu/gemm.c - contractions that are products of matrices, batch by batch. */
#include "kernels/cpu/gemm.h"

#include "kernels/cpu/cpu.h"

static int as_it_lies(int64_t row, int64_t column, int64_t rows, int64_t columns)
{
	return (columns == 1 || column == 1) && (rows == 1 || row >= columns);
}

static int takes(int64_t row, int64_t column, int64_t rows, int64_t columns)
{
	return as_it_lies(row, column, rows, columns) || as_it_lies(column, row, columns, rows);
}

static char turned(const struct ns_operand *m, int64_t rows, int64_t columns, int64_t *ld)
{
	if (as_it_lies(m->row, m->column, rows, columns)) {
		*ld = rows == 1 ? columns : m->row;
		return 'N';
	}
	*ld = columns == 1 ? rows : m->column;
	return 'T';
}

enum ns_status ns_gemm(int64_t m, int64_t n, int64_t k, struct ns_operand a, struct ns_operand b, float beta, float *c, int64_t ldc)
{
	int64_t lda, ldb;
	char ta = turned(&a, m, k, &lda), tb = turned(&b, k, n, &ldb);

	return ns_dnnl_sgemm(ta, tb, m, n, k, a.at, lda, b.at, ldb, beta, c, ldc);
}

/* The op as matrices: its last two axes are rows and columns, all before them a batch. */
struct product {
	int batch;
	int64_t m, n, k;
};

static int matrices_of(const struct ns_op_contract *v, struct product *p)
{
	int r = v->out.rank;

	if (v->dtype != NS_F32 || v->out_dtype != NS_F32 || r < 2 || v->sum.rank != 1)
		return 0;
	*p = (struct product){r - 2, v->out.dim[r - 2], v->out.dim[r - 1], v->sum.dim[0]};
	if (p->m < 1 || p->n < 1 || p->k < 1 || v->b_out[r - 2] || v->a_out[r - 1])
		return 0;
	return takes(v->a_out[r - 2], v->a_sum[0], p->m, p->k) && takes(v->b_sum[0], v->b_out[r - 1], p->k, p->n);
}

static enum ns_status contract_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	const struct ns_op_contract *v = &ns_cpu_op(plan)->u.contract;
	int64_t i, count = 1, at[NS_RANK] = {0}, a = 0, b = 0;
	struct product p;
	int d, r = v->out.rank;

	(void)queue;
	(void)matrices_of(v, &p);
	for (d = 0; d < p.batch; d++)
		count *= v->out.dim[d];
	for (i = 0; i < count; i++) {
		NS_TRY(ns_gemm(p.m, p.n, p.k, (struct ns_operand){(const float *)args->in[NS_CONTRACT_A] + a, v->a_out[r - 2], v->a_sum[0]},
			       (struct ns_operand){(const float *)args->in[NS_CONTRACT_B] + b, v->b_sum[0], v->b_out[r - 1]}, 0,
			       (float *)args->out[NS_CONTRACT_Y] + i * p.m * p.n, p.n));
		for (d = p.batch - 1; d >= 0; d--) {
			a += v->a_out[d];
			b += v->b_out[d];
			if (++at[d] < v->out.dim[d])
				break;
			a -= v->a_out[d] * v->out.dim[d];
			b -= v->b_out[d] * v->out.dim[d];
			at[d] = 0;
		}
	}
	return NS_OK;
}

static enum ns_status contract_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	struct product p;

	(void)dev;
	return matrices_of(&op->u.contract, &p) ? ns_plain_plan_make(plan, op, 0, contract_run) : NS_DECLINED;
}

const struct ns_impl ns_cpu_contract = {"contract/gemm", NS_OP_CONTRACT, contract_make};
