// Softmax, normalisation and cross-entropy: a block a row.

template <class P, class X, class Out>
__device__ void softmax(const X *x, Out *out) {
    const u64 row = blockIdx.x;
    const X *from = x + P::x(row);
    Out *to = out + P::out(row);
    float largest = -infinity();
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) largest = maximum(largest, from[i]);
    largest = block_maximum<P::threads>(largest);
    float sum = 0.0f;
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) sum += expf(from[i] - largest);
    const float share = 1.0f / block_sum<P::threads>(sum);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = expf(from[i] - largest) * share;
}

struct Statistics {
    float mean, rstd;
};

// Mean (0 where it is not taken away) and the reciprocal of the deviation of a row.
template <class P, class X>
__device__ __forceinline__ Statistics statistics(const X *row) {
    float mean = 0.0f;
    if constexpr (P::centred) {
        float sum = 0.0f;
        for (u64 i = threadIdx.x; i < P::width; i += P::threads) sum += row[i];
        mean = block_sum<P::threads>(sum) / P::width;
    }
    float squares = 0.0f;
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) squares += (row[i] - mean) * (row[i] - mean);
    const double variance = static_cast<double>(block_sum<P::threads>(squares)) / P::width;
    return {mean, static_cast<float>(1.0 / sqrt(variance + P::eps))};
}

template <class P, class X, class Scale, class Shift, class Out>
__device__ __forceinline__ void normalise(const X *row, const Scale *scale, const Shift *shift, Out *to) {
    const Statistics at = statistics<P>(row);
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) {
        const float n = (row[i] - at.mean) * at.rstd;
        if constexpr (P::centred) to[i] = n * scale[i] + shift[i];
        else to[i] = n * scale[i];
    }
}

template <class P, class X, class Scale, class Shift, class Out>
__device__ void norm(const X *x, const Scale *scale, const Shift *shift, Out *out) {
    normalise<P>(x + P::x(blockIdx.x), scale, shift, out + P::out(blockIdx.x));
}

// dx = rstd (g - mean(g) - n mean(g n)) with g = dy scale and n the normalised row; the statistics stay for the sums over rows.
template <class P, class X, class Scale, class Dy, class Dx>
__device__ void norm_gradient(const X *x, const Scale *scale, const Dy *dy, Dx *dx, float2 *kept) {
    const u64 row = blockIdx.x;
    const X *from = x + P::x(row);
    const Dy *gradient = dy + P::dy(row);
    const Statistics at = statistics<P>(from);
    if constexpr (P::keeps) {
        if (threadIdx.x == 0) kept[row] = make_float2(at.mean, at.rstd);
    }
    if constexpr (P::value) {
        float along = 0.0f, level = 0.0f;
        for (u64 i = threadIdx.x; i < P::width; i += P::threads) {
            const float g = gradient[i] * scale[i];
            along += g * ((from[i] - at.mean) * at.rstd);
            level += g;
        }
        along = block_sum<P::threads>(along) / P::width;
        if constexpr (P::centred) level = block_sum<P::threads>(level) / P::width;
        else level = 0.0f;
        Dx *to = dx + P::dx(row);
        for (u64 i = threadIdx.x; i < P::width; i += P::threads) {
            const float g = gradient[i] * scale[i];
            const float d = at.rstd * (g - level - (from[i] - at.mean) * at.rstd * along);
            if constexpr (P::accumulate) to[i] = to[i] + d;
            else to[i] = d;
        }
    }
}

// Sums over a range of rows for scale and shift: a thread a column, a row of blocks a range.
template <class P, class X, class Dy>
__device__ void norm_gradient_sums(const X *x, const Dy *dy, const float2 *kept, float *partial) {
    const u64 column = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (column >= P::width) return;
    const u64 first = blockIdx.y * static_cast<u64>(P::rows_a_part);
    const u64 end = first + P::rows_a_part < P::rows ? first + P::rows_a_part : P::rows;
    float scale = 0.0f, shift = 0.0f;
    for (u64 row = first; row < end; ++row) {
        const float2 at = kept[row];
        const float gradient = dy[P::dy(row) + column];
        scale += gradient * ((x[P::x(row) + column] - at.x) * at.y);
        shift += gradient;
    }
    partial[(blockIdx.y * 2 + 0) * static_cast<u64>(P::width) + column] = scale;
    partial[(blockIdx.y * 2 + 1) * static_cast<u64>(P::width) + column] = shift;
}

