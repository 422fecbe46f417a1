// A search-space file: read or refused, and if read, the same space each time.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/status.h"
#include "search_spaces/includes.h"
#include "search_spaces/space.h"

namespace canopy::fuzz {
namespace {

using search_space::SearchSpace;

void ReadSpace(std::string_view text) {
  const auto space = SearchSpace::Parse(text, "fuzz.yaml");
  if (!space.ok()) {
    CANOPY_CHECK(space.status().code() == absl::StatusCode::kInvalidArgument, Message(space.status()));
    CANOPY_CHECK(Message(space.status()).find("expected") != std::string::npos, Message(space.status()));
    return;
  }
  const auto again = SearchSpace::Parse(text, "again.yaml");
  CANOPY_CHECK(again.ok() && again->content_hash() == space->content_hash(), text);
  CANOPY_CHECK(!space->Size().empty() && !space->Size(/*architectures_only=*/true).empty(), text);
  if (space->reference()) {
    const Status status = space->CheckCandidate(*space->reference());
    CANOPY_CHECK(status.ok(), Message(status));
  }
}

// Each file that the space includes has the text of the space itself.
void ReadIncludes(std::string_view text) {
  const auto bundle = search_space::BundleIncludes(
      text, "fuzz.yaml", [&](const std::string&) -> StatusOr<std::string> { return std::string(text); });
  if (bundle.ok() && *bundle != text) ReadSpace(*bundle);
}

}  // namespace
}  // namespace canopy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  canopy::fuzz::ReadSpace(text);
  canopy::fuzz::ReadIncludes(text);
  return 0;
}
