#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "canopy/v1/search_space.pb.h"

namespace canopy::search_space {

// The blocks under `blocks:` of a space file, checked: each name once, every use within them of one of them,
// none within itself, nested at most kMaxDepth deep, and each used by another or by the network. Refers to
// the file's message, which outlives it.
class Definitions {
 public:
  static constexpr int kMaxDepth = 16;
  // How far Count counts: one more than any space may have.
  static constexpr int64_t kMuch = 65537;

  Definitions() = default;
  static StatusOr<Definitions> Make(const v1::SearchSpaceFile& message, const std::string& file);

  // The block that `use` names; InvalidArgument, with its place, where there is none.
  StatusOr<const v1::BlockDefinition*> Find(const v1::UseBlock& use, const std::string& file) const;
  // How many blocks the expansion of `block` makes, at most kMuch; in time linear in what is written.
  int64_t Count(const v1::Block& block) const;

 private:
  struct Entry {
    const v1::NamedBlockDefinition* definition = nullptr;
    int64_t count = 0;
    bool open = false;  // being visited
    bool done = false;
    int depth = 1;  // of uses within, itself included
    bool used = false;
  };
  Status Visit(Entry& entry, const std::string& file, std::vector<std::string>& path);
  Status VisitUses(const v1::Block& block, const std::string& file, std::vector<std::string>& path,
                   int& depth);

  std::map<std::string, Entry, std::less<>> entries_;
};

// `copies` times `count`, at most Definitions::kMuch.
int64_t SaturatingProduct(int64_t copies, int64_t count);

}  // namespace canopy::search_space
