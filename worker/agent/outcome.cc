#include "worker/agent/outcome.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace canopy::agent {
namespace {

constexpr off_t kLogTailBytes = 8 * 1024;

std::string SeedsJson(const v1::Lease& lease) {
  return nlohmann::json{{"initialization", std::to_string(lease.initialization_seed())},
                        {"data_order", std::to_string(lease.data_order_seed())},
                        {"augmentation", std::to_string(lease.augmentation_seed())}}
      .dump();
}

const std::string& Or(const std::string& value, const std::string& otherwise) {
  return value.empty() ? otherwise : value;
}

// The length of the UTF-8 character at the front of `bytes`, 0 where there is none.
size_t CharacterLength(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  const size_t length = lead < 0x80                   ? 1
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                        : (lead & 0xf0) == 0xe0       ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || length > bytes.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(bytes[i]) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies above U+10FFFF.
  const auto second = length > 1 ? static_cast<unsigned char>(bytes[1]) : 0;
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
      (lead == 0xf4 && second > 0x8f))
    return 0;
  return length;
}

}  // namespace

v1::AttemptResult ToAttemptResult(const trainer_protocol::Result& result, const v1::Lease& lease,
                                  const AttemptEnvironment& environment) {
  v1::AttemptResult out;
  for (const auto& [name, value] : result.metrics) (*out.mutable_metrics())[name] = value;
  out.set_epochs(lease.epochs());
  out.set_steps(result.steps);
  out.set_correct(result.correct);
  out.set_total(result.total);
  out.set_seeds_json(SeedsJson(lease));
  out.set_split_hash(result.split_hash);
  out.set_dataset_digest(Or(result.dataset_digest, lease.dataset_digest()));
  out.set_numeric_mode(lease.numeric_mode());
  out.set_trainer_build(Or(result.trainer_build, environment.trainer_build));
  out.set_libtorch_version(Or(result.libtorch_version, environment.libtorch_version));
  out.set_device_model(environment.device_model);
  out.set_images_per_second(result.images_per_second);
  if (result.weights) {
    out.set_weights_path(result.weights->path);
    out.set_weights_sha256(result.weights->sha256);
    out.set_weights_bytes(result.weights->bytes);
  }
  return out;
}

v1::Measurement ToMeasurement(const trainer_protocol::Measurement& measurement, int64_t attempt_id) {
  v1::Measurement out;
  out.set_attempt_id(attempt_id);
  out.set_step(measurement.step);
  out.set_epoch(measurement.epoch);
  for (const auto& [name, value] : measurement.metrics) (*out.mutable_metrics())[name] = value;
  return out;
}

std::string LogTail(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const off_t begin = std::max<off_t>(0, ::lseek(fd, 0, SEEK_END) - kLogTailBytes);
  std::string tail(kLogTailBytes, '\0');
  const ssize_t count = ::pread(fd, tail.data(), tail.size(), begin);
  ::close(fd);
  tail.resize(static_cast<size_t>(std::max<ssize_t>(0, count)));
  return ValidUtf8(tail);
}

std::string ValidUtf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t length = CharacterLength(bytes);
    if (length == 0 || bytes[0] == '\0') {
      text += '?';
    } else {
      text += bytes.substr(0, length);
    }
    bytes.remove_prefix(std::max<size_t>(1, length));
  }
  return text;
}

}  // namespace canopy::agent
