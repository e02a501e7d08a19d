// The largest elements of rows, elements by id, and matrix products of rows with the matrices that their ids name.

// A thread a row, so that its places are kept in order while the elements pass by. A comparison with what is not a number is
// never true: even then the places are places.
template <class P, class X>
__device__ void top_k(const X *x, int *out) {
    const u64 row = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (row >= P::rows) return;
    const X *from = x + P::x(row);
    int *places = out + row * P::count;
    int known = 0;
    for (int place = 0; place < P::width; ++place) {
        const float value = from[place];
        int before = 0;
        while (before < known && !(value > from[places[before]])) ++before;
        if (before == P::count) continue;
        if (known < P::count) ++known;
        for (int at = known - 1; at > before; --at) places[at] = places[at - 1];
        places[before] = place;
    }
}

// A thread an id.
template <class P, class X, class Out>
__device__ void pick(const X *x, const int *ids, Out *out, int *fault, int step) {
    const u64 index = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (index >= P::rows * P::count) return;
    const int id = ids[index];
    if (id < 0 || id >= P::width) {
        report(fault, step, id);
        return;
    }
    out[index] = float(x[P::x(index / P::count) + id]);
}

// A thread a sum, which looks at all ids of its row in order.
template <class P, class Updates, class Out>
__device__ void place(const int *ids, const Updates *updates, Out *out, int *fault, int step) {
    const u64 index = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    const u64 row = index / P::width, column = index % P::width;
    if (row >= P::rows) return;
    const Updates *from = updates + P::updates(row);
    float sum = 0.0f;
    for (u64 at = 0; at < P::count; ++at) {
        const int id = ids[row * P::count + at];
        if (id == column) sum += from[at];
        if (column == 0 && (id < 0 || id >= P::width)) report(fault, step, id);
    }
    out[P::out(row) + column] = sum;
}

// The numbers of all rows grouped by id, ascending within a group: a block a group, a run of neighbouring rows a thread. Group
// `g` lies from `starts[g]` to `starts[g + 1]`. A row whose id is no group's stands nowhere.
template <class P>
__device__ void group_rows(const int *ids, u32 *rows, u32 *starts, int *fault, int step) {
    __shared__ u32 lower[P::threads];
    __shared__ u32 equal[P::threads];
    const int group = blockIdx.x;
    const u64 first = threadIdx.x * static_cast<u64>(P::rows_a_thread);
    const u64 end = first + P::rows_a_thread < P::count ? first + P::rows_a_thread : P::count;
    u32 below = 0, same = 0;
    for (u64 row = first; row < end; ++row) {
        const int id = ids[row];
        below += id >= 0 && id < group;
        same += id == group;
        if (group == 0 && (id < 0 || id >= P::groups)) report(fault, step, id);
    }
    lower[threadIdx.x] = below;
    equal[threadIdx.x] = same;
    __syncthreads();
    u32 place = 0;
    for (int thread = 0; thread < P::threads; ++thread) {
        place += lower[thread];
        if (thread < threadIdx.x) place += equal[thread];
    }
    for (u64 row = first; row < end; ++row) {
        if (ids[row] == group) rows[place++] = static_cast<u32>(row);
    }
    // The last thread has come to the group's end.
    if (threadIdx.x == P::threads - 1) starts[group + 1] = place;
    if (threadIdx.x == 0 && group == 0) starts[0] = 0;
}

// A block a tile of 64 rows of a group and 64 columns. How many tiles a group has follows from the ids: the grid has as many
// as there can be, and those behind the last have nothing to do.
template <class P, class X, class Matrices, class Out>
__device__ void routed_matmul(const X *x, const Matrices *matrices, const u32 *rows, const u32 *starts, Out *out) {
    const u64 across = (P::columns + TILE_SIDE - 1) / TILE_SIDE;
    const u64 first_column = blockIdx.x % across * TILE_SIDE;
    u64 tile = blockIdx.x / across;
    int group = 0;
    for (;; ++group) {
        if (group == P::groups) return;
        const u64 tiles = (starts[group + 1] - starts[group] + TILE_SIDE - 1) / TILE_SIDE;
        if (tile < tiles) break;
        tile -= tiles;
    }
    const u64 first = starts[group] + tile * TILE_SIDE, end = starts[group + 1];
    matrices += group * static_cast<u64>(P::matrix);
    tiled_product<true, P::along_depth>(
        P::depth,
        [&](int row, u64 depth) {
            return first + row < end ? float(x[P::x(rows[first + row] / P::ids_a_row) + depth]) : 0.0f;
        },
        [&](u64 depth, int column) {
            const u64 at = first_column + column;
            return at < P::columns ? float(matrices[depth * P::matrix_row + at * P::matrix_column]) : 0.0f;
        },
        [&](int row, int column, float sum) {
            const u64 at = first_column + column;
            if (first + row < end && at < P::columns) out[P::out(rows[first + row]) + at] = sum;
        }
    );
}

// A block 64 x 64 elements of a group's matrix: outer products of the group's rows, added up in ascending order.
template <class P, class A, class B, class Out>
__device__ void routed_outer(const A *a, const B *b, const u32 *rows, const u32 *starts, Out *out) {
    const u64 across = (P::columns + TILE_SIDE - 1) / TILE_SIDE;
    const u64 first_row = blockIdx.x / across * TILE_SIDE, first_column = blockIdx.x % across * TILE_SIDE;
    const u64 first = starts[blockIdx.y], count = starts[blockIdx.y + 1] - first;
    out += blockIdx.y * static_cast<u64>(P::matrix);
    tiled_product<false, false>(
        count,
        [&](int row, u64 depth) {
            const u64 at = first_row + row;
            return at < P::rows ? float(a[P::a(rows[first + depth] / P::ids_a_row) + at]) : 0.0f;
        },
        [&](u64 depth, int column) {
            const u64 at = first_column + column;
            return at < P::columns ? float(b[P::b(rows[first + depth] / P::ids_b_row) + at]) : 0.0f;
        },
        [&](int row, int column, float sum) {
            const u64 down = first_row + row, at = first_column + column;
            if (down >= P::rows || at >= P::columns) return;
            Out *to = out + down * P::matrix_row + at * P::matrix_column;
            if constexpr (P::accumulate) *to = *to + sum;
            else *to = sum;
        }
    );
}
