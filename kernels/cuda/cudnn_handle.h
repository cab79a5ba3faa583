/* kernels/cuda/cudnn_handle.h - what the two callers of cuDNN share: the device's handle, created with the first plan that needs one. */
#ifndef NS_CUDA_CUDNN_HANDLE_H
#define NS_CUDA_CUDNN_HANDLE_H

#include <cudnn.h>

#include "kernels/cuda/cuda.h"

enum ns_status ns_cudnn_handle(struct ns_cuda *dev, cudnnHandle_t *handle);

#endif