// The parts added up in order.
template <class P, class Scale, class Shift>
__device__ void norm_gradient_total(const float *partial, Scale *dscale, Shift *dshift) {
    const u64 column = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (column >= P::width) return;
    float scale = 0.0f, shift = 0.0f;
    for (u64 part = 0; part < P::parts; ++part) {
        scale += partial[(part * 2 + 0) * P::width + column];
        shift += partial[(part * 2 + 1) * P::width + column];
    }
    if constexpr (P::scale) dscale[column] = scale;
    if constexpr (P::shift) dshift[column] = shift;
}

// The maximum of a row, and the sum of the exponentials below it.
template <class P, class X>
__device__ __forceinline__ float2 exponentials(const X *row) {
    float largest = -infinity(), sum = 0.0f;
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) {
        const float value = row[i];
        if (value > largest) {
            sum = sum * expf(largest - value) + 1.0f;
            largest = value;
        } else if (value != -infinity()) {
            sum += expf(value - largest);
        }
    }
    const float top = block_maximum<P::threads>(largest);
    // A thread without elements has no maximum of its own.
    sum = block_sum<P::threads>(largest == -infinity() ? sum : sum * expf(largest - top));
    return make_float2(top, sum);
}

template <class P, class X>
__device__ __forceinline__ float row_mean(const X *row) {
    float sum = 0.0f;
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) sum += row[i];
    return block_sum<P::threads>(sum) / P::width;
}

// From the logarithm of the sum of exponentials, the target's logit and the mean of all.
template <class P>
__device__ __forceinline__ float row_loss(double normaliser, float logit, float mean) {
    const double spread = P::smoothing > 0.0 ? P::smoothing * mean : 0.0;
    return static_cast<float>(normaliser - (1.0 - P::smoothing) * logit - spread + P::z_loss * normaliser * normaliser);
}

template <class P, class Logits, class Loss>
__device__ void cross_entropy(const Logits *logits, const int *targets, Loss *loss, int *fault, int step) {
    const u64 row = blockIdx.x;
    const int target = targets[P::targets(row)];
    if (target < 0 || target >= P::width) {
        if (threadIdx.x == 0) {
            loss[P::loss(row)] = 0.0f;
            if (target >= 0) report(fault, step, target);
        }
        return;
    }
    const Logits *from = logits + P::logits(row);
    const float2 sums = exponentials<P>(from);
    const float mean = P::smoothing > 0.0 ? row_mean<P>(from) : 0.0f;
    if (threadIdx.x == 0) {
        loss[P::loss(row)] = row_loss<P>(static_cast<double>(logf(sums.y)) + sums.x, from[target], mean);
    }
}

// May be in place: a thread reads an element before it writes it, and the target's logit is read before all.
template <class P, class Logits, class Given, class Gradient, class Loss>
__device__ void cross_entropy_gradient(
    const Logits *logits, const int *targets, const Given *dloss, Gradient *dlogits, Loss *loss, int *fault, int step
) {
    const u64 row = blockIdx.x;
    const int target = targets[P::targets(row)];
    Gradient *to = dlogits + P::dlogits(row);
    if (target < 0 || target >= P::width) {
        for (u64 i = threadIdx.x; i < P::width; i += P::threads) to[i] = 0.0f;
        if (threadIdx.x == 0) {
            if constexpr (P::has_loss) loss[P::loss(row)] = 0.0f;
            if (target >= 0) report(fault, step, target);
        }
        return;
    }
    const Logits *from = logits + P::logits(row);
    const float logit = from[target];
    const float2 sums = exponentials<P>(from);
    const float mean = P::smoothing > 0.0 ? row_mean<P>(from) : 0.0f;
    const double normaliser = static_cast<double>(logf(sums.y)) + sums.x;
    const float given = dloss[P::dloss(row)];
    const float share = given / sums.y * static_cast<float>(1.0 + 2.0 * P::z_loss * normaliser);
    const float spread = static_cast<float>(P::smoothing / P::width) * given;
    const float certain = static_cast<float>(1.0 - P::smoothing) * given;
    __syncthreads();
    for (u64 i = threadIdx.x; i < P::width; i += P::threads) {
        const float gradient = expf(from[i] - sums.x) * share - spread;
        to[i] = i == static_cast<u64>(target) ? gradient - certain : gradient;
    }
    if constexpr (P::has_loss) {
        if (threadIdx.x == 0) loss[P::loss(row)] = row_loss<P>(normaliser, logit, mean);
    }
}
