// Attention in tiles with an online softmax (Dao et al. 2022): no matrix of all scores is ever stored.
//
// A block has `P::rows` rows of `P::lanes` neighbouring threads each. Forward and for the gradient of the queries a row is a
// query and tiles run over keys; for the gradients of keys and values a row is a key and tiles run over queries.

// What attention is given besides queries, keys and values; what the settings do not ask for is null.
template <class Bias>
struct Further {
    const int *query_documents, *key_documents, *query_order, *key_order;
    const Bias *bias;
    const float *slopes, *length;
};

// Keys that a query at a place sees by its place alone.
template <class P>
__device__ __forceinline__ i64 first_key(i64 place) {
    return P::window > 0 && place + 1 > P::window ? place + 1 - P::window : 0;
}

template <class P>
__device__ __forceinline__ i64 end_of_keys(i64 place) {
    i64 end = P::keys;
    if (P::causal) end = place + 1 < end ? place + 1 : end;
    else if (P::window > 0) end = place + P::window < end ? place + P::window : end;
    return end;
}

// Position of a row's first query among its keys.
template <class P, class Bias>
__device__ __forceinline__ i64 held(const Further<Bias> &f, int batch) {
    if constexpr (P::cached) return static_cast<i64>(f.length[batch * P::length_step]);
    else return 0;
}

template <class P, class Bias>
__device__ __forceinline__ bool sees(const Further<Bias> &f, int batch, i64 before, i64 query, i64 key) {
    if (query >= P::queries || key < first_key<P>(before + query) || key >= end_of_keys<P>(before + query)) return false;
    bool seen = true;
    if constexpr (P::documents) {
        seen = f.query_documents[batch * P::queries + query] == f.key_documents[batch * P::keys + key];
    }
    if constexpr (P::order > 0) {
        const int mine = f.query_order[batch * P::queries + query], other = f.key_order[batch * P::keys + key];
        seen = seen && (P::order == 1 ? other <= mine : other < mine);
    }
    return seen;
}

// Positions from `begin` up to and without `end`.
struct Span {
    i64 begin, end;
};

// What is left of a span when the tokens outside the block's documents are cut off at both ends. The block's own tokens are
// `first..=last`; a token counts as theirs if its number lies between their smallest and their largest, so that numbers may come
// in any order, and of numbers that rise nothing else is left.
template <int THREADS>
__device__ __forceinline__ Span within_documents(const int *own, i64 first, i64 last, const int *others, Span span) {
    i64 highest = own[first], lowest = highest;
    for (i64 at = first + threadIdx.x; at <= last; at += THREADS) {
        const i64 number = own[at];
        highest = number > highest ? number : highest;
        lowest = number < lowest ? number : lowest;
    }
    highest = block_largest<THREADS>(highest);
    lowest = -block_largest<THREADS>(-lowest);
    i64 begin = span.end, end = 0;
#pragma unroll 4
    for (i64 at = span.begin + threadIdx.x; at < span.end; at += THREADS) {
        if (others[at] < lowest || others[at] > highest) continue;
        begin = at < begin ? at : begin;
        end = at + 1;
    }
    return {-block_largest<THREADS>(-begin), block_largest<THREADS>(end)};
}

// Keys that some of the queries `first..=last`, a block's own, may meet.
template <class P, int THREADS, class Bias>
__device__ __forceinline__ Span met_keys(const Further<Bias> &f, int batch, i64 before, i64 first, i64 last) {
    const Span span{first_key<P>(before + first), end_of_keys<P>(before + last)};
    if constexpr (P::documents) {
        const int *own = f.query_documents + batch * P::queries, *others = f.key_documents + batch * P::keys;
        return within_documents<THREADS>(own, first, last, others, span);
    } else {
        return span;
    }
}

// Queries that see a key by its place alone.
template <class P>
__device__ __forceinline__ i64 first_query(i64 key) {
    if (P::causal) return key;
    return P::window > 0 && key + 1 > P::window ? key + 1 - P::window : 0;
}

