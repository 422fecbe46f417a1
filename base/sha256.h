#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace canopy {

// The 32 bytes of SHA-256 (FIPS 180-4).
std::string Sha256(std::string_view bytes);
// The same as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);

// SHA-256 over a stream. Not thread-safe.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void Update(std::string_view bytes);
  // The digest of all so far, in hexadecimal; ends the stream.
  std::string FinishHex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Blocks on disk. NotFound or Unavailable where the file can't be read.
StatusOr<std::string> Sha256HexOfFile(const std::string& path);

}  // namespace canopy
