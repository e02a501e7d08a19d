// Gradients of attention of 16-bit floats on tensor cores. Weights are made again from the scores and the kept statistics. One
// kernel adds up what queries get, another what keys and values get, each in a fixed order.

// Products made into weights, and gradients of the weights into those of the products without their factor. Of an element's
// query `numbers` tells the statistic and `dout . out`.
template <class P, bool HAS_GRADIENTS, bool ROWS_ARE_KEYS, int GROUPS, class Bias, class Numbers>
__device__ __forceinline__ void weigh(
    float (&products)[GROUPS][P::tile / 8][4], float (&dweights)[GROUPS][P::tile / 8][4], const Further<Bias> &f, int batch,
    int head, int first, int start, bool all_seen, Numbers numbers
) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int half = 0; half < 2 * GROUPS; ++half) {
        const int row = first + half * 8 + lane / 4;
        const Columns seen = ROWS_ARE_KEYS
            ? columns<P>(row < P::keys, first_query<P>(row), end_of_queries<P>(row), start)
            : columns<P>(row < P::queries, first_key<P>(row), end_of_keys<P>(row), start);
#pragma unroll
        for (int each = 0; each < P::tile / 4; ++each) {
            const int column = each / 2 * 8 + lane % 4 * 2 + each % 2, part = half % 2 * 2 + each % 2;
            const int query = ROWS_ARE_KEYS ? start + column : row, key = ROWS_ARE_KEYS ? row : start + column;
            float &product = products[half / 2][each / 2][part], &dweight = dweights[half / 2][each / 2][part];
            const bool by_place = column >= seen.begin && column < seen.end;
            const float x = scored<P>(f, batch, head, query, key, product, by_place, all_seen);
            const float2 of_query = numbers(half, column);
            // Of a query that sees nothing the statistic is -inf too.
            const bool is_seen = x != -infinity();
            const float weight = power_of_two(x * (SCORE_UNIT<P> * LOG2_E) - of_query.x * LOG2_E);
            product = is_seen ? weight : 0.0f;
            if constexpr (HAS_GRADIENTS) {
                float gradient = weight * (dweight - of_query.y);
                if constexpr (P::capped) gradient *= 1.0f - x * (1.0f / P::cap) * (x * (1.0f / P::cap));
                dweight = is_seen ? gradient : 0.0f;
            }
        }
    }
}

template <class P, class T, class Bias>
__device__ void attention_mma_gradient_queries(
    const T *q, const T *k, const T *v, const float *stats, const T *dout, const float *delta, T *dq, const Further<Bias> &f
) {
    constexpr int GROUPS = P::row_groups, TILE = P::tile, ROWS = BLOCK_ROWS<P>, THREADS = BLOCK_THREADS<P>;
    T *const queries = reinterpret_cast<T *>(launched_memory());
    T *const douts = queries + ROWS * P::depth;
    const int lane = threadIdx.x % WARP;
    const QueryBlock<P> at(f);
    const KeyTiles<P, T> tiles{douts + ROWS * P::width, k, v, at.batch, at.head / (P::heads / P::groups)};
    copy_rows<ROWS, P::depth, THREADS>(queries, q, at.first, P::queries, [&](int t) { return P::q(at.batch, t, at.head); });
    copy_rows<ROWS, P::width, THREADS>(douts, dout, at.first, P::queries, [&](int t) { return P::dout(at.batch, t, at.head); });
    if (at.begin < at.end) tiles.fill(0, at.begin);
    float2 numbers[2 * GROUPS];
#pragma unroll
    for (int half = 0; half < 2 * GROUPS; ++half) {
        const int query = at.warp_first + half * 8 + lane / 4;
        const i64 number = (static_cast<i64>(at.batch) * P::heads + at.head) * P::queries + query;
        numbers[half] = query < P::queries ? make_float2(stats[number], delta[number]) : make_float2(0.0f, 0.0f);
    }
    copies_done();
    __syncthreads();
    Rows<T, GROUPS, P::depth, P::is_held> rows;
    Rows<T, GROUPS, P::width, P::is_held> drows;
    rows.take(queries + at.warp_row * P::depth);
    drows.take(douts + at.warp_row * P::width);

    float sums[GROUPS][P::depth / 8][4] = {};
    int turn = 0;
#pragma unroll 1
    for (int start = at.begin; start < at.end; start += TILE, turn ^= 1) {
        if (start > at.begin) {
            copies_done();
            __syncthreads();
        }
        if (start + TILE < at.end) tiles.fill(turn ^ 1, start + TILE);
        if (!meets<P>(at.warp_first, at.warp_last, start, start + TILE - 1)) continue;
        float weights[GROUPS][TILE / 8][4] = {}, gradients[GROUPS][TILE / 8][4] = {};
        rows.template multiply<TILE>(weights, tiles.keys(turn));
        drows.template multiply<TILE>(gradients, tiles.values(turn));
        const bool all_seen = sees_all<P>(at.warp_first, at.warp_last, start, start + TILE - 1);
        weigh<P, true, false>(weights, gradients, f, at.batch, at.head, at.warp_first, start, all_seen, [&](int half, int) {
            return numbers[half];
        });
        add_rows<T, P::depth>(sums, gradients, tiles.keys(turn));
    }
    store_rows<T, P::depth>(
        dq, sums, at.warp_first, P::queries, [&](int t) { return P::dq(at.batch, t, at.head); }, [](int) { return P::scale; }
    );
}

