// libnvrtc.so.13 for tests: kernels compiled by the C++ compiler of the machine. A "cubin" is the path of a shared library.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <unistd.h>

namespace {

struct Program {
    std::string source, log, cubin;
};

// The folder of this library: what is compiled stays beside it.
std::string folder() {
    Dl_info info;
    if (!dladdr(reinterpret_cast<void *>(&folder), &info)) return ".";
    const std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/'));
}

// For each kernel a function that calls it with arguments as cuLaunchKernel has them.
std::string entries(const std::string &source) {
    std::ostringstream text;
    const std::string mark = "extern \"C\" __global__ void ";
    for (std::size_t at = source.find(mark); at != std::string::npos; at = source.find(mark, at + 1)) {
        const std::size_t after = source.find(") ", at), end = source.find('(', after);
        const std::string name = source.substr(after + 2, end - after - 2);
        text << "extern \"C\" void enter_" << name << "(unsigned x, unsigned y, int threads, unsigned shared, bool reverse, void **arguments) {\n"
             << "    shim::launch(&" << name << ", x, y, threads, shared, reverse, arguments);\n}\n"
             << "extern \"C\" std::size_t sizes_" << name << "(std::size_t *sizes) { return shim::sizes(&" << name << ", sizes); }\n";
    }
    return text.str();
}

std::string read(const std::string &path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

extern "C" {

int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }

int nvrtcCreateProgram(Program **program, const char *source, const char *, int, const char *const *, const char *const *) {
    *program = new Program{source, "", ""};
    return 0;
}

int nvrtcCompileProgram(Program *program, int, const char *const *) {
    const std::string text = program->source + "\n" + entries(program->source);
    std::ostringstream name;
    name << folder() << "/kernels-" << std::hex << std::hash<std::string>()(text);
    const std::string base = name.str(), own = base + "." + std::to_string(getpid());
    if (access((base + ".so").c_str(), R_OK) != 0) {
        std::ofstream(own + ".cpp") << "#include \"" << SHIM_SOURCE << "/device.h\"\n" << text;
        const std::string command = std::string("c++ -std=c++17 -O2 -shared -fPIC -ffp-contract=off -fno-threadsafe-statics ") +
                                    "-Wno-unknown-pragmas -o '" + own + ".so' '" + own + ".cpp' 2> '" + own + ".log'";
        const int code = std::system(command.c_str());
        program->log = read(own + ".log");
        std::remove((own + ".log").c_str());
        if (code != 0) return 6;  // NVRTC_ERROR_COMPILATION
        std::rename((own + ".so").c_str(), (base + ".so").c_str());
        std::rename((own + ".cpp").c_str(), (base + ".cpp").c_str());
    }
    program->cubin = base + ".so";
    return 0;
}

int nvrtcGetCUBINSize(Program *program, std::size_t *size) { return *size = program->cubin.size() + 1, 0; }
int nvrtcGetCUBIN(Program *program, char *cubin) { return std::strcpy(cubin, program->cubin.c_str()), 0; }
int nvrtcGetProgramLogSize(Program *program, std::size_t *size) { return *size = program->log.size() + 1, 0; }
int nvrtcGetProgramLog(Program *program, char *log) { return std::strcpy(log, program->log.c_str()), 0; }
int nvrtcDestroyProgram(Program **program) { return delete *program, 0; }
const char *nvrtcGetErrorString(int) { return "an error of the shim"; }
}
