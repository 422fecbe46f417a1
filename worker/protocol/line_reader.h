#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace canopy::trainer_protocol {

inline constexpr size_t kMaxLineBytes = size_t{1} << 20;

// Splits a byte stream into lines. Holds at most one line's bytes beyond what was appended last.
class LineReader {
 public:
  void Append(std::string_view bytes);
  // The next complete line without its newline; nullopt: more bytes are needed. InvalidArgument once a
  // line passes kMaxLineBytes: the stream can't be trusted further and every later call says the same.
  StatusOr<std::optional<std::string>> Next();

 private:
  std::string buffer_;
  size_t begin_ = 0;    // of the next line
  size_t scanned_ = 0;  // no newline in [begin_, scanned_)
};

}  // namespace canopy::trainer_protocol
