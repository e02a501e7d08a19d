// Tensor cores: products of 16-bit floats, summed in 32 bits, by a whole warp at once; and the ways to bring operands to them.
//
// A warp holds a matrix as fragments. Lane `l` has of 16 x 8 sums the columns 2 (l % 4) and the next, of row l / 4 in the first two
// registers and of row l / 4 + 8 in the last two. Two such blocks side by side, rounded to 16 bits, are a first operand of 16 x 16:
// results of one product go into the next without leaving their lanes.
//
// The stand-ins for tests have the same functions with the same fragments.

template <class A, class B>
constexpr bool SAME = false;
template <class A>
constexpr bool SAME<A, A> = true;

#ifdef __CUDA_ARCH__
__device__ __forceinline__ u32 shared_address(const void *at) { return static_cast<u32>(__cvta_generic_to_shared(at)); }

// sum += a b, for `a` of 16 x 16 and `b` of 16 x 8.
template <class T>
__device__ __forceinline__ void multiply_add(float (&sum)[4], const u32 (&a)[4], u32 low, u32 high) {
    if constexpr (SAME<T, bf16>) {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(low), "r"(high));
    } else {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(low), "r"(high));
    }
}

// Four matrices of 8 x 8; lane `l` tells where row l % 8 of matrix l / 8 lies, and gets two neighbours of row l / 4 of each.
__device__ __forceinline__ void load_matrices(u32 (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}

// The same of the transposed matrices: two neighbours of column l / 4.
__device__ __forceinline__ void load_transposed(u32 (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}

// Asks for bytes to be copied to shared memory, or for zeros if they are not present: then nothing is read. They are there for
// this thread after `copies_done`.
template <int BYTES>
__device__ __forceinline__ void copy_later(void *to, const void *from, bool is_present) {
    const int given = is_present ? BYTES : 0;
    if constexpr (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(given) : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES), "r"(given) : "memory");
    }
}

