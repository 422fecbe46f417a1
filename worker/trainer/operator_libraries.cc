#include "worker/trainer/operator_libraries.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "base/sha256.h"
#include "base/strings.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {
namespace {

constexpr char kSymbol[] = "canopy_operator_library";

// Closes a descriptor at the end of its scope.
struct Descriptor {
  explicit Descriptor(int number) : number(number) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  // Left open for as long as the process lives.
  void Keep() { number = -1; }
  int number;
};

Status WriteAll(int descriptor, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FromErrno(errno, what);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

// Copies `path` into `memory`, and gives the SHA-256 of what it copied.
StatusOr<std::string> CopyAndHash(const std::string& path, int memory) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0) return FromErrno(errno, "open " + path);
  Sha256Stream hash;
  std::vector<char> buffer(1 << 16);
  for (;;) {
    const ssize_t count = ::read(file.number, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FromErrno(errno, "read " + path);
    if (count == 0) return hash.FinishHex();
    const std::string_view bytes(buffer.data(), static_cast<size_t>(count));
    hash.Update(bytes);
    CANOPY_RETURN_IF_ERROR(WriteAll(memory, bytes, "copy " + path));
  }
}

StatusOr<const operator_plugin::Library*> LoadLibrary(const AllowedLibrary& allowed) {
  const std::string name = std::filesystem::path(allowed.path).filename();
  Descriptor memory(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory.number < 0) return FromErrno(errno, "make memory for " + allowed.path);
  CANOPY_ASSIGN_OR_RETURN(const std::string sha256, CopyAndHash(allowed.path, memory.number));
  if (sha256 != allowed.sha256) {
    return FailedPrecondition(allowed.path + ": expected SHA-256 " + allowed.sha256 + ", found " + sha256 +
                              "; if this content is to be loaded, allow it in operator_libraries");
  }
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(memory.number, F_ADD_SEALS, kSeals) != 0)
    return FromErrno(errno, "seal the copy of " + allowed.path);
  const std::string copy = "/proc/self/fd/" + std::to_string(memory.number);
  void* library = ::dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* error = ::dlerror();
    return FailedPrecondition("load " + allowed.path + ": " + (error ? error : "unknown error") +
                              "; it may link LibTorch and the system's libraries only");
  }
  // The loader knows libraries by their paths: the next one is not to get this one's number, and with it this
  // one.
  memory.Keep();
  const auto describe = reinterpret_cast<const operator_plugin::Library* (*)()>(::dlsym(library, kSymbol));
  if (describe == nullptr) {
    return FailedPrecondition(allowed.path +
                              ": expected a library with CANOPY_OPERATORS(...) of "
                              "canopy/operator_plugin.h, found no " +
                              kSymbol);
  }
  return describe();
}

Status CheckVersions(const std::string& path, const operator_plugin::Library& library) {
  const auto refuse = [&](const std::string& what, const std::string& expected, const std::string& found) {
    return FailedPrecondition(path + ": expected a library built for " + what + " " + expected + ", found " +
                              found + "; build it again against the installed Canopy and LibTorch");
  };
  if (library.abi != CANOPY_OPERATOR_ABI)
    return refuse("operator ABI", std::to_string(CANOPY_OPERATOR_ABI), std::to_string(library.abi));
  if (LibtorchVersion() != library.libtorch_version)
    return refuse("LibTorch", LibtorchVersion(), library.libtorch_version);
  if (library.cxx11_abi != _GLIBCXX_USE_CXX11_ABI)
    return refuse("_GLIBCXX_USE_CXX11_ABI", std::to_string(_GLIBCXX_USE_CXX11_ABI),
                  std::to_string(library.cxx11_abi));
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<AllowedLibrary>> ParseAllowedLibraries(std::string_view text) {
  std::vector<AllowedLibrary> allowed;
  if (text.empty()) return allowed;
  for (const std::string& part : Split(text, ',')) {
    const size_t equals = part.rfind('=');
    AllowedLibrary library;
    if (equals != std::string::npos) library = {part.substr(0, equals), part.substr(equals + 1)};
    const bool digest = library.sha256.size() == 64 &&
                        library.sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!digest || !std::filesystem::path(library.path).is_absolute()) {
      return InvalidArgument(
          "operator_libraries: expected /path/of/library.so=<its SHA-256, 64 hexadecimal digits>, found '" +
          part + "'; `sha256sum` prints it");
    }
    allowed.push_back(std::move(library));
  }
  return allowed;
}

StatusOr<OperatorLibraries> OperatorLibraries::Load(std::span<const AllowedLibrary> allowed) {
  OperatorLibraries libraries;
  std::vector<std::string> digests;
  for (const AllowedLibrary& library : allowed) {
    CANOPY_RETURN_IF_ERROR(libraries.Add(library));
    digests.push_back(library.sha256);
  }
  std::sort(digests.begin(), digests.end());
  if (!digests.empty()) libraries.digest_ = Sha256Hex(Join(digests, "\n"));
  return libraries;
}

Status OperatorLibraries::Add(const AllowedLibrary& allowed) {
  CANOPY_ASSIGN_OR_RETURN(const operator_plugin::Library* library, LoadLibrary(allowed));
  if (library == nullptr) return FailedPrecondition(allowed.path + ": its " + kSymbol + " gave nothing");
  CANOPY_RETURN_IF_ERROR(CheckVersions(allowed.path, *library));
  for (uint64_t i = 0; i < library->entry_count; ++i) {
    const operator_plugin::Entry& entry = library->entries[i];
    const std::string name = entry.name;
    if (!IsLowerSnake(name) || entry.make == nullptr || search_space::FindOperator(name) != nullptr)
      return FailedPrecondition(allowed.path + ": expected operators with names of their own, found '" +
                                name + "'");
    if (!entries_.emplace(name, &entry).second) {
      return FailedPrecondition(allowed.path + ": expected each operator once, found '" + name + "', which " +
                                origins_[name] + " has, too");
    }
    origins_[name] = allowed.path;
  }
  return absl::OkStatus();
}

const operator_plugin::Entry* OperatorLibraries::Find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second;
}

std::vector<std::string> OperatorLibraries::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const OperatorLibraries& NoOperatorLibraries() {
  static const OperatorLibraries none;
  return none;
}

}  // namespace canopy::trainer
