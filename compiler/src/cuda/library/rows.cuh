// Softmax, normalisation and cross-entropy: a block a row, whose threads take runs of neighbouring elements in turn.

// Calls `body(step, i)` for every run of the thread: its number and its first element.
template <class P, class Body>
__device__ __forceinline__ void each_run(Body body) {
    constexpr u64 stride = static_cast<u64>(P::threads) * P::run;
    const u64 first = threadIdx.x * static_cast<u64>(P::run);
    if constexpr (P::steps > 0) {
#pragma unroll
        for (int step = 0; step < P::steps; ++step) {
            const u64 i = first + step * stride;
            if ((step + 1) * stride <= P::width || i < P::width) body(step, i);
        }
    } else {
        for (u64 i = first; i < P::width; i += stride) body(0, i);
    }
}

// What a thread has of a row: in registers where that fits, so that memory is read once; else read again when it is asked for.
template <class P, class T>
struct Runs {
    static constexpr bool fits = P::steps > 0;
    T *row;
    float kept[fits ? P::steps : 1][P::run];

    __device__ __forceinline__ explicit Runs(T *row) : row(row) {}

    __device__ __forceinline__ void load() {
        if constexpr (fits) each_run<P>([&](int step, u64 i) { load_run(kept[step], row + i); });
    }

    // What was just written to the row, as it reads there.
    __device__ __forceinline__ void keep(int step, const float (&values)[P::run]) {
        if constexpr (fits) {
#pragma unroll
            for (int lane = 0; lane < P::run; ++lane) kept[step][lane] = static_cast<T>(values[lane]);
        }
    }

    __device__ __forceinline__ const float (&at(int step, u64 i))[P::run] {
        if constexpr (fits) {
            return kept[step];
        } else {
            load_run(kept[0], row + i);
            return kept[0];
        }
    }
};

struct Exponentials {
    float largest, sum, mean;
};

// The maximum of a row, the sum of the exponentials below it and, where it is asked for, the mean: in one pass.
template <class P, bool MEAN, class Row>
__device__ __forceinline__ Exponentials exponentials(Row &row) {
    float largest = -infinity(), sum = 0.0f, total = 0.0f;
    each_run<P>([&](int step, u64 i) {
        const float (&x)[P::run] = row.at(step, i);
        float top = x[0];
#pragma unroll
        for (int lane = 1; lane < P::run; ++lane) top = maximum(top, x[lane]);
        // What is not a number has to reach the sum.
        if (!(top <= largest)) {
            sum *= expf(largest - top);
            largest = top;
        }
#pragma unroll
        for (int lane = 0; lane < P::run; ++lane) {
            if (largest != -infinity()) sum += expf(x[lane] - largest);
            if constexpr (MEAN) total += x[lane];
        }
    });
    const float top = block_maximum<P::threads>(largest);
    // A thread without elements has no maximum of its own.
    sum = block_sum<P::threads>(largest == -infinity() ? sum : sum * expf(largest - top));
    if constexpr (MEAN) total = block_sum<P::threads>(total) / P::width;
    return {top, sum, total};
}

template <class P, class X, class Out>
__device__ void softmax(const X *x, Out *out) {
    Runs<P, const X> row(x + P::x(blockIdx.x));
    row.load();
    const Exponentials of = exponentials<P, false>(row);
    const float share = 1.0f / of.sum;
    Out *to = out + P::out(blockIdx.x);
    each_run<P>([&](int step, u64 i) {
        const float (&from)[P::run] = row.at(step, i);
        float result[P::run];
#pragma unroll
        for (int lane = 0; lane < P::run; ++lane) result[lane] = expf(from[lane] - of.largest) * share;
        store_run(to + i, result);
    });
}

struct Statistics {
    float mean, rstd;
};

// Mean (0 where it is not taken away) and the reciprocal of the deviation of a row.
template <class P, class Row>
__device__ __forceinline__ Statistics statistics(Row &row) {
    float mean = 0.0f;
    if constexpr (P::centred) {
        float sum = 0.0f;
        each_run<P>([&](int step, u64 i) {
            const float (&x)[P::run] = row.at(step, i);
#pragma unroll
            for (int lane = 0; lane < P::run; ++lane) sum += x[lane];
        });
        mean = block_sum<P::threads>(sum) / P::width;
    }
    float squares = 0.0f;
    each_run<P>([&](int step, u64 i) {
        const float (&x)[P::run] = row.at(step, i);
#pragma unroll
        for (int lane = 0; lane < P::run; ++lane) squares += (x[lane] - mean) * (x[lane] - mean);
    });
    const double variance = static_cast<double>(block_sum<P::threads>(squares)) / P::width;
    return {mean, static_cast<float>(1.0 / sqrt(variance + P::eps))};
}

template <class P, class Row, class Scale, class Shift, class Out>
__device__ __forceinline__ void normalise(Row &row, const Scale *scale, const Shift *shift, Out *to) {
    const Statistics at = statistics<P>(row);
    each_run<P>([&](int step, u64 i) {
        const float (&x)[P::run] = row.at(step, i);
        float factor[P::run], result[P::run];
        load_run(factor, scale + i);
#pragma unroll
        for (int lane = 0; lane < P::run; ++lane) result[lane] = (x[lane] - at.mean) * at.rstd * factor[lane];
        if constexpr (P::centred) {
            float added[P::run];
            load_run(added, shift + i);
#pragma unroll
            for (int lane = 0; lane < P::run; ++lane) result[lane] += added[lane];
        }
        store_run(to + i, result);
    });
}

