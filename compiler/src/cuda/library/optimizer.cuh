// Gradient norm, learning rate, AdamW, dropout and rounding at random.

// Sums of squares of parts of a tensor.
template <class P, class X>
__device__ void sum_squares_parts(const X *x, float *partial) {
    const u64 first = blockIdx.x * static_cast<u64>(P::part);
    const u64 end = first + P::part < P::count ? first + P::part : P::count;
    float sum = 0.0f;
    for (u64 i = first + threadIdx.x; i < end; i += P::threads) sum += x[i] * x[i];
    sum = block_sum<P::threads>(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// The parts added up in order.
template <class P>
__device__ void sum_parts(const float *partial, float *out) {
    double sum = 0.0;
    for (u64 part = 0; part < P::parts; ++part) sum += partial[part];
    *out = static_cast<float>(sum);
}

// The factor of a schedule on its peak, as `SchedulePlan::factor` has it.
template <class P>
__device__ void learning_rate(const float *step, float *out) {
    const u64 t = static_cast<u64>(*step);
    double factor = 1.0;
    if (t < static_cast<u64>(P::warmup)) {
        factor = static_cast<double>(t + 1) / static_cast<double>(P::warmup);
    } else if constexpr (P::falls) {
        const i64 gone = static_cast<i64>(t) > P::start ? static_cast<i64>(t) - P::start : 0;
        double share = static_cast<double>(gone) / P::length;
        share = share < 1.0 ? share : 1.0;
        if constexpr (P::cosine) factor = P::floor + (1.0 - P::floor) * ((1.0 + cospi(share)) / 2.0);
        else factor = 1.0 + (P::floor - 1.0) * share;
    }
    *out = static_cast<float>(P::peak * factor);
}

// One AdamW step (Loshchilov and Hutter 2019, algorithm 2).
template <class P, class Gradient>
__device__ void adamw(
    const Gradient *gradient, const float *learning_rate, const float *gradient_scale, const float *step, float *weight,
    float *first, float *second, u64 count
) {
    // A step that is left out.
    if (*gradient_scale == 0.0f) return;
    __shared__ float shared[3];
    if (threadIdx.x == 0) {
        const double rate = *learning_rate, t = static_cast<double>(*step) + 1.0;
        shared[0] = static_cast<float>(rate / (1.0 - pow(P::beta1, t)));
        shared[1] = static_cast<float>(1.0 / sqrt(1.0 - pow(P::beta2, t)));
        shared[2] = static_cast<float>(1.0 - rate * P::weight_decay);
    }
    __syncthreads();
    const float rate = shared[0], correction = shared[1], keep = shared[2], scale = *gradient_scale;
    constexpr float beta1 = P::beta1, rest1 = 1.0 - P::beta1, beta2 = P::beta2, rest2 = 1.0 - P::beta2;
    constexpr float epsilon = P::epsilon;
    const u64 start = (blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x) * P::run;
    if (start >= count) return;
    float g[P::run], w[P::run], m[P::run], v[P::run];
    load_run(g, gradient + start);
    load_run(w, weight + start);
    load_run(m, first + start);
    load_run(v, second + start);
#pragma unroll
    for (int i = 0; i < P::run; ++i) {
        const float scaled = g[i] * scale;
        m[i] = fmaf(beta1, m[i], rest1 * scaled);
        v[i] = fmaf(beta2, v[i], rest2 * scaled * scaled);
        w[i] = fmaf(w[i], keep, -rate * m[i] / fmaf(sqrtf(v[i]), correction, epsilon));
    }
    store_run(weight + start, w);
    store_run(first + start, m);
    store_run(second + start, v);
}

// `make` of each element and its random word; a thread has four, which are one block of words. May be in place.
template <class P, class X, class Out, class Make>
__device__ __forceinline__ void random_elements(const X *x, const float *step, Out *out, u64 site, u64 count, Make make) {
    const u64 block = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (block * 4 >= count) return;
    const u64 stream = (site << 40) ^ (static_cast<u64>(*step) & 0xffffffffffull);
    u32 words[4] = {
        static_cast<u32>(block), static_cast<u32>(block >> 32), static_cast<u32>(stream), static_cast<u32>(stream >> 32)
    };
    philox(words, P::seed);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const u64 at = block * 4 + i;
        if (at < count) out[at] = make(static_cast<float>(x[at]), words[i]);
    }
}

template <class P, class X, class Out>
__device__ void dropout(const X *x, const float *step, Out *out, u64 site, u64 count) {
    random_elements<P>(x, step, out, site, count, [](float value, u32 word) {
        const float uniform = static_cast<float>(word >> 8) * (1.0f / 16777216.0f);
        return uniform >= P::rate ? value * P::factor : 0.0f;
    });
}

// One of the two bf16 numbers around each: what is cut off is the chance of the one farther from zero.
template <class P, class X, class Out>
__device__ void round_at_random(const X *x, const float *step, Out *out, u64 site, u64 count) {
    random_elements<P>(x, step, out, site, count, [](float value, u32 word) {
        if (!(fabsf(value) < infinity())) return value;
        return __int_as_float(static_cast<int>((static_cast<u32>(__float_as_int(value)) + (word >> 16)) & 0xffff0000u));
    });
}