__device__ __forceinline__ void copies_done() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Two floats rounded into one register, the first in the lower half.
template <class T>
__device__ __forceinline__ u32 pair(float low, float high) {
    u32 both;
    if constexpr (SAME<T, bf16>) asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    else asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

// 2^x, exact to about two units of the last place; below the normal numbers 0.
__device__ __forceinline__ float power_of_two(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

// Shared memory whose size is told at launch.
__device__ __forceinline__ unsigned char *launched_memory() {
    extern __shared__ __align__(128) unsigned char memory[];
    return memory;
}
#endif

// A tile in shared memory has rows of `WIDTH` 16-bit floats. Its pieces of 16 bytes are permuted within each row, so that eight
// neighbouring rows read at one column come from different banks.
template <int WIDTH>
__device__ __forceinline__ int place_in_tile(int row, int column) {
    constexpr int PIECES = WIDTH / 8, PERMUTED = PIECES % 8 == 0 ? 8 : PIECES % 4 == 0 ? 4 : 2;
    return row * WIDTH + ((column / 8) ^ (row / (8 / PERMUTED) % PERMUTED)) * 8;
}

// Asks for rows `first..` of a matrix; rows from `end` on become 0.
template <int ROWS, int WIDTH, int THREADS, class T, class Row>
__device__ __forceinline__ void copy_rows(T *to, const T *from, int first, int end, Row row) {
    constexpr int PIECES = WIDTH / 8;
#pragma unroll
    for (int step = 0; step < (ROWS * PIECES + THREADS - 1) / THREADS; ++step) {
        const int index = step * THREADS + threadIdx.x, at = index / PIECES, column = index % PIECES * 8;
        if (ROWS * PIECES % THREADS != 0 && index >= ROWS * PIECES) break;
        copy_later<16>(to + place_in_tile<WIDTH>(at, column), from + row(first + at) + column, first + at < end);
    }
}

// A warp's `GROUPS` times 16 rows as first operands: kept in registers where they have room, else read again for every product.
template <class T, int GROUPS, int WIDTH, bool IS_HELD>
struct Rows {
    const T *from;
    u32 held[IS_HELD ? WIDTH / 16 : 1][GROUPS][4];

    __device__ __forceinline__ void load(u32 (&to)[GROUPS][4], int column) const {
        const int lane = threadIdx.x % WARP;
#pragma unroll
        for (int group = 0; group < GROUPS; ++group) {
            load_matrices(to[group], from + place_in_tile<WIDTH>(group * 16 + lane % 16, column + lane / 16 * 8));
        }
    }

    // From now on the rows are those that lie here.
    __device__ __forceinline__ void take(const T *rows) {
        from = rows;
        if constexpr (IS_HELD) {
#pragma unroll
            for (int step = 0; step < WIDTH / 16; ++step) load(held[step], step * 16);
        }
    }

    // sums += these rows times the transposed rows of a tile.
    template <int TILE>
    __device__ __forceinline__ void multiply(float (&sums)[GROUPS][TILE / 8][4], const T *tile) const {
        const int lane = threadIdx.x % WARP;
#pragma unroll
        for (int step = 0; step < WIDTH / 16; ++step) {
            u32 a[GROUPS][4];
            if constexpr (IS_HELD) {
#pragma unroll
                for (int part = 0; part < GROUPS * 4; ++part) a[part / 4][part % 4] = held[step][part / 4][part % 4];
            } else {
                load(a, step * 16);
            }
#pragma unroll
            for (int row = 0; row < TILE; row += 16) {
                u32 b[4];
                load_matrices(b, tile + place_in_tile<WIDTH>(row + lane % 8 + lane / 16 * 8, step * 16 + lane / 8 % 2 * 8));
#pragma unroll
                for (int group = 0; group < GROUPS; ++group) {
                    multiply_add<T>(sums[group][row / 8], a[group], b[0], b[1]);
                    multiply_add<T>(sums[group][row / 8 + 1], a[group], b[2], b[3]);
                }
            }
        }
    }
};

// sums += factors, rounded, times the rows of a tile.
template <class T, int WIDTH, int GROUPS, int BLOCKS>
__device__ __forceinline__ void add_rows(float (&sums)[GROUPS][WIDTH / 8][4], const float (&factors)[GROUPS][BLOCKS][4], const T *tile) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int block = 0; block < BLOCKS; block += 2) {
        u32 a[GROUPS][4];
#pragma unroll
        for (int group = 0; group < GROUPS; ++group) {
#pragma unroll
            for (int part = 0; part < 4; ++part) {
                const float(&four)[4] = factors[group][block + part / 2];
                a[group][part] = pair<T>(four[part % 2 * 2], four[part % 2 * 2 + 1]);
            }
        }
#pragma unroll
        for (int column = 0; column < WIDTH; column += 16) {
            u32 b[4];
            load_transposed(b, tile + place_in_tile<WIDTH>(block * 8 + lane % 16, column + lane / 16 * 8));
#pragma unroll
            for (int group = 0; group < GROUPS; ++group) {
                multiply_add<T>(sums[group][column / 8], a[group], b[0], b[1]);
                multiply_add<T>(sums[group][column / 8 + 1], a[group], b[2], b[3]);
            }
        }
    }
}

// Writes a warp's rows, of which the first is `first`, each times a factor; rows from `end` on are left out.
template <class T, int WIDTH, int GROUPS, class Row, class Factor>
__device__ __forceinline__ void store_rows(T *to, const float (&sums)[GROUPS][WIDTH / 8][4], int first, int end, Row row, Factor factor) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int half = 0; half < 2 * GROUPS; ++half) {
        const int at = first + half * 8 + lane / 4;
        if (at >= end) continue;
        const float times = factor(half);
        u32 *words = reinterpret_cast<u32 *>(to + row(at)) + lane % 4;
#pragma unroll
        for (int block = 0; block < WIDTH / 8; ++block) {
            const float(&four)[4] = sums[half / 2][block];
            words[block * 4] = pair<T>(four[half % 2 * 2] * times, four[half % 2 * 2 + 1] * times);
        }
    }
}
