// libcublasLt.so.13 for tests: matrix products as the library's documentation defines them, operands column by column.

#include <cstdint>
#include <cstring>
#include <functional>

#define __device__
#define __forceinline__ inline
static inline float __int_as_float(int bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
static inline int __float_as_int(float value) {
    int bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}
#include "../../compiler/src/cuda/library/halves.cuh"

extern "C" void llmc_shim_run(std::function<void()> *work);

namespace {

enum { SINGLE = 0, F16 = 2, BF16 = 14 };  // CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF

struct Layout {
    int type;
    std::uint64_t rows, columns;
    std::int64_t leading, batch_stride;
    std::int32_t batch;
};

struct Description {
    std::int32_t transposed[2];
    bool rounds;
    // Sums over the depth go to an address.
    std::int32_t epilogue;
    float *sums;
    std::int32_t sums_type;
};

enum { PLAIN = 1, SUMS_OF_A = 256, SUMS_OF_B = 512 };  // CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BGRADA and BGRADB

// How addresses are aligned: what the library is told when it chooses an algorithm, which then carries it.
struct Alignments {
    std::uint32_t a, b, c, d;
};

bool is_type(int type) { return type == SINGLE || type == F16 || type == BF16; }

float read(const void *from, int type, std::int64_t at) {
    if (type == BF16) return static_cast<const bf16 *>(from)[at];
    if (type == F16) return static_cast<const f16 *>(from)[at];
    return static_cast<const float *>(from)[at];
}

void write(void *to, int type, std::int64_t at, float value) {
    if (type == BF16) static_cast<bf16 *>(to)[at] = value;
    else if (type == F16) static_cast<f16 *>(to)[at] = value;
    else static_cast<float *>(to)[at] = value;
}

bool is_aligned(const void *address, std::uint32_t bytes) { return reinterpret_cast<std::uintptr_t>(address) % bytes == 0; }

// Ten bits of mantissa, to the nearest: TF32.
float rounded(float value, bool rounds) {
    if (!rounds) return value;
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = (bits + 0x1000u) & ~0x1fffu;
    std::memcpy(&value, &bits, 4);
    return value;
}

}  // namespace

extern "C" {

int cublasLtCreate(void **handle) { return *handle = new char, 0; }
int cublasLtDestroy(void *handle) { return delete static_cast<char *>(handle), 0; }
int cublasLtMatrixLayoutCreate(Layout **layout, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
    if (leading < std::int64_t(rows) || !is_type(type)) return 7;  // CUBLAS_STATUS_INVALID_VALUE
    return *layout = new Layout{type, rows, columns, leading, 0, 1}, 0;
}
int cublasLtMatrixLayoutDestroy(Layout *layout) { return delete layout, 0; }
int cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, std::size_t size) {
    if (attribute == 5 && size == 4) return std::memcpy(&layout->batch, value, 4), 0;
    if (attribute == 6 && size == 8) return std::memcpy(&layout->batch_stride, value, 8), 0;
    return 7;
}
int cublasLtMatmulDescCreate(Description **description, int compute, int scale) {
    if ((compute != 68 && compute != 77) || scale != SINGLE) return 7;  // CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32
    return *description = new Description{{0, 0}, compute == 77, PLAIN, nullptr, -1}, 0;
}
int cublasLtMatmulDescDestroy(Description *description) { return delete description, 0; }
int cublasLtMatmulDescSetAttribute(Description *description, int attribute, const void *value, std::size_t size) {
    // CUBLASLT_MATMUL_DESC_TRANSA and TRANSB, EPILOGUE, BIAS_POINTER, BIAS_DATA_TYPE.
    if ((attribute == 3 || attribute == 4) && size == 4) return std::memcpy(&description->transposed[attribute - 3], value, 4), 0;
    if (attribute == 7 && size == 4) return std::memcpy(&description->epilogue, value, 4), 0;
    if (attribute == 8 && size == 8) return std::memcpy(&description->sums, value, 8), 0;
    if (attribute == 26 && size == 4) return std::memcpy(&description->sums_type, value, 4), 0;
    return 7;
}
int cublasLtMatmulPreferenceCreate(Alignments **preference) { return *preference = new Alignments{256, 256, 256, 256}, 0; }
int cublasLtMatmulPreferenceDestroy(Alignments *preference) { return delete preference, 0; }
int cublasLtMatmulPreferenceSetAttribute(Alignments *preference, int attribute, const void *value, std::size_t size) {
    std::uint32_t *places[] = {&preference->a, &preference->b, &preference->c, &preference->d};
    // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES and those behind it.
    if (attribute >= 5 && attribute <= 8 && size == 4) std::memcpy(places[attribute - 5], value, 4);
    return 0;
}
int cublasLtMatmulAlgoGetHeuristic(
    void *, Description *how, Layout *a, Layout *b, Layout *c, Layout *d, Alignments *alignments, int, void *result, int *count
) {
    std::memset(result, 0, 96);
    std::memcpy(result, alignments, sizeof *alignments);
    const bool is_supported = a->type == b->type && c->type == d->type && (d->type == a->type || d->type == SINGLE);
    const bool has_sums = how->epilogue == SUMS_OF_A || how->epilogue == SUMS_OF_B;
    if (has_sums ? !how->sums || how->sums_type != SINGLE || d->batch != 1 : how->epilogue != PLAIN) return *count = 0, 15;
    if (!is_supported || (how->rounds && a->type != SINGLE)) return *count = 0, 15;  // CUBLAS_STATUS_NOT_SUPPORTED
    return *count = 1, 0;
}
int cublasLtMatmul(
    void *, Description *description, const float *alpha, const void *a, Layout *a_layout, const void *b, Layout *b_layout,
    const float *beta, const void *c, Layout *, void *d, Layout *d_layout, const Alignments *promised, void *, std::size_t, void *
) {
    const Description how = *description;
    const Layout left = *a_layout, right = *b_layout, out = *d_layout;
    const float factor = *alpha, keep = *beta;
    const std::uint64_t depth = how.transposed[0] ? left.rows : left.columns;
    const std::uint64_t other = how.transposed[1] ? right.columns : right.rows;
    const std::uint64_t rows = how.transposed[0] ? left.columns : left.rows;
    const std::uint64_t columns = how.transposed[1] ? right.rows : right.columns;
    if (depth != other || rows != out.rows || columns != out.columns || c != d) return 7;
    if (!is_aligned(a, promised->a) || !is_aligned(b, promised->b) || !is_aligned(d, promised->d)) return 7;
    std::function<void()> work = [=] {
        for (std::int64_t batch = 0; batch < out.batch; ++batch) {
            for (std::uint64_t i = 0; i < rows; ++i) {
                for (std::uint64_t j = 0; j < columns; ++j) {
                    double sum = 0.0;
                    for (std::uint64_t k = 0; k < depth; ++k) {
                        const std::uint64_t at = how.transposed[0] ? k + i * left.leading : i + k * left.leading;
                        const std::uint64_t bt = how.transposed[1] ? j + k * right.leading : k + j * right.leading;
                        const float x = read(a, left.type, batch * left.batch_stride + at);
                        const float y = read(b, right.type, batch * right.batch_stride + bt);
                        sum += double(rounded(x, how.rounds)) * rounded(y, how.rounds);
                    }
                    const std::int64_t to = batch * out.batch_stride + i + j * out.leading;
                    const float before = keep == 0.0f ? 0.0f : keep * read(d, out.type, to);
                    write(d, out.type, to, float(factor * sum) + before);
                }
            }
        }
        for (std::uint64_t i = 0; how.epilogue != PLAIN && i < (how.epilogue == SUMS_OF_A ? rows : columns); ++i) {
            const bool of_a = how.epilogue == SUMS_OF_A, is_across = how.transposed[of_a ? 0 : 1] == (of_a ? 1 : 0);
            const Layout &from = of_a ? left : right;
            double sum = 0.0;
            for (std::uint64_t k = 0; k < depth; ++k) {
                sum += read(of_a ? a : b, from.type, is_across ? k + i * from.leading : i + k * from.leading);
            }
            how.sums[i] = float(sum);
        }
    };
    return llmc_shim_run(&work), 0;
}
}
