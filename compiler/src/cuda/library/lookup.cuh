// Rows of tables by id, their sums by id, caches, and copies.

template <class P>
__device__ void gather(const float *table, const int *ids, float *out, int *fault, int step) {
    const u64 row = blockIdx.x;
    const int id = ids[P::ids(row)];
    if (id < 0 || id >= P::rows) {
        if (threadIdx.x == 0) report(fault, step, id);
        return;
    }
    const float *from = table + static_cast<u64>(id) * P::table_row;
    float *to = out + P::out(row);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = from[i];
}

template <class P>
__device__ void clear_rows(float *out) {
    float *to = out + P::out(blockIdx.x);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = 0.0f;
}

// A block an id: the first of several equal ids adds the updates of all of them, in order.
template <class P>
__device__ void scatter_add(const int *ids, const float *updates, float *out, int *fault, int step) {
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
    float *to = out + static_cast<u64>(id) * P::out_row;
    for (u64 first = mine; first < P::count; first += P::threads) {
        const u64 other = first + threadIdx.x;
        const int same = other < P::count && ids[P::ids(other)] == id;
        found[threadIdx.x] = same;
        if (__syncthreads_or(same)) {
            for (int at = 0; at < P::threads; ++at) {
                if (!found[at]) continue;
                const float *from = updates + P::updates(first + at);
                for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] += from[i];
            }
        }
        __syncthreads();
    }
}

// New positions of a key or value cache: a block a row of a head.
template <class P>
__device__ void cache_write(const float *fresh, const float *length, float *cache, int *fault, int step) {
    const u64 heads = P::groups, batch = blockIdx.x / (P::added * heads);
    const u64 token = blockIdx.x / heads % P::added, head = blockIdx.x % heads;
    const float held = length[batch * P::length_step];
    if (!(held >= 0.0f) || held + P::added > P::capacity) {
        if (threadIdx.x == 0) report(fault, step, static_cast<int>(held));
        return;
    }
    const float *from = fresh + P::fresh(batch, token, head);
    float *to = cache + P::cache(batch, static_cast<u64>(held) + token, head);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = from[i];
}

// Values that were known before anything ran.
__device__ __forceinline__ void copy_words(const u32 *from, u32 *to, u64 count) {
    const u64 i = blockIdx.x * static_cast<u64>(256) + threadIdx.x;
    if (i < count) to[i] = from[i];
}

// Rotary position embedding: a thread a pair of a token, which all heads share. May be in place.
template <class P>
__device__ void rotate(const float *x, const int *positions, const double *frequencies, float *out) {
    const u64 index = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (index >= P::batch * P::tokens * P::pairs) return;
    const u64 pair = index % P::pairs, token = index / P::pairs % P::tokens, batch = index / P::pairs / P::tokens;
    const double angle = positions[P::positions(batch * P::tokens + token)] * frequencies[pair];
    double sine, cosine;
    sincos(P::inverse ? -angle : angle, &sine, &cosine);
    const float s = static_cast<float>(P::amplitude * sine), c = static_cast<float>(P::amplitude * cosine);
    const u64 first = P::halves ? pair : 2 * pair, second = P::halves ? pair + P::pairs : 2 * pair + 1;
    for (u64 head = 0; head < P::heads; ++head) {
        const float *from = x + P::x(batch, token, head);
        float *to = out + P::out(batch, token, head);
        const float a = from[first], b = from[second];
        to[first] = a * c - b * s;
        to[second] = b * c + a * s;
    }
}
