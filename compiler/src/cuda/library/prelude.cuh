// What every kernel uses: scalar functions, reductions of a block in a fixed order, counter-based random numbers.

typedef unsigned long long u64;
typedef long long i64;

constexpr int WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

// The larger and the smaller; not a number if one is not.
__device__ __forceinline__ float maximum(float a, float b) {
    const float larger = a > b ? a : b;
    return a != a ? a : larger;
}
__device__ __forceinline__ float minimum(float a, float b) { return -maximum(-a, -b); }

__device__ __forceinline__ float relu(float x) { return x < 0.0f ? 0.0f : x; }

__device__ __forceinline__ float sigmoid(float x) {
    const float e = expf(-fabsf(x));
    const float above = 1.0f / (1.0f + e);
    return x < 0.0f ? e * above : above;
}

__device__ __forceinline__ float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }

// (1 + tanh(v)) / 2 = sigmoid(2 v)
__device__ __forceinline__ float gelu_tanh(float x) {
    return x * sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
}

// Reductions of a warp and of a block: the same tree for every run, the result in every thread.

template <int WIDTH>
__device__ __forceinline__ float lanes_sum(float value) {
#pragma unroll
    for (int step = WIDTH / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

template <int WIDTH>
__device__ __forceinline__ float lanes_maximum(float value) {
#pragma unroll
    for (int step = WIDTH / 2; step > 0; step /= 2) value = maximum(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
}

template <int THREADS>
__device__ __forceinline__ float block_sum(float value) {
    __shared__ float parts[THREADS / WARP];
    value = lanes_sum<WARP>(value);
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int part = 0; part < THREADS / WARP; ++part) sum += parts[part];
    __syncthreads();
    return sum;
}

template <int THREADS>
__device__ __forceinline__ float block_maximum(float value) {
    __shared__ float parts[THREADS / WARP];
    value = lanes_maximum<WARP>(value);
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    float largest = parts[0];
#pragma unroll
    for (int part = 1; part < THREADS / WARP; ++part) largest = maximum(largest, parts[part]);
    __syncthreads();
    return largest;
}

// The largest of whole numbers, which floats may not hold.
template <int THREADS>
__device__ __forceinline__ i64 block_largest(i64 value) {
    __shared__ i64 parts[THREADS / WARP];
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
        const i64 other = __shfl_xor_sync(ALL_LANES, value, step);
        value = other > value ? other : value;
    }
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    i64 largest = parts[0];
#pragma unroll
    for (int part = 1; part < THREADS / WARP; ++part) largest = parts[part] > largest ? parts[part] : largest;
    __syncthreads();
    return largest;
}

// Several elements at once where memory allows it: 8 or 16 bytes, or twice 16. Two halves travel as the bits of a float.

template <class Half>
__device__ __forceinline__ void unpack(float *to, float pair) {
    Half low, high;
    low.bits = static_cast<u16>(float_bits(pair)), high.bits = static_cast<u16>(float_bits(pair) >> 16);
    to[0] = low, to[1] = high;
}

template <class Half>
__device__ __forceinline__ float pack(const float *from) {
    const Half low = from[0], high = from[1];
    return bits_float(low.bits | static_cast<u32>(high.bits) << 16);
}

template <int WIDTH, class T>
__device__ __forceinline__ void load_run(float (&to)[WIDTH], const T *from) {
    if constexpr (WIDTH * sizeof(T) == 16) {
        const float4 four = *reinterpret_cast<const float4 *>(from);
        if constexpr (WIDTH == 4) {
            to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
        } else {
            unpack<T>(to, four.x), unpack<T>(to + 2, four.y), unpack<T>(to + 4, four.z), unpack<T>(to + 6, four.w);
        }
    } else if constexpr (WIDTH * sizeof(T) == 8) {
        const float2 two = *reinterpret_cast<const float2 *>(from);
        unpack<T>(to, two.x), unpack<T>(to + 2, two.y);
    } else if constexpr (WIDTH * sizeof(T) == 32) {
        const float4 *fours = reinterpret_cast<const float4 *>(from);
        const float4 low = fours[0], high = fours[1];
        to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
        to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
    } else {
#pragma unroll
        for (int lane = 0; lane < WIDTH; ++lane) to[lane] = from[lane];
    }
}

template <int WIDTH, class T>
__device__ __forceinline__ void store_run(T *to, const float (&from)[WIDTH]) {
    if constexpr (WIDTH * sizeof(T) == 16) {
        float4 &four = *reinterpret_cast<float4 *>(to);
        if constexpr (WIDTH == 4) four = make_float4(from[0], from[1], from[2], from[3]);
        else four = make_float4(pack<T>(from), pack<T>(from + 2), pack<T>(from + 4), pack<T>(from + 6));
    } else if constexpr (WIDTH * sizeof(T) == 8) {
        *reinterpret_cast<float2 *>(to) = make_float2(pack<T>(from), pack<T>(from + 2));
    } else if constexpr (WIDTH * sizeof(T) == 32) {
        float4 *fours = reinterpret_cast<float4 *>(to);
        fours[0] = make_float4(from[0], from[1], from[2], from[3]);
        fours[1] = make_float4(from[4], from[5], from[6], from[7]);
    } else {
#pragma unroll
        for (int lane = 0; lane < WIDTH; ++lane) to[lane] = from[lane];
    }
}

template <int WIDTH, typename T>
__device__ __forceinline__ void load_steps(float (&to)[WIDTH], const T *from, i64 stride) {
#pragma unroll
    for (int lane = 0; lane < WIDTH; ++lane) to[lane] = static_cast<float>(from[lane * stride]);
}

template <int WIDTH, typename T, typename U>
__device__ __forceinline__ void store_steps(T *to, const U (&from)[WIDTH], i64 stride) {
#pragma unroll
    for (int lane = 0; lane < WIDTH; ++lane) to[lane * stride] = from[lane];
}

// Philox4x32-10 (Salmon et al. 2011): four random words for a block of a stream.
__device__ __forceinline__ void philox(u32 (&counter)[4], u64 seed) {
    u32 low = static_cast<u32>(seed), high = static_cast<u32>(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 first = static_cast<u64>(counter[0]) * 0xD2511F53ull;
        const u64 second = static_cast<u64>(counter[2]) * 0xCD9E8D57ull;
        const u32 a = static_cast<u32>(second >> 32) ^ counter[1] ^ low;
        const u32 c = static_cast<u32>(first >> 32) ^ counter[3] ^ high;
        counter[0] = a, counter[1] = static_cast<u32>(second), counter[2] = c, counter[3] = static_cast<u32>(first);
        low += 0x9E3779B9u, high += 0xBB67AE85u;
    }
}

// The first fault of a program stays: which step met it, and the number that did not fit.
__device__ __forceinline__ void report(int *fault, int step, int number) {
    if (atomicCAS(fault, 0, step + 1) == 0) fault[1] = number;
}
