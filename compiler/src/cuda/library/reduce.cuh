// Sums and maxima over some axes, cut into parts of fixed size that are combined in order.

struct Sum {
    static __device__ __forceinline__ float start() { return 0.0f; }
    static __device__ __forceinline__ float join(float a, float b) { return a + b; }
    template <int THREADS>
    static __device__ __forceinline__ float block(float value) { return block_sum<THREADS>(value); }
};

struct Maximum {
    static __device__ __forceinline__ float start() { return -infinity(); }
    static __device__ __forceinline__ float join(float a, float b) { return maximum(a, b); }
    template <int THREADS>
    static __device__ __forceinline__ float block(float value) { return block_maximum<THREADS>(value); }
};

// A thread a result, a row of blocks a part: neighbouring results lie side by side.
template <class P, class Value>
__device__ __forceinline__ void reduce_down(float *partial, Value value) {
    const u64 result = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (result >= P::results) return;
    const u64 first = blockIdx.y * static_cast<u64>(P::part);
    const u64 end = first + P::part < P::reduced ? first + P::part : P::reduced;
    float sum = P::Kind::start();
    for (u64 i = first; i < end; ++i) sum = P::Kind::join(sum, value(result, i));
    partial[blockIdx.y * static_cast<u64>(P::results) + result] = sum;
}

// A block a part of a result: what is reduced lies side by side.
template <class P, class Value>
__device__ __forceinline__ void reduce_across(float *partial, Value value) {
    const u64 result = blockIdx.x;
    const u64 first = blockIdx.y * static_cast<u64>(P::part);
    const u64 end = first + P::part < P::reduced ? first + P::part : P::reduced;
    float sum = P::Kind::start();
    for (u64 i = first + threadIdx.x; i < end; i += P::threads) sum = P::Kind::join(sum, value(result, i));
    sum = P::Kind::template block<P::threads>(sum);
    if (threadIdx.x == 0) partial[blockIdx.y * static_cast<u64>(P::results) + result] = sum;
}

// The parts of every result combined in order.
template <class P, class Out>
__device__ void reduce_parts(const float *partial, Out *out) {
    const u64 result = blockIdx.x * static_cast<u64>(P::threads) + threadIdx.x;
    if (result >= P::results) return;
    float sum = partial[result];
    for (u64 part = 1; part < P::parts; ++part) sum = P::Kind::join(sum, partial[part * P::results + result]);
    out[P::out(result)] = sum;
}
