// Matrix products in tiles of 64 x 64 results a block, 4 x 4 a thread. An element is one chain over `k`.

constexpr int TILE_SIDE = 64;

// Sums `left(i, k) right(k, j)` over `k` in ascending order, of a tile. The operands are 0 outside their rows and columns; the flags
// say that neighbours along `k` lie side by side: neighbouring threads read along the axis that does.
template <bool LEFT_ALONG_DEPTH, bool RIGHT_ALONG_DEPTH, class Left, class Right, class Store>
__device__ __forceinline__ void tiled_product(u64 depth, Left left, Right right, Store store) {
    constexpr int SIDE = TILE_SIDE, DEPTH = 16, THREADS = 256;
    __shared__ float left_tile[DEPTH][SIDE + 4];
    __shared__ float right_tile[DEPTH][SIDE + 4];
    const int down = threadIdx.x / 16 * 4, across = threadIdx.x % 16 * 4;
    float sums[4][4] = {};
    for (u64 first = 0; first < depth; first += DEPTH) {
#pragma unroll
        for (int part = 0; part < SIDE * DEPTH / THREADS; ++part) {
            const int index = part * THREADS + threadIdx.x;
            const int row = LEFT_ALONG_DEPTH ? index / DEPTH : index % SIDE;
            const int left_depth = LEFT_ALONG_DEPTH ? index % DEPTH : index / SIDE;
            left_tile[left_depth][row] = first + left_depth < depth ? left(row, first + left_depth) : 0.0f;
            const int column = RIGHT_ALONG_DEPTH ? index / DEPTH : index % SIDE;
            const int right_depth = RIGHT_ALONG_DEPTH ? index % DEPTH : index / SIDE;
            right_tile[right_depth][column] = first + right_depth < depth ? right(first + right_depth, column) : 0.0f;
        }
        __syncthreads();
#pragma unroll
        for (int at = 0; at < DEPTH; ++at) {
            float a[4], b[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) a[i] = left_tile[at][down + i], b[i] = right_tile[at][across + i];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += a[i] * b[j];
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) store(down + i, across + j, sums[i][j]);
    }
}

// A product of strided matrices, a batch of them.
template <class P, class A, class B, class Out>
__device__ void matmul(const A *a, const B *b, Out *out) {
    const u64 across = (P::columns + TILE_SIDE - 1) / TILE_SIDE;
    const u64 first_row = blockIdx.x / across * TILE_SIDE, first_column = blockIdx.x % across * TILE_SIDE;
    a += P::a(blockIdx.y);
    b += P::b(blockIdx.y);
    out += P::out(blockIdx.y);
    tiled_product<P::a_along_depth, P::b_along_depth>(
        P::depth,
        [&](int row, u64 depth) {
            const u64 at = first_row + row;
            return at < P::rows ? float(a[at * P::a_row + depth * P::a_depth]) : 0.0f;
        },
        [&](u64 depth, int column) {
            const u64 at = first_column + column;
            return at < P::columns ? float(b[depth * P::b_depth + at * P::b_column]) : 0.0f;
        },
        [&](int row, int column, float sum) {
            const u64 down = first_row + row, at = first_column + column;
            if (down >= P::rows || at >= P::columns) return;
            Out *to = out + down * P::out_row + at * P::out_column;
            if constexpr (P::accumulate) *to = *to + sum;
            else *to = sum;
        }
    );
}
