// Tensor cores for tests: the functions of the library's `tensor.cuh`, with the fragments that NVIDIA documents for `mma.m16n8k16`
// and `ldmatrix`. Copies of `cp.async` happen when they are waited for: what is read before is not there yet.
#pragma once

#include <vector>

namespace shim {

struct Copy {
    void *to;
    const void *from;
    std::size_t bytes;
    bool is_present;
};

static std::vector<Copy> copies[MOST_THREADS];

template <class T>
float half_at(unsigned word, int side) {
    T value;
    value.bits = static_cast<decltype(value.bits)>(word >> (16 * side));
    return value;
}

inline void matrices(unsigned (&to)[4], const void *row, bool is_transposed) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) fail("a row of a matrix that does not begin at 16 bytes");
    fibers[current].shown = row;
    wait(AT_WARP, __LINE__);
    const int lane = current % LANES, first = current - lane;
    for (int matrix = 0; matrix < 4; ++matrix) {
        to[matrix] = 0;
        for (int side = 0; side < 2; ++side) {
            const int pair = lane % 4 * 2 + side, single = lane / 4;
            const int down = is_transposed ? pair : single, across = is_transposed ? single : pair;
            std::uint16_t half;
            std::memcpy(&half, static_cast<const char *>(fibers[first + matrix * 8 + down].shown) + 2 * across, 2);
            to[matrix] |= static_cast<unsigned>(half) << (16 * side);
        }
    }
    wait(AT_WARP, __LINE__);
}

}  // namespace shim

// sum[row][column] += a[row][k] b[k][column]: a lane has rows l / 4 and l / 4 + 8 of `a`, and column l / 4 of `b`.
template <class T>
void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned low, unsigned high) {
    const unsigned mine[6] = {a[0], a[1], a[2], a[3], low, high};
    shim::fibers[shim::current].shown = mine;
    shim::wait(shim::AT_WARP, __LINE__);
    const int lane = shim::current % shim::LANES, first = shim::current - lane;
    const auto of = [&](int other) { return static_cast<const unsigned *>(shim::fibers[first + other].shown); };
    for (int part = 0; part < 4; ++part) {
        const int column = lane % 4 * 2 + part % 2;
        for (int k = 0; k < 16; ++k) {
            const int quad = k % 8 / 2;
            const unsigned left = of(lane / 4 * 4 + quad)[part / 2 + k / 8 * 2], right = of(column * 4 + quad)[4 + k / 8];
            sum[part] += shim::half_at<T>(left, k % 2) * shim::half_at<T>(right, k % 2);
        }
    }
    shim::wait(shim::AT_WARP, __LINE__);
}

inline void load_matrices(unsigned (&to)[4], const void *row) { shim::matrices(to, row, false); }
inline void load_transposed(unsigned (&to)[4], const void *row) { shim::matrices(to, row, true); }

template <int BYTES>
void copy_later(void *to, const void *from, bool is_present) {
    const auto places = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from);
    if (places % BYTES != 0) shim::fail("a copy from or to a place that is not a multiple of its size");
    shim::copies[shim::current].push_back({to, from, BYTES, is_present});
}

inline void copies_done() {
    for (const shim::Copy &copy : shim::copies[shim::current]) {
        if (copy.is_present) std::memcpy(copy.to, copy.from, copy.bytes);
        else std::memset(copy.to, 0, copy.bytes);
    }
    shim::copies[shim::current].clear();
}

template <class T>
unsigned pair(float low, float high) {
    return T(low).bits | static_cast<unsigned>(T(high).bits) << 16;
}

inline float power_of_two(float x) { return std::exp2(x); }
inline unsigned char *launched_memory() { return shim::shared_memory; }