template <class P>
__device__ __forceinline__ i64 end_of_queries(i64 key) {
    return P::window > 0 && key + P::window < P::queries ? key + P::window : P::queries;
}

// Queries that may meet some of the keys `first..=last`, a block's own.
template <class P, int THREADS, class Bias>
__device__ __forceinline__ Span met_queries(const Further<Bias> &f, int batch, i64 first, i64 last) {
    const Span span{first_query<P>(first), end_of_queries<P>(last)};
    if constexpr (P::documents) {
        const int *own = f.key_documents + batch * P::keys, *others = f.query_documents + batch * P::queries;
        return within_documents<THREADS>(own, first, last, others, span);
    } else {
        return span;
    }
}

// A product of query and key made into a score.
template <class P, class Bias>
__device__ __forceinline__ float score(
    const Further<Bias> &f, int batch, int head, i64 before, i64 query, i64 key, float product
) {
    float x = product * P::scale;
    if constexpr (P::biased) x += f.bias[P::bias(batch, head, query) + key];
    if constexpr (P::alibi) x -= f.slopes[head] * fabsf(static_cast<float>(before + query - key));
    if constexpr (P::capped) x = P::cap * tanhf(x * (1.0f / P::cap));
    return x;
}

// Rows `first..` of a matrix into shared memory; rows from `end` on become 0.
template <int ROWS, int WIDTH, int THREADS, class T, class Row>
__device__ __forceinline__ void load_tile(float (&to)[ROWS][WIDTH + 1], const T *from, i64 first, i64 end, Row row) {
    for (int index = threadIdx.x; index < ROWS * WIDTH; index += THREADS) {
        const int at = index / WIDTH, column = index % WIDTH;
        to[at][column] = first + at < end ? float(from[row(first + at) + column]) : 0.0f;
    }
}

template <int WIDTH>
__device__ __forceinline__ float dot(const float *a, const float *b) {
    float sum = 0.0f;
#pragma unroll 8
    for (int i = 0; i < WIDTH; ++i) sum += a[i] * b[i];
    return sum;
}

// Adds `weight` times a row to this thread's columns of a sum.
template <class P, int WIDTH>
__device__ __forceinline__ void add_columns(float (&sums)[(WIDTH + P::lanes - 1) / P::lanes], const float *row, float weight) {
    const int lane = threadIdx.x % P::lanes;
#pragma unroll
    for (int part = 0; part < (WIDTH + P::lanes - 1) / P::lanes; ++part) {
        const int column = part * P::lanes + lane;
        if (WIDTH % P::lanes == 0 || column < WIDTH) sums[part] += weight * row[column];
    }
}

template <class P, int WIDTH, class T>
__device__ __forceinline__ void store_columns(T *to, const float (&sums)[(WIDTH + P::lanes - 1) / P::lanes], float factor) {
    const int lane = threadIdx.x % P::lanes;
#pragma unroll
    for (int part = 0; part < (WIDTH + P::lanes - 1) / P::lanes; ++part) {
        const int column = part * P::lanes + lane;
        if (WIDTH % P::lanes == 0 || column < WIDTH) to[column] = sums[part] * factor;
    }
}