// A block alone adds up all that its keys get, heads and queries in order.
template <class P, class T, class Dk, class Dv, class Bias>
__device__ void attention_mma_gradient_keys(
    const T *q, const T *k, const T *v, const float *stats, const T *dout, const float *delta, Dk *dk, Dv *dv,
    const Further<Bias> &f
) {
    constexpr int GROUPS = P::row_groups, TILE = P::tile, ROWS = BLOCK_ROWS<P>, THREADS = BLOCK_THREADS<P>;
    constexpr int MEMBERS = P::heads / P::groups;
    T *const keys = reinterpret_cast<T *>(launched_memory());
    T *const values = keys + ROWS * P::depth, *const tiles = values + ROWS * P::width;
    float *const numbers = reinterpret_cast<float *>(tiles + 2 * TILE * (P::depth + P::width));
    const int blocks = (P::keys + ROWS - 1) / ROWS;
    const int group = blockIdx.x / blocks % P::groups, batch = blockIdx.x / blocks / P::groups;
    const int first = blockIdx.x % blocks * ROWS;
    const int last = first + ROWS < P::keys ? first + ROWS - 1 : P::keys - 1;
    const int lane = threadIdx.x % WARP, warp_row = threadIdx.x / WARP * GROUPS * 16;
    const int warp_first = first + warp_row, warp_last = warp_first + GROUPS * 16 - 1;

    const Span met = met_queries<P, THREADS>(f, batch, first, last);
    const int begin = static_cast<int>(met.begin), end = static_cast<int>(met.end);
    const int steps = begin < end ? (end - begin + TILE - 1) / TILE : 0;

    const auto queries_of = [&](int turn) { return tiles + turn * TILE * (P::depth + P::width); };
    const auto douts_of = [&](int turn) { return queries_of(turn) + TILE * P::depth; };
    const auto fill = [&](int step) {
        const int head = group * MEMBERS + step / steps, turn = step % 2;
        const int start = begin + step % steps * TILE;
        copy_rows<TILE, P::depth, THREADS>(queries_of(turn), q, start, P::queries, [&](int t) { return P::q(batch, t, head); });
        copy_rows<TILE, P::width, THREADS>(douts_of(turn), dout, start, P::queries, [&](int t) { return P::dout(batch, t, head); });
        // Statistics of the tile's queries, then their `dout . out`.
        const int at = threadIdx.x % TILE;
        if (threadIdx.x >= 2 * TILE) return;
        const bool is_present = start + at < P::queries;
        const i64 number = (static_cast<i64>(batch) * P::heads + head) * P::queries + (is_present ? start + at : 0);
        copy_later<4>(numbers + turn * 2 * TILE + threadIdx.x, (threadIdx.x < TILE ? stats : delta) + number, is_present);
    };
    copy_rows<ROWS, P::depth, THREADS>(keys, k, first, P::keys, [&](int s) { return P::k(batch, s, group); });
    copy_rows<ROWS, P::width, THREADS>(values, v, first, P::keys, [&](int s) { return P::v(batch, s, group); });
    if (steps > 0) fill(0);
    copies_done();
    __syncthreads();
    Rows<T, GROUPS, P::depth, P::is_held> rows;
    Rows<T, GROUPS, P::width, P::is_held> value_rows;
    rows.take(keys + warp_row * P::depth);
    value_rows.take(values + warp_row * P::width);

    float key_sums[GROUPS][P::depth / 8][4] = {}, value_sums[GROUPS][P::width / 8][4] = {};
#pragma unroll 1
    for (int step = 0; step < steps * MEMBERS; ++step) {
        if (step > 0) {
            copies_done();
            __syncthreads();
        }
        if (step + 1 < steps * MEMBERS) fill(step + 1);
        const int head = group * MEMBERS + step / steps, turn = step % 2;
        const int start = begin + step % steps * TILE;
        if (!meets<P>(start, start + TILE - 1, warp_first, warp_last)) continue;
        float weights[GROUPS][TILE / 8][4] = {}, gradients[GROUPS][TILE / 8][4] = {};
        rows.template multiply<TILE>(weights, queries_of(turn));
        if constexpr (P::has_dk) value_rows.template multiply<TILE>(gradients, douts_of(turn));
        const bool all_seen = sees_all<P>(start, start + TILE - 1, warp_first, warp_last);
        const float *of_tile = numbers + turn * 2 * TILE;
        weigh<P, P::has_dk, true>(weights, gradients, f, batch, head, warp_first, start, all_seen, [&](int, int column) {
            return make_float2(of_tile[column], of_tile[TILE + column]);
        });
        if constexpr (P::has_dv) add_rows<T, P::width>(value_sums, weights, douts_of(turn));
        if constexpr (P::has_dk) add_rows<T, P::depth>(key_sums, gradients, queries_of(turn));
    }
    if constexpr (P::has_dk) {
        store_rows<T, P::depth>(
            dk, key_sums, warp_first, P::keys, [&](int s) { return P::dk(batch, s, group); }, [](int) { return P::scale; }
        );
    }
    if constexpr (P::has_dv) {
        store_rows<T, P::width>(
            dv, value_sums, warp_first, P::keys, [&](int s) { return P::dv(batch, s, group); }, [](int) { return 1.0f; }
        );
    }
}
