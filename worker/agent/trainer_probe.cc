#include "worker/agent/trainer_probe.h"

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "worker/agent/spawn.h"
#include "worker/protocol/messages.h"

namespace canopy::agent {
namespace {

using nlohmann::json;

// Loading LibTorch from a slow disk for the first time takes a while.
constexpr int64_t kProbeTimeoutMs = 120'000;

// A member that is missing or of another type counts as "", 0, no texts and false.
std::string TextOf(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}
int64_t IntegerOf(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}
std::vector<std::string> TextsOf(const json& object, const char* name) {
  std::vector<std::string> texts;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return texts;
  for (const json& item : *found)
    if (item.is_string()) texts.push_back(item.get<std::string>());
  return texts;
}
bool IsTrue(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

StatusOr<std::string> TrainerProgram(const std::string& path) {
  std::string program = path;
  if (program.empty()) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return FromErrno(error.value(), "read /proc/self/exe");
    program = (self.parent_path() / "canopy-trainer").string();
  }
  if (::access(program.c_str(), X_OK) != 0 || std::filesystem::is_directory(program))
    return FailedPrecondition("the trainer " + program +
                              " is missing or is no executable program; install it " +
                              "or name another with --trainer");
  return std::filesystem::absolute(program).string();
}

StatusOr<TrainerVersion> ProbeTrainer(const TrainerCommand& command) {
  const std::string& program = command.program;
  std::vector<std::string> arguments = command.arguments;
  arguments.push_back("--version");
  CANOPY_ASSIGN_OR_RETURN(const std::string output, OutputOf(program, arguments, kProbeTimeoutMs));
  const json version = json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!version.is_object() || !version.contains("trainer_build"))
    return FailedPrecondition(program +
                              " --version: expected a JSON object with trainer_build; is it a trainer?");
  const int64_t protocol = IntegerOf(version, "protocol_version");
  if (protocol != trainer_protocol::kVersion)
    return FailedPrecondition(program + " speaks trainer protocol " + std::to_string(protocol) +
                              ", this agent version " + std::to_string(trainer_protocol::kVersion) +
                              "; install both from the same release");
  return TrainerVersion{.build = TextOf(version, "trainer_build"),
                        .libtorch_version = TextOf(version, "libtorch_version"),
                        .fast_bf16 = IsTrue(version, "fast_bf16"),
                        .zygote = IsTrue(version, "zygote"),
                        .rungs = IsTrue(version, "rungs"),
                        .checkpoints = IsTrue(version, "checkpoints"),
                        .operators = TextsOf(version, "operators")};
}

}  // namespace canopy::agent
