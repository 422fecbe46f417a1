#include "controller/service/query_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"

namespace canopy::controller {
namespace {

constexpr int kTimeoutMs = 8'000;
constexpr int64_t kDefaultRows = 10'000, kMaxRows = 1'000'000;
constexpr size_t kChunkBytes = 256 * 1024, kMaxRowBytes = 1 << 20;

class Pipe {
 public:
  Pipe() {
    if (pipe2(fds_, O_CLOEXEC) != 0) fds_[0] = fds_[1] = -1;
  }
  ~Pipe() {
    CloseEnd(0);
    CloseEnd(1);
  }
  int end(int i) const { return fds_[i]; }
  void CloseEnd(int i) {
    if (fds_[i] >= 0) close(fds_[i]);
    fds_[i] = -1;
  }

 private:
  int fds_[2];
};

StatusOr<pid_t> Spawn(const std::string& program, std::vector<std::string> arguments, const Pipe& in,
                      const Pipe& out) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.end(0), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.end(1), STDOUT_FILENO);
  // The controller blocks the signals that it waits for; the child must not.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return FromErrno(error, "start " + program + " for the query");
  return pid;
}

// Writes `input` and reads all output until the child closes it; DeadlineExceeded when it is too slow.
StatusOr<std::string> Converse(const std::string& input, Pipe& in, Pipe& out) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  fcntl(in.end(1), F_SETFL, O_NONBLOCK);
  std::string output;
  size_t written = 0;
  for (;;) {
    if (written == input.size()) in.CloseEnd(1);
    pollfd fds[2] = {{out.end(0), POLLIN, 0}, {in.end(1), POLLOUT, 0}};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return DeadlineExceeded("the query took longer than 8 s; narrow it, or ask for fewer rows");
    if (poll(fds, 2, static_cast<int>(left.count())) < 0 && errno != EINTR)
      return FromErrno(errno, "wait for the query");
    if (fds[1].revents != 0) {
      const ssize_t n = write(in.end(1), input.data() + written, input.size() - written);
      if (n < 0 && errno != EAGAIN) written = input.size();  // the child has ended; its output says why
      if (n > 0) written += static_cast<size_t>(n);
    }
    if (fds[0].revents == 0) continue;
    char buffer[64 * 1024];
    const ssize_t n = read(out.end(0), buffer, sizeof buffer);
    if (n < 0 && errno != EINTR) return FromErrno(errno, "read the query's rows");
    if (n == 0) return output;
    if (n > 0) output.append(buffer, static_cast<size_t>(n));
  }
}

StatusOr<std::vector<v1::QueryRows>> ParseOutput(const std::string& output) {
  std::vector<v1::QueryRows> messages(1);
  bool ended = false;
  size_t bytes = 0;
  for (const std::string& line : Split(output, '\n')) {
    if (line.empty()) continue;
    constexpr std::string_view kRow = "{\"row\":";
    if (line.rfind(kRow, 0) == 0) {
      if (line.size() > kMaxRowBytes)
        return ResourceExhausted("a row has " + FormatCount(static_cast<int64_t>(line.size())) +
                                 " bytes, and one of at most 1 MiB can be sent; select fewer columns");
      if (bytes > 0 && bytes + line.size() > kChunkBytes) {
        messages.emplace_back();
        bytes = 0;
      }
      bytes += line.size();
      messages.back().add_rows_json(line.substr(kRow.size(), line.size() - kRow.size() - 1));
      continue;
    }
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) break;
    if (json.contains("error"))
      return Status(static_cast<absl::StatusCode>(json.value("code", 13)), json.value("error", ""));
    if (json.contains("columns"))
      for (const auto& column : json["columns"]) messages[0].add_columns(column.get<std::string>());
    if (json.contains("end")) {
      ended = true;
      messages.back().set_truncated(json.value("truncated", false));
    }
  }
  if (!ended)
    return ResourceExhausted("the query's process ended early: it took more memory or time than it may");
  return messages;
}

}  // namespace

StatusOr<std::vector<v1::QueryRows>> RunQuery(const std::string& program, const std::string& database_path,
                                              const v1::QueryRequest& request) {
  const int64_t rows = request.max_rows() <= 0 ? kDefaultRows : std::min(request.max_rows(), kMaxRows);
  Pipe in, out;
  if (in.end(0) < 0 || out.end(0) < 0) return FromErrno(errno, "make a pipe for the query");
  CANOPY_ASSIGN_OR_RETURN(
      const pid_t pid,
      Spawn(program, {"canopy", "query-process", database_path, std::to_string(rows)}, in, out));
  in.CloseEnd(0);
  out.CloseEnd(1);
  const StatusOr<std::string> output = Converse(request.sql(), in, out);
  if (!output.ok()) kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  CANOPY_RETURN_IF_ERROR(output.status());
  return ParseOutput(*output);
}

}  // namespace canopy::controller
