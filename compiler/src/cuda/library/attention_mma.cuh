// Attention of 16-bit floats on tensor cores, in the manner of FlashAttention-2 (Dao 2023): scores and weights stay in registers.
//
// A block has `P::warps` warps with `P::row_groups` times 16 rows each, and tiles of the other side pass through two places in shared
// memory, one being filled while the other is used. Forward and for the gradient of the queries a row is a query; for the
// gradients of keys and values a row is a key.

constexpr float LOG2_E = 1.4426950408889634f;

template <class P>
constexpr int BLOCK_ROWS = P::warps * P::row_groups * 16;
template <class P>
constexpr int BLOCK_THREADS = P::warps * WARP;

// Where nothing but a positive factor makes products scores, they stay products, and the factor goes into the exponential.
template <class P>
constexpr bool IS_PLAIN = !P::biased && !P::alibi && !P::capped && P::scale > 0.0f;
template <class P>
constexpr float SCORE_UNIT = IS_PLAIN<P> ? P::scale : 1.0f;

// A rectangle of queries and keys: whether any is seen by its place, and whether all are seen for sure.
template <class P>
__device__ __forceinline__ bool meets(int query, int last_query, int key, int last_key) {
    return last_key >= first_key<P>(query) && key < end_of_keys<P>(last_query);
}

template <class P>
__device__ __forceinline__ bool sees_all(int query, int last_query, int key, int last_key) {
    return !P::documents && P::order == 0 && last_query < P::queries && key >= first_key<P>(last_query) &&
           last_key < end_of_keys<P>(query);
}

// Columns of a tile that a row of scores has by the places of query and key.
struct Columns {
    int begin, end;
};

template <class P>
__device__ __forceinline__ Columns columns(bool is_row, i64 begin, i64 end, int start) {
    return {static_cast<int>(begin) - start, is_row ? static_cast<int>(end) - start : 0};
}

// What becomes of a product of query and key: not seen, it is -inf.
template <class P, class Bias>
__device__ __forceinline__ float scored(
    const Further<Bias> &f, int batch, int head, int query, int key, float product, bool seen_by_place, bool all_seen
) {
    constexpr bool BY_PLACE = !P::documents && P::order == 0;
    if (!all_seen && !(BY_PLACE ? seen_by_place : sees<P>(f, batch, 0, query, key))) return -infinity();
    if constexpr (IS_PLAIN<P>) return product;
    else return score<P>(f, batch, head, 0, query, key, product);
}

// The queries of a block and of a warp in it, and the keys that any of them may meet.
template <class P>
struct QueryBlock {
    int head, batch, first, warp_row, warp_first, warp_last, begin, end;

    template <class Bias>
    __device__ __forceinline__ explicit QueryBlock(const Further<Bias> &f) {
        constexpr int ROWS = BLOCK_ROWS<P>, WARP_ROWS = P::row_groups * 16;
        const int blocks = (P::queries + ROWS - 1) / ROWS, place = blockIdx.x % blocks;
        head = blockIdx.x / blocks % P::heads;
        batch = blockIdx.x / blocks / P::heads;
        // Blocks with the most to do begin first.
        first = (P::causal ? blocks - 1 - place : place) * ROWS;
        warp_row = threadIdx.x / WARP * WARP_ROWS;
        warp_first = first + warp_row;
        warp_last = warp_first + WARP_ROWS - 1;
        const i64 last = first + ROWS < P::queries ? first + ROWS - 1 : P::queries - 1;
        const Span met = met_keys<P, BLOCK_THREADS<P>>(f, batch, 0, first, last);
        begin = static_cast<int>(met.begin);
        end = static_cast<int>(met.end);
    }
};

// Tiles of keys and values of one group in shared memory, in two places.
template <class P, class T>
struct KeyTiles {
    T *const tiles;
    const T *const k, *const v;
    const int batch, group;

    __device__ __forceinline__ T *keys(int turn) const { return tiles + turn * P::tile * (P::depth + P::width); }
    __device__ __forceinline__ T *values(int turn) const { return keys(turn) + P::tile * P::depth; }
    __device__ __forceinline__ void fill(int turn, int start) const {
        constexpr int THREADS = BLOCK_THREADS<P>;
        copy_rows<P::tile, P::depth, THREADS>(keys(turn), k, start, P::keys, [&](int s) { return P::k(batch, s, group); });
        copy_rows<P::tile, P::width, THREADS>(values(turn), v, start, P::keys, [&](int s) { return P::v(batch, s, group); });
    }
};