template <class P, class Q, class K, class V, class Out, class Bias>
__device__ void attention(
    const Q *q, const K *k, const V *v, Out *out, float *stats, const Further<Bias> &f, int *fault, int step
) {
    constexpr int WIDEST = P::depth > P::width ? P::depth : P::width;
    __shared__ float queries[P::rows][P::depth + 1];
    __shared__ float others[P::tile * (WIDEST + 1)];
    __shared__ float weights[P::rows][P::tile + 1];
    auto &keys = *reinterpret_cast<float(*)[P::tile][P::depth + 1]>(&others);
    auto &values = *reinterpret_cast<float(*)[P::tile][P::width + 1]>(&others);
    const int blocks = (P::queries + P::rows - 1) / P::rows;
    const int head = blockIdx.x / blocks % P::heads, batch = blockIdx.x / blocks / P::heads;
    const int group = head / (P::heads / P::groups);
    const i64 first = static_cast<i64>(blockIdx.x % blocks) * P::rows;
    const i64 last = first + P::rows < P::queries ? first + P::rows - 1 : P::queries - 1;
    const int row = threadIdx.x / P::lanes, lane = threadIdx.x % P::lanes;
    if constexpr (P::cached) {
        const float given = f.length[batch * P::length_step];
        if (!(given >= 0.0f) || given + P::queries > P::keys) {
            if (threadIdx.x == 0) report(fault, step, static_cast<int>(given));
            return;
        }
    }
    const i64 before = held<P>(f, batch), query = first + row;
    const Span met = met_keys<P, P::threads>(f, batch, before, first, last);
    load_tile<P::rows, P::depth, P::threads>(queries, q, first, P::queries, [&](i64 t) { return P::q(batch, t, head); });
    float largest = -infinity(), total = 0.0f;
    float sums[(P::width + P::lanes - 1) / P::lanes] = {};
    for (i64 start = met.begin; start < met.end; start += P::tile) {
        __syncthreads();
        load_tile<P::tile, P::depth, P::threads>(keys, k, start, met.end, [&](i64 s) { return P::k(batch, s, group); });
        __syncthreads();
        float top = largest;
#pragma unroll 1
        for (int at = lane; at < P::tile; at += P::lanes) {
            float x = -infinity();
            if (sees<P>(f, batch, before, query, start + at)) {
                x = score<P>(f, batch, head, before, query, start + at, dot<P::depth>(queries[row], keys[at]));
            }
            weights[row][at] = x;
            top = maximum(top, x);
        }
        top = lanes_maximum<P::lanes>(top);
        // Before anything is seen, all exponentials are 0.
        const float level = top == -infinity() ? 0.0f : top;
        const float shrink = expf(largest - level);
        float sum = 0.0f;
        for (int at = lane; at < P::tile; at += P::lanes) {
            const float weight = expf(weights[row][at] - level);
            weights[row][at] = weight;
            sum += weight;
        }
        total = total * shrink + lanes_sum<P::lanes>(sum);
        largest = top;
#pragma unroll
        for (int part = 0; part < (P::width + P::lanes - 1) / P::lanes; ++part) sums[part] *= shrink;
        __syncthreads();
        load_tile<P::tile, P::width, P::threads>(values, v, start, met.end, [&](i64 s) { return P::v(batch, s, group); });
        __syncthreads();
#pragma unroll 4
        for (int at = 0; at < P::tile; ++at) add_columns<P, P::width>(sums, values[at], weights[row][at]);
    }
    if (query >= P::queries) return;
    store_columns<P, P::width>(out + P::out(batch, query, head), sums, total == 0.0f ? 0.0f : 1.0f / total);
    if constexpr (P::has_stats) {
        if (lane == 0) stats[(static_cast<i64>(batch) * P::heads + head) * P::queries + query] = largest + logf(total);
    }
}

// dout . out of every query: a warp a query.
template <class P, class Out, class Dout>
__device__ void attention_delta(const Out *out, const Dout *dout, float *delta) {
    const i64 row = (blockIdx.x * static_cast<i64>(P::delta_threads) + threadIdx.x) / WARP;
    const i64 count = static_cast<i64>(P::batch) * P::heads * P::queries;
    const i64 at = row < count ? row : count - 1;
    const i64 query = at % P::queries, head = at / P::queries % P::heads, batch = at / P::queries / P::heads;
    const Out *a = out + P::out(batch, query, head);
    const Dout *b = dout + P::dout(batch, query, head);
    float sum = 0.0f;
    for (int i = threadIdx.x % WARP; i < P::width; i += WARP) sum += a[i] * b[i];
    sum = lanes_sum<WARP>(sum);
    if (row < count && threadIdx.x % WARP == 0) delta[row] = sum;
}

