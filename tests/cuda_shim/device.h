// CUDA C on one thread of the processor: a fiber a CUDA thread, blocks one after another.
//
// A kernel's source is compiled behind this file as plain C++. It cannot tell how fast a kernel is, nor find races between
// blocks; it does find wrong arithmetic, divergent barriers, missing barriers (run in both orders of threads) and accesses
// outside an allocation (guard pages, see cuda.cpp).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
// Blocks run one after another: what a block shares is one object for all of them.
#define __shared__ static

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __int_as_float(int bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
inline int __float_as_int(float value) {
    int bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
inline double cospi(double x) { return std::cos(M_PI * x); }
inline int atomicCAS(int *at, int expected, int value) {
    const int before = *at;
    if (before == expected) *at = value;
    return before;
}

namespace shim {

constexpr int MOST_THREADS = 1024, LANES = 32;
constexpr std::size_t STACK = 256 << 10;

struct Place {
    unsigned x, y, z;
};

enum State { READY, AT_BARRIER, AT_WARP, DONE };

struct Fiber {
    void *stack_pointer;
    State state;
    int line;
    // The bits that a shuffle hands over.
    std::uint64_t value;
    int vote;
    // What the others of the warp may read while all of it waits.
    const void *shown;
};

static Place thread_place, block_place;
static Fiber fibers[MOST_THREADS];
static char *stacks;
static void *scheduler;
static int threads, current;
static void (*entry)(void *);
static void *entry_argument;
static unsigned char *shared_memory;

// Saves the registers that a call keeps on the old stack, and takes them from the new one.
extern "C" void llmc_shim_switch(void **from, void *to);
asm(R"(
    .text
    .globl llmc_shim_switch
    .hidden llmc_shim_switch
    .type llmc_shim_switch, @function
llmc_shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

[[noreturn]] inline void fail(const char *reason) {
    std::fprintf(stderr, "shim: %s (block %u, %u; thread %d)\n", reason, block_place.x, block_place.y, current);
    std::_Exit(77);
}

// Back to the scheduler until what is waited for has come.
inline void wait(State state, int line) {
    Fiber &fiber = fibers[current];
    fiber.state = state;
    fiber.line = line;
    llmc_shim_switch(&fiber.stack_pointer, scheduler);
}

inline void barrier(int line) { wait(AT_BARRIER, line); }

inline int barrier_or(int vote, int line) {
    fibers[current].vote = vote;
    barrier(line);
    int any = 0;
    for (int thread = 0; thread < threads; ++thread) any |= fibers[thread].vote;
    barrier(line);
    return any != 0;
}

template <class T>
T shuffle_xor(unsigned mask, T value, int step, int line) {
    static_assert(sizeof(T) <= sizeof(Fiber::value), "a shuffle of more than 64 bits");
    if (mask != 0xffffffffu) fail("a shuffle of a part of a warp");
    std::memcpy(&fibers[current].value, &value, sizeof(T));
    wait(AT_WARP, line);
    const int other = current ^ step;
    if (other >= threads || fibers[other].state == DONE) fail("a shuffle with a thread that is gone");
    std::memcpy(&value, &fibers[other].value, sizeof(T));
    wait(AT_WARP, line);
    return value;
}

inline void fiber_main() {
    entry(entry_argument);
    Fiber &fiber = fibers[current];
    fiber.vote = 0;
    fiber.state = DONE;
    llmc_shim_switch(&fiber.stack_pointer, scheduler);
}

inline void resume(int thread) {
    current = thread;
    thread_place = {static_cast<unsigned>(thread), 0, 0};
    fibers[thread].state = READY;
    llmc_shim_switch(&scheduler, fibers[thread].stack_pointer);
}

// The state that all threads of a range wait in, if they do; READY if none is left.
inline State together(int first, int end) {
    State state = READY;
    int line = 0;
    for (int thread = first; thread < end; ++thread) {
        const Fiber &fiber = fibers[thread];
        if (fiber.state == DONE) continue;
        if (state != READY && fiber.state != state) return DONE;
        if (state != READY && fiber.line != line) fail("threads wait at different barriers");
        state = fiber.state;
        line = fiber.line;
    }
    return state;
}

inline void start(int thread) {
    // The stack as `llmc_shim_switch` left it: six registers, where to return to, and the alignment of a call. Neighbouring
    // stacks begin at different cache lines.
    char *top = stacks + (thread + 1) * STACK - 64 - thread % 61 * 64;
    void **slots = reinterpret_cast<void **>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t(15)) - 8;
    std::memset(slots, 0, 64);
    slots[6] = reinterpret_cast<void *>(&fiber_main);
    fibers[thread] = {slots, READY, 0, 0, 0, nullptr};
}

inline void run_block(bool reverse) {
    for (int thread = 0; thread < threads; ++thread) start(thread);
    const int warps = (threads + LANES - 1) / LANES;
    for (;;) {
        for (int number = 0; number < warps; ++number) {
            const int warp = reverse ? warps - 1 - number : number;
            const int first = warp * LANES, end = first + LANES < threads ? first + LANES : threads;
            do {
                for (int lane = 0; lane < end - first; ++lane) {
                    const int thread = reverse ? end - 1 - lane : first + lane;
                    if (fibers[thread].state != DONE && fibers[thread].state != AT_BARRIER) resume(thread);
                }
            } while (together(first, end) == AT_WARP);
        }
        const State state = together(0, threads);
        if (state == READY) return;
        if (state != AT_BARRIER) fail("some threads wait at a barrier, others for their warp");
        for (int thread = 0; thread < threads; ++thread) {
            if (fibers[thread].state != DONE) fibers[thread].state = READY;
        }
    }
}

// Shared memory of a size told at launch: it ends at a page that nobody may touch.
inline void share(std::size_t bytes) {
    constexpr std::size_t MOST = 256 << 10, PAGE = 4096;
    if (bytes > MOST) fail("more shared memory than any card has");
    static char *const start = [] {
        void *memory = mmap(nullptr, MOST + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) fail("no memory to share");
        mprotect(static_cast<char *>(memory) + MOST, PAGE, PROT_NONE);
        return static_cast<char *>(memory);
    }();
    if (bytes % 16 != 0) fail("shared memory that does not end at 16 bytes");
    shared_memory = reinterpret_cast<unsigned char *>(start + MOST - bytes);
    std::memset(shared_memory, 0xff, bytes);
}

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A *>(arguments[I])...);
}

// The sizes of a kernel's arguments, and their number.
template <class... A>
std::size_t sizes(void (*)(A...), std::size_t *to) {
    ((*to++ = sizeof(A)), ...);
    return sizeof...(A);
}

// Runs a kernel over its grid; each argument lies where `arguments` points to, as for cuLaunchKernel.
template <class... A>
void launch(void (*kernel)(A...), unsigned across, unsigned down, int count, unsigned shared, bool reverse, void **arguments) {
    struct Call {
        void (*kernel)(A...);
        void **arguments;
    } once{kernel, arguments};
    if (count < 1 || count > MOST_THREADS) fail("a block of a size that no card takes");
    if (!stacks) {
        void *memory = mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) fail("no memory for stacks");
        stacks = static_cast<char *>(memory);
    }
    threads = count;
    share(shared);
    entry_argument = &once;
    entry = [](void *argument) {
        const Call &once = *static_cast<Call *>(argument);
        call(once.kernel, once.arguments, std::index_sequence_for<A...>());
    };
    for (unsigned y = 0; y < down; ++y) {
        for (unsigned x = 0; x < across; ++x) {
            block_place = {x, y, 0};
            run_block(reverse);
        }
    }
}

}  // namespace shim

#define threadIdx (shim::thread_place)
#define blockIdx (shim::block_place)
#define __syncthreads() shim::barrier(__LINE__)
#define __syncthreads_or(vote) shim::barrier_or(vote, __LINE__)
#define __shfl_xor_sync(mask, value, step) shim::shuffle_xor(mask, value, step, __LINE__)

#include "tensor.h"