template <class P, class T, class Bias>
__device__ void attention_mma(const T *q, const T *k, const T *v, T *out, float *stats, const Further<Bias> &f) {
    constexpr int GROUPS = P::row_groups, TILE = P::tile, ROWS = BLOCK_ROWS<P>, THREADS = BLOCK_THREADS<P>;
    constexpr float UNIT = SCORE_UNIT<P> * LOG2_E;
    T *const queries = reinterpret_cast<T *>(launched_memory());
    const int lane = threadIdx.x % WARP;
    const QueryBlock<P> at(f);
    const KeyTiles<P, T> tiles{queries + ROWS * P::depth, k, v, at.batch, at.head / (P::heads / P::groups)};
    copy_rows<ROWS, P::depth, THREADS>(queries, q, at.first, P::queries, [&](int t) { return P::q(at.batch, t, at.head); });
    if (at.begin < at.end) tiles.fill(0, at.begin);
    copies_done();
    __syncthreads();
    Rows<T, GROUPS, P::depth, P::is_held> rows;
    rows.take(queries + at.warp_row * P::depth);

    float sums[GROUPS][P::width / 8][4] = {};
    float largest[2 * GROUPS], total[2 * GROUPS] = {};
#pragma unroll
    for (int half = 0; half < 2 * GROUPS; ++half) largest[half] = -infinity();
    int turn = 0;
#pragma unroll 1
    for (int start = at.begin; start < at.end; start += TILE, turn ^= 1) {
        if (start > at.begin) {
            copies_done();
            __syncthreads();
        }
        if (start + TILE < at.end) tiles.fill(turn ^ 1, start + TILE);
        if (!meets<P>(at.warp_first, at.warp_last, start, start + TILE - 1)) continue;
        float weights[GROUPS][TILE / 8][4] = {};
        rows.template multiply<TILE>(weights, tiles.keys(turn));
        const bool all_seen = sees_all<P>(at.warp_first, at.warp_last, start, start + TILE - 1);
        if (!IS_PLAIN<P> || !all_seen) {
#pragma unroll
            for (int half = 0; half < 2 * GROUPS; ++half) {
                const int query = at.warp_first + half * 8 + lane / 4;
                const Columns seen = columns<P>(query < P::queries, first_key<P>(query), end_of_keys<P>(query), start);
#pragma unroll
                for (int each = 0; each < TILE / 4; ++each) {
                    const int column = each / 2 * 8 + lane % 4 * 2 + each % 2;
                    float &x = weights[half / 2][each / 2][half % 2 * 2 + each % 2];
                    const bool by_place = column >= seen.begin && column < seen.end;
                    x = scored<P>(f, at.batch, at.head, query, start + column, x, by_place, all_seen);
                }
            }
        }
#pragma unroll
        for (int half = 0; half < 2 * GROUPS; ++half) {
            const int number = half / 2, part = half % 2 * 2;
            float top = largest[half];
#pragma unroll
            for (int block = 0; block < TILE / 8; ++block) {
                const float(&four)[4] = weights[number][block];
                top = fmaxf(top, fmaxf(four[part], four[part + 1]));
            }
            top = lanes_maximum<4>(top);
            // Before anything is seen, all powers are 0.
            const float level = top == -infinity() ? 0.0f : top * UNIT;
            const float shrink = power_of_two(largest[half] * UNIT - level);
            largest[half] = top;
            total[half] *= shrink;
#pragma unroll
            for (int block = 0; block < TILE / 8; ++block) {
#pragma unroll
                for (int side = part; side < part + 2; ++side) {
                    float &x = weights[number][block][side];
                    x = power_of_two(x * UNIT - level);
                    total[half] += x;
                }
            }
#pragma unroll
            for (int block = 0; block < P::width / 8; ++block) {
                sums[number][block][part] *= shrink;
                sums[number][block][part + 1] *= shrink;
            }
        }
        add_rows<T, P::width>(sums, weights, tiles.values(turn));
    }
#pragma unroll
    for (int half = 0; half < 2 * GROUPS; ++half) total[half] = lanes_sum<4>(total[half]);
    const auto factor = [&](int half) { return total[half] == 0.0f ? 0.0f : 1.0f / total[half]; };
    store_rows<T, P::width>(out, sums, at.warp_first, P::queries, [&](int t) { return P::out(at.batch, t, at.head); }, factor);
    if constexpr (P::has_stats) {
#pragma unroll
        for (int half = 0; half < 2 * GROUPS; ++half) {
            const int query = at.warp_first + half * 8 + lane / 4;
            if (lane % 4 != 0 || query >= P::queries) continue;
            stats[(static_cast<i64>(at.batch) * P::heads + at.head) * P::queries + query] =
                largest[half] * SCORE_UNIT<P> + logf(total[half]);
        }
    }
}
