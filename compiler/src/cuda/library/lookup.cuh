// Rows of tables by id, their sums by id, caches, and copies.

template <class P, class Table, class Out>
__device__ void gather(const Table *table, const int *ids, Out *out, int *fault, int step) {
    const u64 row = blockIdx.x;
    const int id = ids[P::ids(row)];
    if (id < 0 || id >= P::rows) {
        if (threadIdx.x == 0) report(fault, step, id);
        return;
    }
    const Table *from = table + static_cast<u64>(id) * P::table_row;
    Out *to = out + P::out(row);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = float(from[i]);
}

template <class P, class Out>
__device__ void clear_rows(Out *out) {
    Out *to = out + P::out(blockIdx.x);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = 0.0f;
}

// A block an id and a range of columns: the first of several equal ids adds the updates of all of them, in order. Sums stay in
// registers, so that they are rounded once.
template <class P, class Updates, class Out>
__device__ void scatter_add(const int *ids, const Updates *updates, Out *out, int *fault, int step) {
    __shared__ int found[P::threads];
    const u64 mine = blockIdx.x;
    const int id = ids[P::ids(mine)];
    if (id < 0 || id >= P::rows) {
        if (threadIdx.x == 0) report(fault, step, id);
        return;
    }
    int before = 0;
    for (u64 other = threadIdx.x; other < mine; other += P::threads) before |= ids[P::ids(other)] == id;
    if (__syncthreads_or(before)) return;
    const u64 start = blockIdx.y * static_cast<u64>(P::threads * P::columns) + threadIdx.x;
    Out *to = out + static_cast<u64>(id) * P::out_row;
    float sums[P::columns];
#pragma unroll
    for (int column = 0; column < P::columns; ++column) {
        const u64 i = start + column * P::threads;
        sums[column] = i < P::width ? float(to[i]) : 0.0f;
    }
    for (u64 first = mine; first < P::count; first += P::threads) {
        const u64 other = first + threadIdx.x;
        const int same = other < P::count && ids[P::ids(other)] == id;
        found[threadIdx.x] = same;
        if (__syncthreads_or(same)) {
            for (int at = 0; at < P::threads; ++at) {
                if (!found[at]) continue;
                const Updates *from = updates + P::updates(first + at);
#pragma unroll
                for (int column = 0; column < P::columns; ++column) {
                    const u64 i = start + column * P::threads;
                    if (i < P::width) sums[column] += from[i];
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int column = 0; column < P::columns; ++column) {
        const u64 i = start + column * P::threads;
        if (i < P::width) to[i] = sums[column];
    }
}

// New positions of a key or value cache: a block a row of a head.
template <class P, class Fresh, class Cache>
__device__ void cache_write(const Fresh *fresh, const float *length, Cache *cache, int *fault, int step) {
    const u64 heads = P::groups, batch = blockIdx.x / (P::added * heads);
    const u64 token = blockIdx.x / heads % P::added, head = blockIdx.x % heads;
    const float held = length[batch * P::length_step];
    if (!(held >= 0.0f) || held + P::added > P::capacity) {
        if (threadIdx.x == 0) report(fault, step, static_cast<int>(held));
        return;
    }
    const Fresh *from = fresh + P::fresh(batch, token, head);
    Cache *to = cache + P::cache(batch, static_cast<u64>(held) + token, head);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = float(from[i]);
}

// Values that were known before anything ran.
template <class T, class Out>
__device__ __forceinline__ void copy_known(const T *from, Out *to, u64 count) {
    const u64 i = blockIdx.x * static_cast<u64>(256) + threadIdx.x;
    if (i < count) to[i] = from[i];
}

// Rotary position embedding: a thread a pair of a token, which all heads share. May be in place.
template <class P, class X, class Out>
__device__ void rotate(const X *x, const int *positions, const double *frequencies, Out *out) {
    const u64 index = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (index >= P::batch * P::tokens * P::pairs) return;
    const u64 pair = index % P::pairs, token = index / P::pairs % P::tokens, batch = index / P::pairs / P::tokens;
    const double angle = positions[P::positions(batch * P::tokens + token)] * frequencies[pair];
    double sine, cosine;
    sincos(P::inverse ? -angle : angle, &sine, &cosine);
    const float s = static_cast<float>(P::amplitude * sine), c = static_cast<float>(P::amplitude * cosine);
    const u64 first = P::halves ? pair : 2 * pair, second = P::halves ? pair + P::pairs : 2 * pair + 1;
    for (u64 head = 0; head < P::heads; ++head) {
        const X *from = x + P::x(batch, token, head);
        Out *to = out + P::out(batch, token, head);
        const float a = from[first], b = from[second];
        to[first] = a * c - b * s;
        to[second] = b * c + a * s;
    }
}
