#include "worker/protocol/line_reader.h"

namespace canopy::trainer_protocol {

void LineReader::Append(std::string_view bytes) {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  buffer_.append(bytes);
}

StatusOr<std::optional<std::string>> LineReader::Next() {
  const size_t newline = buffer_.find('\n', scanned_);
  const size_t end = newline == std::string::npos ? buffer_.size() : newline;
  if (end - begin_ > kMaxLineBytes)
    return InvalidArgument(
        "trainer protocol: expected a newline within 1 MiB; the peer sends something else");
  if (newline == std::string::npos) {
    scanned_ = end;
    return std::optional<std::string>();
  }
  std::optional<std::string> line = buffer_.substr(begin_, newline - begin_);
  begin_ = scanned_ = newline + 1;
  return line;
}

}  // namespace canopy::trainer_protocol
