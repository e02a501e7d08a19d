// libcuda.so.1 for tests: a driver whose one card is a thread of the processor.
//
// What is asked for runs at once, except while a stream records: then it is kept, and runs when the recording is launched.
// Every allocation ends at a page that nobody may touch.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <functional>
#include <map>
#include <string>
#include <sys/mman.h>
#include <vector>

namespace {

using Work = std::function<void()>;
using Entry = void (*)(unsigned, unsigned, int, unsigned, bool, void **);
using Clock = std::chrono::steady_clock;

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };
constexpr std::size_t PAGE = 4096, ALIGNMENT = 256;
// Shared memory that a block has without asking, and with.
constexpr int SHARED = 48 << 10, MOST_SHARED = 227 << 10;

struct Kernel {
    Entry enter;
    std::vector<std::size_t> sizes;
    int shared = SHARED;
};

struct Recording {
    std::vector<Work> works;
};

struct Event {
    Clock::time_point at;
};

std::map<std::uint64_t, std::pair<void *, std::size_t>> allocations;
std::size_t taken = 0;
int contexts = 0;
Recording *recording = nullptr;

// The order in which threads of a block run: results must not depend on it.
bool is_reverse() {
    static const bool reverse = [] {
        const char *order = std::getenv("LLMC_SHIM_ORDER");
        return order && std::string(order) == "reverse";
    }();
    return reverse;
}

std::size_t all_memory() {
    const char *bytes = std::getenv("LLMC_SHIM_MEMORY");
    return bytes ? std::strtoull(bytes, nullptr, 10) : std::size_t(8) << 30;
}

int run(Work work) {
    if (recording) recording->works.push_back(std::move(work));
    else work();
    return OK;
}

}  // namespace

