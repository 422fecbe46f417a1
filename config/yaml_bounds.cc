#include "config/yaml_bounds.h"

#include <array>

#include "config/yaml.h"

namespace canopy::config {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

class BoundsScan {
 public:
  BoundsScan(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Status Run() {
    while (at_ < text_.size()) {
      CANOPY_RETURN_IF_ERROR(Line());
    }
    return {};
  }

 private:
  Status Line() {
    ++line_;
    const size_t begin = at_;
    size_t end = text_.find('\n', begin);
    if (end == std::string_view::npos) end = text_.size();
    at_ = end + 1;
    size_t i = begin;
    while (i < end && IsBlank(text_[i])) ++i;
    // Blank lines and comments hold no structure, whatever surrounds them.
    if (i == end || text_[i] == '#' || text_[i] == '\r') return {};
    ++tokens_;
    i = Indentation(i, begin, end);
    if (depth_ > kMaxDepth) return TooDeep(i - begin);
    for (; i < end; ++i) {
      CANOPY_RETURN_IF_ERROR(Character(i, begin, end));
    }
    if (tokens_ > kMaxTokens) {
      return Error(0,
                   "expected at most " + std::to_string(kMaxTokens) + " tokens, found more: split the file");
    }
    return {};
  }

  // Columns of `- - ? -` at the line's start each open a level of block nesting.
  size_t Indentation(size_t i, size_t begin, size_t end) {
    Push(static_cast<int>(i - begin));
    while (i + 1 < end && (text_[i] == '-' || text_[i] == '?') && IsBlank(text_[i + 1])) {
      ++tokens_;
      i += 2;
      while (i < end && IsBlank(text_[i])) ++i;
      Push(static_cast<int>(i - begin));
    }
    return i;
  }

  void Push(int column) {
    while (depth_ > 0 && columns_[depth_ - 1] >= column) --depth_;
    if (depth_ <= kMaxDepth) columns_[depth_++] = column;
  }

  Status Character(size_t i, size_t begin, size_t end) {
    const char c = text_[i];
    switch (c) {
      case '[':
      case '{':
        ++tokens_;
        if (++brackets_ > kMaxDepth) return TooDeep(i - begin);
        break;
      case ']':
      case '}':
        ++tokens_;
        if (brackets_ > 0) --brackets_;
        break;
      case ',':
        ++tokens_;
        break;
      case ':':
      case '?':
      case '-':
        if (i + 1 == end || IsBlank(text_[i + 1]) || brackets_ > 0) ++tokens_;
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r') {
          return Error(i - begin, "expected text, found the control character " +
                                      std::to_string(static_cast<int>(static_cast<unsigned char>(c))));
        }
    }
    return {};
  }

  Status TooDeep(size_t column) const {
    return Error(column, "expected at most " + std::to_string(kMaxDepth) + " levels of nesting, found more");
  }
  Status Error(size_t column, std::string_view message) const {
    return Location{file_, line_, static_cast<int>(column) + 1, ""}.Error(message);
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
  int line_ = 0;
  size_t tokens_ = 0;
  int brackets_ = 0;
  int depth_ = 0;
  std::array<int, kMaxDepth + 1> columns_{};
};

}  // namespace

Status CheckYamlBounds(std::string_view text, const std::string& file) {
  if (text.size() > kMaxFileBytes) {
    return Location{file}.Error("expected at most " + std::to_string(kMaxFileBytes / 1024) + " KiB, found " +
                                std::to_string(text.size()) + " bytes");
  }
  return BoundsScan(text, file).Run();
}

}  // namespace canopy::config
