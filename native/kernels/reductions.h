/*
 * Sums and maxima over the threads of a block, in a fixed order. All threads of the block call them together.
 */
#ifndef GOSSET_REDUCTIONS_H
#define GOSSET_REDUCTIONS_H

#include "platform.h"

namespace gosset {

/* Sum or maximum over the block, in every thread; `box` has room for 32 floats. */
GOSSET_DEVICE float block_sum(float v, float *box) {
    int thread = static_cast<int>(threadIdx.x);
    v = warp_sum(v);
    if (thread % kLanes == 0) {
        box[thread / kLanes] = v;
    }
    __syncthreads();
    v = thread % kLanes < static_cast<int>(blockDim.x) / kLanes ? box[thread % kLanes] : 0.0f;
    v = warp_sum(v);
    __syncthreads();
    return v;
}

GOSSET_DEVICE float block_max(float v, float *box) {
    int thread = static_cast<int>(threadIdx.x);
    v = warp_max(v);
    if (thread % kLanes == 0) {
        box[thread / kLanes] = v;
    }
    __syncthreads();
    v = thread % kLanes < static_cast<int>(blockDim.x) / kLanes ? box[thread % kLanes] : -INFINITY;
    v = warp_max(v);
    __syncthreads();
    return v;
}

}  // namespace gosset

#endif
