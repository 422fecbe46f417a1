// A safetensors file, as a trainer reads the weights that another one stored.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/status.h"
#include "worker/checkpoint/safetensors.h"

namespace canopy::fuzz {
namespace {

void ReadCheckpoint(std::string_view bytes) {
  const auto checkpoint = checkpoint::Parse(bytes);
  if (!checkpoint.ok()) {
    CANOPY_CHECK(checkpoint.status().code() == absl::StatusCode::kDataLoss, Message(checkpoint.status()));
    return;
  }
  const auto written = checkpoint::Serialize(*checkpoint);
  CANOPY_CHECK(written.ok(), Message(written.status()));
  const auto read = checkpoint::Parse(*written);
  CANOPY_CHECK(read.ok(), Message(read.status()));
  CANOPY_CHECK(*read == *checkpoint);
}

}  // namespace
}  // namespace canopy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canopy::fuzz::ReadCheckpoint({reinterpret_cast<const char*>(data), size});
  return 0;
}
