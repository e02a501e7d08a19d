// 16-bit floats, of which memory is made: they turn into float when they are read, and are rounded to the nearest, ties to even,
// when they are written. NVIDIA's headers are not asked for: a machine that runs kernels need not have them.

typedef unsigned short u16;
typedef unsigned int u32;

__device__ __forceinline__ u32 float_bits(float x) { return static_cast<u32>(__float_as_int(x)); }
__device__ __forceinline__ float bits_float(u32 bits) { return __int_as_float(static_cast<int>(bits)); }

__device__ __forceinline__ u16 bf16_bits(float x) {
#ifdef __CUDA_ARCH__
    u16 bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    const u32 bits = float_bits(x);
    if (x != x) return 0x7fff;
    return static_cast<u16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#endif
}

__device__ __forceinline__ u16 f16_bits(float x) {
#ifdef __CUDA_ARCH__
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#else
    const u32 bits = float_bits(x), sign = (bits >> 16) & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return static_cast<u16>(0x7fff);
    // 65520 and above round to infinity.
    if (size >= 0x477ff000u) return static_cast<u16>(sign | 0x7c00u);
    if (size < 0x38800000u) {
        // Below the normal numbers: units of 2^-24. Adding 0.5, whose last place has that weight, rounds.
        const u32 units = float_bits(bits_float(size) + 0.5f) - float_bits(0.5f);
        return static_cast<u16>(sign | units);
    }
    const u32 rounded = size + 0xfffu + ((size >> 13) & 1u);
    return static_cast<u16>(sign | ((rounded - 0x38000000u) >> 13));
#endif
}

__device__ __forceinline__ float f16_float(u16 bits) {
#ifdef __CUDA_ARCH__
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
#else
    const u32 sign = static_cast<u32>(bits & 0x8000u) << 16, size = bits & 0x7fffu;
    if (size >= 0x7c00u) return bits_float(sign | 0x7f800000u | ((size & 0x3ffu) << 13));
    // Exact: numbers of 2^-24 for the smallest, and shifted exponents for the others.
    const float value = size < 0x400u ? static_cast<float>(size) * 5.9604644775390625e-8f : bits_float((size << 13) + 0x38000000u);
    return sign ? -value : value;
#endif
}

struct bf16 {
    u16 bits;
    bf16() = default;
    __device__ __forceinline__ bf16(float x) : bits(bf16_bits(x)) {}
    __device__ __forceinline__ operator float() const { return bits_float(static_cast<u32>(bits) << 16); }
};

struct f16 {
    u16 bits;
    f16() = default;
    __device__ __forceinline__ f16(float x) : bits(f16_bits(x)) {}
    __device__ __forceinline__ operator float() const { return f16_float(bits); }
};

__device__ __forceinline__ float round_bf16(float x) { return bf16(x); }
__device__ __forceinline__ float round_f16(float x) { return f16(x); }

