// libcublasLt.so.13 for tests: matrix products as the library's documentation defines them, operands column by column.

#include <cstdint>
#include <cstring>
#include <functional>

extern "C" void llmc_shim_run(std::function<void()> *work);

namespace {

struct Layout {
    std::uint64_t rows, columns;
    std::int64_t leading, batch_stride;
    std::int32_t batch;
};

struct Description {
    std::int32_t transposed[2];
    bool rounds;
};

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
int cublasLtMatrixLayoutCreate(Layout **layout, int, std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
    if (leading < std::int64_t(rows)) return 7;  // CUBLAS_STATUS_INVALID_VALUE
    return *layout = new Layout{rows, columns, leading, 0, 1}, 0;
}
int cublasLtMatrixLayoutDestroy(Layout *layout) { return delete layout, 0; }
int cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, std::size_t size) {
    if (attribute == 5 && size == 4) return std::memcpy(&layout->batch, value, 4), 0;
    if (attribute == 6 && size == 8) return std::memcpy(&layout->batch_stride, value, 8), 0;
    return 7;
}
int cublasLtMatmulDescCreate(Description **description, int compute, int) {
    if (compute != 68 && compute != 77) return 7;  // CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32
    return *description = new Description{{0, 0}, compute == 77}, 0;
}
int cublasLtMatmulDescDestroy(Description *description) { return delete description, 0; }
int cublasLtMatmulDescSetAttribute(Description *description, int attribute, const void *value, std::size_t size) {
    if ((attribute != 3 && attribute != 4) || size != 4) return 7;
    return std::memcpy(&description->transposed[attribute - 3], value, 4), 0;
}
int cublasLtMatmulPreferenceCreate(void **preference) { return *preference = new char, 0; }
int cublasLtMatmulPreferenceDestroy(void *preference) { return delete static_cast<char *>(preference), 0; }
int cublasLtMatmulPreferenceSetAttribute(void *, int, const void *, std::size_t) { return 0; }
int cublasLtMatmulAlgoGetHeuristic(
    void *, Description *, Layout *, Layout *, Layout *, Layout *, void *, int, void *result, int *count
) {
    std::memset(result, 0, 96);
    return *count = 1, 0;
}
int cublasLtMatmul(
    void *, Description *description, const float *alpha, const float *a, Layout *a_layout, const float *b, Layout *b_layout,
    const float *beta, const float *c, Layout *, float *d, Layout *d_layout, const void *, void *, std::size_t, void *
) {
    const Description how = *description;
    const Layout left = *a_layout, right = *b_layout, out = *d_layout;
    const float factor = *alpha, keep = *beta;
    const std::uint64_t depth = how.transposed[0] ? left.rows : left.columns;
    const std::uint64_t other = how.transposed[1] ? right.columns : right.rows;
    const std::uint64_t rows = how.transposed[0] ? left.columns : left.rows;
    const std::uint64_t columns = how.transposed[1] ? right.rows : right.columns;
    if (depth != other || rows != out.rows || columns != out.columns || c != d) return 7;
    std::function<void()> work = [=] {
        for (std::int64_t batch = 0; batch < out.batch; ++batch) {
            for (std::uint64_t i = 0; i < rows; ++i) {
                for (std::uint64_t j = 0; j < columns; ++j) {
                    double sum = 0.0;
                    for (std::uint64_t k = 0; k < depth; ++k) {
                        const std::uint64_t at = how.transposed[0] ? k + i * left.leading : i + k * left.leading;
                        const std::uint64_t bt = how.transposed[1] ? j + k * right.leading : k + j * right.leading;
                        const float x = a[batch * left.batch_stride + at], y = b[batch * right.batch_stride + bt];
                        sum += double(rounded(x, how.rounds)) * rounded(y, how.rounds);
                    }
                    float &to = d[batch * out.batch_stride + i + j * out.leading];
                    to = float(factor * sum) + (keep == 0.0f ? 0.0f : keep * to);
                }
            }
        }
    };
    return llmc_shim_run(&work), 0;
}
}
