/*
 * kernels/cpu/dnnl.h - what nightshift uses of oneDNN, the same for 2.x and 3.x.
 *
 * Everything runs on the calling thread alone. Activations are NHWC; weights take oneDNN's own layout.
 */
#ifndef NS_CPU_DNNL_H
#define NS_CPU_DNNL_H

#include "kernels/backend.h"

struct ns_dnnl; /* engine and stream; belongs to one device */
struct ns_dnnl_conv;
struct ns_dnnl_reorder;

enum ns_dnnl_phase { NS_DNNL_INFER, NS_DNNL_FORWARD, NS_DNNL_BACKWARD_DATA, NS_DNNL_BACKWARD_WEIGHTS };

enum ns_status ns_dnnl_open(struct ns_dnnl **dnnl);
void ns_dnnl_close(struct ns_dnnl *dnnl);
/* "oneDNN 2.6.3, AVX-512 ..." */
void ns_dnnl_describe(char *text, size_t size);
/* whether the processor has bf16 instructions (oneDNN would emulate them) */
int ns_dnnl_has_bf16(void);

/*
 * INFER fuses bias, residual and ReLU by the flags of `conv`; the others are the bare convolution. NS_DECLINED
 * where oneDNN has nothing but its reference code.
 */
enum ns_status ns_dnnl_conv_make(struct ns_dnnl_conv **made, struct ns_dnnl *dnnl, const struct ns_op_conv *conv, enum ns_dnnl_phase phase);
void ns_dnnl_conv_free(struct ns_dnnl_conv *conv);
size_t ns_dnnl_conv_scratch(const struct ns_dnnl_conv *conv);
/* layout of the weights (or of their gradient); lives as long as `conv` */
struct ns_layout ns_dnnl_conv_layout(const struct ns_dnnl_conv *conv);
/* x and y stand for src and dst, or for their gradients, depending on the phase; bias may be NULL */
enum ns_status ns_dnnl_conv_run(const struct ns_dnnl_conv *conv, const void *x, const void *w, const void *bias, const void *y, void *scratch);

/* Row-major: c (m, n) = op(a) op(b) + beta c, ops 'N' or 'T' */
enum ns_status ns_dnnl_sgemm(char ta, char tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
			     float *c, int64_t ldc);

enum ns_status ns_dnnl_reorder_make(struct ns_dnnl_reorder **made, struct ns_dnnl *dnnl, const struct ns_op_reorder *reorder);
void ns_dnnl_reorder_free(struct ns_dnnl_reorder *reorder);
enum ns_status ns_dnnl_reorder_run(const struct ns_dnnl_reorder *reorder, const void *x, void *y);
/* whether both layouts store the same weights as the same bytes */
int ns_dnnl_layout_equal(const struct ns_layout *a, const struct ns_layout *b);

#endif