template <class P, class X, class Scale, class Shift, class Out>
__device__ void norm(const X *x, const Scale *scale, const Shift *shift, Out *out) {
    Runs<P, const X> row(x + P::x(blockIdx.x));
    row.load();
    normalise<P>(row, scale, shift, out + P::out(blockIdx.x));
}

// dx = rstd (g - mean(g) - n mean(g n)) with g = dy scale and n the normalised row; the statistics stay for the sums over rows.
template <class P, class X, class Scale, class Dy, class Dx>
__device__ void norm_gradient(const X *x, const Scale *scale, const Dy *dy, Dx *dx, float2 *kept) {
    const u64 number = blockIdx.x;
    Runs<P, const X> row(x + P::x(number));
    Runs<P, const Dy> gradient(dy + P::dy(number));
    row.load();
    if constexpr (P::value) gradient.load();
    const Statistics at = statistics<P>(row);
    if constexpr (P::keeps) {
        if (threadIdx.x == 0) kept[number] = make_float2(at.mean, at.rstd);
    }
    if constexpr (P::value) {
        float along = 0.0f, level = 0.0f;
        each_run<P>([&](int step, u64 i) {
            const float (&from)[P::run] = row.at(step, i), (&given)[P::run] = gradient.at(step, i);
            float factor[P::run];
            load_run(factor, scale + i);
#pragma unroll
            for (int lane = 0; lane < P::run; ++lane) {
                const float g = given[lane] * factor[lane];
                along += g * ((from[lane] - at.mean) * at.rstd);
                level += g;
            }
        });
        along = block_sum<P::threads>(along) / P::width;
        if constexpr (P::centred) level = block_sum<P::threads>(level) / P::width;
        else level = 0.0f;
        Dx *to = dx + P::dx(number);
        each_run<P>([&](int step, u64 i) {
            const float (&from)[P::run] = row.at(step, i), (&given)[P::run] = gradient.at(step, i);
            float factor[P::run], result[P::run];
            load_run(factor, scale + i);
#pragma unroll
            for (int lane = 0; lane < P::run; ++lane) {
                const float g = given[lane] * factor[lane];
                result[lane] = at.rstd * (g - level - (from[lane] - at.mean) * at.rstd * along);
            }
            if constexpr (P::accumulate) {
                float before[P::run];
                load_run(before, to + i);
#pragma unroll
                for (int lane = 0; lane < P::run; ++lane) result[lane] += before[lane];
            }
            store_run(to + i, result);
        });
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
#pragma unroll 4
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
    // So many loads under way at once.
#pragma unroll 16
    for (u64 part = 0; part < P::parts; ++part) {
        scale += partial[(part * 2 + 0) * P::width + column];
        shift += partial[(part * 2 + 1) * P::width + column];
    }
    if constexpr (P::scale) dscale[column] = scale;
    if constexpr (P::shift) dshift[column] = shift;
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
    Runs<P, const Logits> runs(logits + P::logits(row));
    runs.load();
    const Exponentials of = exponentials<P, (P::smoothing > 0.0)>(runs);
    if (threadIdx.x == 0) {
        loss[P::loss(row)] = row_loss<P>(static_cast<double>(logf(of.sum)) + of.largest, runs.row[target], of.mean);
    }
}

// May be in place: a thread reads an element before it writes it, and the target's logit is read before the sums of the block
// are known to anyone.
template <class P, class Logits, class Given, class Gradient, class Loss>
__device__ void cross_entropy_gradient(
    const Logits *logits, const int *targets, const Given *dloss, Gradient *dlogits, Loss *loss, int *fault, int step
) {
    const u64 row = blockIdx.x;
    const int target = targets[P::targets(row)];
    Gradient *to = dlogits + P::dlogits(row);
    if (target < 0 || target >= P::width) {
        const float nothing[P::run] = {};
        each_run<P>([&](int, u64 i) { store_run(to + i, nothing); });
        if (threadIdx.x == 0) {
            if constexpr (P::has_loss) loss[P::loss(row)] = 0.0f;
            if (target >= 0) report(fault, step, target);
        }
        return;
    }
    Runs<P, const Logits> runs(logits + P::logits(row));
    runs.load();
    const float logit = runs.row[target];
    const Exponentials of = exponentials<P, (P::smoothing > 0.0)>(runs);
    const double normaliser = static_cast<double>(logf(of.sum)) + of.largest;
    const float given = dloss[P::dloss(row)];
    const float share = given / of.sum * static_cast<float>(1.0 + 2.0 * P::z_loss * normaliser);
    const float spread = static_cast<float>(P::smoothing / P::width) * given;
    const float certain = static_cast<float>(1.0 - P::smoothing) * given;
    each_run<P>([&](int number, u64 i) {
        const float (&from)[P::run] = runs.at(number, i);
        float gradient[P::run];
#pragma unroll
        for (int lane = 0; lane < P::run; ++lane) {
            gradient[lane] = expf(from[lane] - of.largest) * share - spread;
            if (i + lane == static_cast<u64>(target)) gradient[lane] -= certain;
        }
        store_run(to + i, gradient);
    });
    if constexpr (P::has_loss) {
        if (threadIdx.x == 0) loss[P::loss(row)] = row_loss<P>(normaliser, logit, of.mean);
    }
}