// The weight of a score, and its gradient before the factor on the product.
template <class P>
__device__ __forceinline__ float2 weight_and_gradient(float score, float stats, float dweight, float delta) {
    const float weight = expf(score - stats);
    float gradient = weight * (dweight - delta);
    if constexpr (P::capped) gradient *= 1.0f - score * (1.0f / P::cap) * (score * (1.0f / P::cap));
    return make_float2(weight, gradient);
}

// Gradient of the queries and of what is added to the scores.
template <class P, class Q, class K, class V, class Dout, class Dq, class Dbias, class Bias>
__device__ void attention_gradient_queries(
    const Q *q, const K *k, const V *v, const float *stats, const Dout *dout, const float *delta, Dq *dq, Dbias *dbias,
    const Further<Bias> &f
) {
    __shared__ float queries[P::rows][P::depth + 1];
    __shared__ float douts[P::rows][P::width + 1];
    __shared__ float keys[P::tile][P::depth + 1];
    __shared__ float values[P::tile][P::width + 1];
    __shared__ float gradients[P::rows][P::tile + 1];
    const int blocks = (P::queries + P::rows - 1) / P::rows;
    const int head = blockIdx.x / blocks % P::heads, batch = blockIdx.x / blocks / P::heads;
    const int group = head / (P::heads / P::groups);
    const i64 first = static_cast<i64>(blockIdx.x % blocks) * P::rows;
    const i64 last = first + P::rows < P::queries ? first + P::rows - 1 : P::queries - 1;
    const int row = threadIdx.x / P::lanes, lane = threadIdx.x % P::lanes;
    const i64 query = first + row, number = (static_cast<i64>(batch) * P::heads + head) * P::queries + query;
    // Every element of the bias has a gradient, seen or not.
    Span met{0, P::keys};
    if constexpr (!P::has_dbias) met = met_keys<P, P::threads>(f, batch, 0, first, last);
    load_tile<P::rows, P::depth, P::threads>(queries, q, first, P::queries, [&](i64 t) { return P::q(batch, t, head); });
    load_tile<P::rows, P::width, P::threads>(douts, dout, first, P::queries, [&](i64 t) { return P::dout(batch, t, head); });
    const float normaliser = query < P::queries ? stats[number] : 0.0f;
    const float along = query < P::queries ? delta[number] : 0.0f;
    float sums[(P::depth + P::lanes - 1) / P::lanes] = {};
    for (i64 start = met.begin; start < met.end; start += P::tile) {
        __syncthreads();
        load_tile<P::tile, P::depth, P::threads>(keys, k, start, met.end, [&](i64 s) { return P::k(batch, s, group); });
        load_tile<P::tile, P::width, P::threads>(values, v, start, met.end, [&](i64 s) { return P::v(batch, s, group); });
        __syncthreads();
#pragma unroll 1
        for (int at = lane; at < P::tile; at += P::lanes) {
            float gradient = 0.0f;
            if (sees<P>(f, batch, 0, query, start + at)) {
                const float product = dot<P::depth>(queries[row], keys[at]);
                const float x = score<P>(f, batch, head, 0, query, start + at, product);
                gradient = weight_and_gradient<P>(x, normaliser, dot<P::width>(douts[row], values[at]), along).y;
            }
            if constexpr (P::has_dbias) {
                if (query < P::queries && start + at < P::keys) dbias[P::dbias(batch, head, query) + start + at] = gradient;
            }
            gradients[row][at] = gradient * P::scale;
        }
        __syncthreads();
        if constexpr (P::has_dq) {
#pragma unroll 4
            for (int at = 0; at < P::tile; ++at) add_columns<P, P::depth>(sums, keys[at], gradients[row][at]);
        }
    }
    if constexpr (P::has_dq) {
        if (query < P::queries) store_columns<P, P::depth>(dq + P::dq(batch, query, head), sums, 1.0f);
    }
}

