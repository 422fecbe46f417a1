// The stream that an agent reads from a trainer, or a zygote from its agent: lines of either protocol, which
// arrive in pieces whose size the stream's length gives.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/status.h"
#include "worker/protocol/codec.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/zygote.h"

namespace canopy::fuzz {
namespace {

// A message that was read is written as a line that means the same: texts are compared, because NaN is not
// equal to itself.
template <typename Decode, typename Encode>
void CheckMessage(std::string_view line, Decode decode, Encode encode) {
  const auto message = decode(line);
  if (!message.ok()) {
    CANOPY_CHECK(message.status().code() == absl::StatusCode::kInvalidArgument, Message(message.status()));
    return;
  }
  const auto written = encode(*message);
  // What was read with fewer escapes can be too long to be written.
  if (!written.ok()) return;
  CANOPY_CHECK(written->find('\n') == std::string::npos, *written);
  const auto read = decode(*written);
  CANOPY_CHECK(read.ok(), Message(read.status()));
  const auto again = encode(*read);
  CANOPY_CHECK(again.ok() && *again == *written, *written);
}

void ReadStream(std::string_view bytes) {
  const size_t piece = bytes.size() % 251 + 1;
  trainer_protocol::LineReader reader;
  while (!bytes.empty()) {
    reader.Append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    while (true) {
      const auto line = reader.Next();
      if (!line.ok()) return;
      if (!*line) break;
      CheckMessage(**line, trainer_protocol::Decode, trainer_protocol::Encode);
      CheckMessage(**line, trainer_protocol::DecodeZygote, trainer_protocol::EncodeZygote);
    }
  }
}

}  // namespace
}  // namespace canopy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canopy::fuzz::ReadStream({reinterpret_cast<const char*>(data), size});
  return 0;
}
