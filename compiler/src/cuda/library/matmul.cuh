// A tiled matrix product of strided matrices: 64 x 64 results a block, 4 x 4 a thread. An element is one chain over `k`.

template <class P>
__device__ void matmul(const float *a, const float *b, float *out) {
    constexpr int SIDE = 64, DEPTH = 16, THREADS = 256;
    __shared__ float left[DEPTH][SIDE + 4];
    __shared__ float right[DEPTH][SIDE + 4];
    const u64 tiles = (P::columns + SIDE - 1) / SIDE;
    const u64 first_row = blockIdx.x / tiles * SIDE, first_column = blockIdx.x % tiles * SIDE;
    a += P::a(blockIdx.y);
    b += P::b(blockIdx.y);
    out += P::out(blockIdx.y);
    const int down = threadIdx.x / 16 * 4, across = threadIdx.x % 16 * 4;
    float sums[4][4] = {};
    for (u64 first = 0; first < P::depth; first += DEPTH) {
#pragma unroll
        for (int part = 0; part < SIDE * DEPTH / THREADS; ++part) {
            const int index = part * THREADS + threadIdx.x;
            // Neighbouring threads read along the axis that lies side by side.
            const int row = P::a_along_depth ? index / DEPTH : index % SIDE;
            const int a_depth = P::a_along_depth ? index % DEPTH : index / SIDE;
            const bool has_a = first_row + row < P::rows && first + a_depth < P::depth;
            left[a_depth][row] = has_a ? a[(first_row + row) * P::a_row + (first + a_depth) * P::a_depth] : 0.0f;
            const int column = P::b_along_depth ? index / DEPTH : index % SIDE;
            const int b_depth = P::b_along_depth ? index % DEPTH : index / SIDE;
            const bool has_b = first_column + column < P::columns && first + b_depth < P::depth;
            right[b_depth][column] =
                has_b ? b[(first + b_depth) * P::b_depth + (first_column + column) * P::b_column] : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < DEPTH; ++depth) {
            float x[4], y[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) x[i] = left[depth][down + i], y[i] = right[depth][across + i];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += x[i] * y[j];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const u64 row = first_row + down + i, column = first_column + across + j;
            if (row < P::rows && column < P::columns) {
                float *to = out + row * P::out_row + column * P::out_column;
                if constexpr (P::accumulate) *to += sums[i][j];
                else *to = sums[i][j];
            }
        }
    }
}