extern "C" {

// For the other libraries of this shim.
void llmc_shim_run(std::function<void()> *work) { run(*work); }

int cuInit(unsigned) { return OK; }
int cuDeviceGetCount(int *count) {
    const char *given = std::getenv("LLMC_SHIM_CARDS");
    return *count = given ? std::atoi(given) : 1, OK;
}
int cuDeviceGet(int *device, int number) { return *device = number, OK; }
int cuDeviceGetName(char *name, int size, int) { return std::snprintf(name, size, "shim on the processor"), OK; }
int cuDeviceGetAttribute(int *value, int attribute, int) {
    if (attribute == 75) *value = 9;       // compute capability, major
    else if (attribute == 76) *value = 0;  // minor
    else *value = 1;
    return OK;
}
int cuDevicePrimaryCtxRetain(void **context, int) { return ++contexts, *context = &allocations, OK; }
int cuDevicePrimaryCtxRelease_v2(int) {
    if (--contexts == 0 && !allocations.empty()) std::fprintf(stderr, "shim: %zu allocations were never freed\n", allocations.size());
    return OK;
}
int cuCtxSetCurrent(void *) { return OK; }
int cuGetErrorName(int error, const char **text) { return *text = error == OUT_OF_MEMORY ? "SHIM_OUT_OF_MEMORY" : "SHIM_ERROR", OK; }
int cuGetErrorString(int, const char **text) { return *text = "an error of the shim", OK; }

int cuMemGetInfo_v2(std::size_t *free, std::size_t *all) { return *all = all_memory(), *free = *all - taken, OK; }
int cuMemAlloc_v2(std::uint64_t *address, std::size_t bytes) {
    const std::size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const std::size_t pages = (rounded + PAGE - 1) / PAGE * PAGE;
    if (recording || bytes == 0) return INVALID_VALUE;
    if (taken + bytes > all_memory()) return OUT_OF_MEMORY;
    void *start = mmap(nullptr, pages + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect(static_cast<char *>(start) + PAGE, pages, PROT_READ | PROT_WRITE);
    *address = reinterpret_cast<std::uint64_t>(start) + PAGE + pages - rounded;
    std::memset(reinterpret_cast<void *>(*address), 0xff, bytes);
    allocations[*address] = {start, pages + 2 * PAGE};
    taken += pages;
    return OK;
}
int cuMemFree_v2(std::uint64_t address) {
    const auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    munmap(found->second.first, found->second.second);
    taken -= found->second.second - 2 * PAGE;
    allocations.erase(found);
    return OK;
}
int cuMemHostAlloc(void **address, std::size_t bytes, unsigned) { return *address = std::malloc(bytes), OK; }
int cuMemFreeHost(void *address) { return std::free(address), OK; }
int cuMemsetD8Async(std::uint64_t address, unsigned char value, std::size_t bytes, void *) {
    return run([=] { std::memset(reinterpret_cast<void *>(address), value, bytes); });
}
int cuMemcpyHtoDAsync_v2(std::uint64_t to, const void *from, std::size_t bytes, void *) {
    return run([=] { std::memcpy(reinterpret_cast<void *>(to), from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void *to, std::uint64_t from, std::size_t bytes, void *) {
    return run([=] { std::memcpy(to, reinterpret_cast<void *>(from), bytes); });
}

int cuModuleLoadData(void **module, const void *image) {
    *module = dlopen(static_cast<const char *>(image), RTLD_NOW | RTLD_LOCAL);
    if (!*module) std::fprintf(stderr, "shim: %s\n", dlerror());
    return *module ? OK : INVALID_VALUE;
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
    void *found = dlsym(module, (std::string("enter_") + name).c_str());
    if (!found) return NOT_FOUND;
    const auto sizes = reinterpret_cast<std::size_t (*)(std::size_t *)>(dlsym(module, (std::string("sizes_") + name).c_str()));
    std::size_t list[64];
    const std::size_t count = sizes(list);
    *function = new Kernel{reinterpret_cast<Entry>(found), {list, list + count}};
    return OK;
}
int cuFuncSetAttribute(Kernel *kernel, int attribute, int value) {
    if (attribute != 8 || value > MOST_SHARED) return INVALID_VALUE;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    return kernel->shared = value, OK;
}
// Libraries stay open, as kernels of a graph may still be asked for.
int cuModuleUnload(void *) { return OK; }
int cuLaunchKernel(
    Kernel *kernel, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz, unsigned shared, void *,
    void **arguments, void **
) {
    if (x == 0 || y == 0 || y > 65535 || z != 1 || ty != 1 || tz != 1) return INVALID_VALUE;
    if (shared > unsigned(kernel->shared)) return INVALID_VALUE;
    // The arguments are copied now: the caller's may be gone when a recording runs.
    std::vector<std::vector<char>> values;
    for (std::size_t at = 0; at < kernel->sizes.size(); ++at) {
        const char *from = static_cast<const char *>(arguments[at]);
        values.emplace_back(from, from + kernel->sizes[at]);
    }
    return run([=]() mutable {
        std::vector<void *> pointers;
        for (auto &value : values) pointers.push_back(value.data());
        kernel->enter(x, y, static_cast<int>(threads), shared, is_reverse(), pointers.data());
    });
}

int cuStreamCreate(void **stream, unsigned) { return *stream = new char, OK; }
int cuStreamDestroy_v2(void *stream) { return delete static_cast<char *>(stream), OK; }
int cuStreamSynchronize(void *) { return recording ? INVALID_VALUE : OK; }
int cuStreamBeginCapture_v2(void *, int) {
    if (recording) return INVALID_VALUE;
    return recording = new Recording, OK;
}
int cuStreamEndCapture(void *, Recording **graph) {
    if (!recording) return INVALID_VALUE;
    *graph = recording;
    return recording = nullptr, OK;
}
int cuGraphInstantiateWithFlags(Recording **executable, Recording *graph, std::uint64_t) {
    return *executable = new Recording(*graph), OK;
}
int cuGraphDestroy(Recording *graph) { return delete graph, OK; }
int cuGraphExecDestroy(Recording *graph) { return delete graph, OK; }
int cuGraphLaunch(Recording *graph, void *) {
    for (auto &work : graph->works) work();
    return OK;
}

int cuEventCreate(Event **event, unsigned) { return *event = new Event{Clock::now()}, OK; }
int cuEventDestroy_v2(Event *event) { return delete event, OK; }
int cuEventRecord(Event *event, void *) { return event->at = Clock::now(), OK; }
int cuEventSynchronize(Event *) { return recording ? INVALID_VALUE : OK; }
int cuEventElapsedTime_v2(float *milliseconds, Event *begin, Event *end) {
    return *milliseconds = std::chrono::duration<float, std::milli>(end->at - begin->at).count(), OK;
}
}
