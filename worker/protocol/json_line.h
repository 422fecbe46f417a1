#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "worker/protocol/messages.h"

namespace canopy::trainer_protocol {

// What both codecs share: one JSON object a line, read field by field.

// Parses a line into an object that has a "type" string. Bare NaN, Infinity and -Infinity become strings
// of these names. InvalidArgument says what was expected.
StatusOr<nlohmann::json> ParseLine(std::string_view line);

// The object's text with `raw` members ({name, JSON text}) appended; InvalidArgument above kMaxLineBytes.
StatusOr<std::string> FormatLine(const nlohmann::json& object,
                                 const std::vector<std::pair<std::string_view, std::string>>& raw = {});

// Metrics as a JSON object's text, with bare NaN and Infinity as Python's json writes them.
std::string FormatMetrics(const Metrics& metrics);

// Reads members of an object and keeps the first error, which names the member by its path. A missing
// member is an error for Get and leaves the value alone for GetOptional; null counts as missing.
class FieldReader {
 public:
  FieldReader(const nlohmann::json& object, std::string path);

  void Get(const char* name, std::string& value) { GetString(name, value, true); }
  void Get(const char* name, int64_t& value) { GetInteger(name, value, true); }
  void Get(const char* name, double& value) { GetNumber(name, value, true); }
  void GetOptional(const char* name, std::string& value) { GetString(name, value, false); }
  void GetOptional(const char* name, int64_t& value) { GetInteger(name, value, false); }
  void GetOptional(const char* name, double& value) { GetNumber(name, value, false); }
  void GetOptional(const char* name, bool& value);
  void GetOptional(const char* name, Metrics& value);
  // At most 4,096 of them.
  void GetOptional(const char* name, std::vector<int64_t>& value);
  // A decimal number written as a string: fences and seeds.
  void GetFence(const char* name, int64_t& value);
  void GetSeed(const char* name, uint64_t& value);
  // One of `names`; the enumerator's value is the name's index.
  template <typename Enum, size_t kCount>
  void GetEnum(const char* name, const std::string_view (&names)[kCount], Enum& value) {
    const int index = IndexOfName(name, names, kCount);
    if (index >= 0) value = static_cast<Enum>(index);
  }
  // A JSON object, kept as text.
  void GetOptionalObjectText(const char* name, std::string& text);
  // Reads a member that is an object through `read(FieldReader&)`; false where it is missing.
  template <typename Read>
  bool GetOptionalObject(const char* name, const Read& read) {
    const nlohmann::json* member = Find(name, false);
    if (member == nullptr || !Expect(member->is_object(), name, "an object")) return false;
    FieldReader inner(*member, path_ + "." + name);
    read(inner);
    if (status_.ok()) status_ = inner.status();
    return true;
  }
  template <typename Read>
  void GetObject(const char* name, const Read& read) {
    if (Find(name, true) != nullptr) GetOptionalObject(name, read);
  }
  // Records an error about member `name` unless `ok`.
  bool Expect(bool ok, const char* name, std::string_view expected);

  const Status& status() const { return status_; }

 private:
  void GetString(const char* name, std::string& value, bool required);
  void GetInteger(const char* name, int64_t& value, bool required);
  void GetNumber(const char* name, double& value, bool required);
  int IndexOfName(const char* name, const std::string_view* names, size_t count);
  const nlohmann::json* Find(const char* name, bool required);

  const nlohmann::json& object_;
  std::string path_;
  Status status_;
};

}  // namespace canopy::trainer_protocol
