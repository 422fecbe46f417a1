#include "config/yaml_bounds.h"

#include <array>

#include "config/yaml.h"

namespace canopy::config {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Bytes of the UTF-8 character that begins `text`; 0 where it begins with none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
  };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned char first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    // Neither overlong nor a surrogate.
    const bool valid = (first != 0xE0 || second >= 0xA0) && (first != 0xED || second < 0xA0);
    return valid && continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool valid = (first != 0xF0 || second >= 0x90) && (first != 0xF4 || second < 0x90);
    return valid && continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

bool IsStructure(char c) { return std::string_view("[{,:-?").find(c) != std::string_view::npos; }

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
    for (size_t k = begin; k < end;) {
      const size_t length = Utf8Length(text_.substr(k, end - k));
      if (length == 0)
        return Error(k - begin, "expected UTF-8 text, found a byte that is none: save the file as UTF-8");
      k += length;
    }
    size_t i = begin;
    while (i < end && IsBlank(text_[i])) ++i;
    // Blank lines and comments hold no structure, whatever surrounds them.
    if (i == end || text_[i] == '#' || text_[i] == '\r') return {};
    ++tokens_;
    i = Indentation(i, begin, end);
    if (depth_ > kMaxDepth) return TooDeep(i - begin);
    quote_ = 0;
    before_ = ':';
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
    const bool text = IsText(i, begin);
    switch (c) {
      case '[':
      case '{':
        ++tokens_;
        if (!text && ++brackets_ > kMaxDepth) return TooDeep(i - begin);
        break;
      case ']':
      case '}':
        ++tokens_;
        if (!text && brackets_ > 0) --brackets_;
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

  // Whether the character stands in a comment or a quoted text of this line, where brackets are no nesting.
  // Where that is unclear they are; the parser's tree bounds the nesting once more.
  bool IsText(size_t i, size_t begin) {
    const char c = text_[i];
    const bool after_blank = i > begin && IsBlank(text_[i - 1]);
    const char before = before_;
    if (!IsBlank(c)) before_ = c;
    if (quote_ == '#') return true;
    if (quote_ == 0) {
      if (c == '#' && after_blank) quote_ = c;
      if ((c == '"' || c == '\'') && IsStructure(before)) quote_ = c;
      return quote_ != 0;
    }
    const bool escaped = quote_ == '"' && before == '\\';
    if (c == quote_ && !escaped) quote_ = 0;
    return true;
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
  char quote_ = 0;     // of the text or comment that this line is in: ', " or #; 0: none
  char before_ = ':';  // the last character of this line that is no blank
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
