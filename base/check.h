#pragma once

#include <string_view>

namespace canopy {

// Prints file, line and message to stderr and aborts. For a programmer's error only: what the
// environment, a peer or a user can cause returns an absl::Status.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, std::string_view message);

}  // namespace canopy

#define CANOPY_CHECK(condition, ...)                                                        \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::canopy::CheckFailed(__FILE__, __LINE__, #condition, std::string_view{__VA_ARGS__}); \
  } while (false)