// Gradients of keys and values: a block alone adds up all that its keys get, heads and queries in order.
template <class P, class Q, class K, class V, class Dout, class Dk, class Dv, class Bias>
__device__ void attention_gradient_keys(
    const Q *q, const K *k, const V *v, const float *stats, const Dout *dout, const float *delta, Dk *dk, Dv *dv,
    const Further<Bias> &f
) {
    __shared__ float keys[P::rows][P::depth + 1];
    __shared__ float values[P::rows][P::width + 1];
    __shared__ float queries[P::tile][P::depth + 1];
    __shared__ float douts[P::tile][P::width + 1];
    __shared__ float weights[P::rows][P::tile + 1];
    __shared__ float gradients[P::rows][P::tile + 1];
    const int blocks = (P::keys + P::rows - 1) / P::rows;
    const int group = blockIdx.x / blocks % P::groups, batch = blockIdx.x / blocks / P::groups;
    const i64 first = static_cast<i64>(blockIdx.x % blocks) * P::rows;
    const i64 last = first + P::rows < P::keys ? first + P::rows - 1 : P::keys - 1;
    const int row = threadIdx.x / P::lanes, lane = threadIdx.x % P::lanes;
    const i64 key = first + row;
    const Span met = met_queries<P, P::threads>(f, batch, first, last);
    load_tile<P::rows, P::depth, P::threads>(keys, k, first, P::keys, [&](i64 s) { return P::k(batch, s, group); });
    load_tile<P::rows, P::width, P::threads>(values, v, first, P::keys, [&](i64 s) { return P::v(batch, s, group); });
    float key_sums[(P::depth + P::lanes - 1) / P::lanes] = {};
    float value_sums[(P::width + P::lanes - 1) / P::lanes] = {};
    for (int member = 0; member < P::heads / P::groups; ++member) {
        const int head = group * (P::heads / P::groups) + member;
        const i64 numbers = (static_cast<i64>(batch) * P::heads + head) * P::queries;
        for (i64 start = met.begin; start < met.end; start += P::tile) {
            __syncthreads();
            load_tile<P::tile, P::depth, P::threads>(queries, q, start, met.end, [&](i64 t) { return P::q(batch, t, head); });
            load_tile<P::tile, P::width, P::threads>(douts, dout, start, met.end, [&](i64 t) { return P::dout(batch, t, head); });
            __syncthreads();
#pragma unroll 1
            for (int at = lane; at < P::tile; at += P::lanes) {
                float2 both = make_float2(0.0f, 0.0f);
                const i64 query = start + at;
                if (query < met.end && key < P::keys && sees<P>(f, batch, 0, query, key)) {
                    const float product = dot<P::depth>(queries[at], keys[row]);
                    const float x = score<P>(f, batch, head, 0, query, key, product);
                    const float dweight = dot<P::width>(douts[at], values[row]);
                    both = weight_and_gradient<P>(x, stats[numbers + query], dweight, delta[numbers + query]);
                }
                weights[row][at] = both.x;
                gradients[row][at] = both.y * P::scale;
            }
            __syncthreads();
#pragma unroll 2
            for (int at = 0; at < P::tile; ++at) {
                if constexpr (P::has_dk) add_columns<P, P::depth>(key_sums, queries[at], gradients[row][at]);
                if constexpr (P::has_dv) add_columns<P, P::width>(value_sums, douts[at], weights[row][at]);
            }
        }
    }
    if (key >= P::keys) return;
    if constexpr (P::has_dk) store_columns<P, P::depth>(dk + P::dk(batch, key, group), key_sums, 1.0f);
    if constexpr (P::has_dv) store_columns<P, P::width>(dv + P::dv(batch, key, group), value_sums, 1.0f);
}
