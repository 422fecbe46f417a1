#include "config/bind.h"

#include <cctype>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "canopy/v1/file_format.pb.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace canopy::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsPosition(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == v1::Position::descriptor();
}

std::string FieldList(const std::vector<std::string>& names) { return Join(names, ", "); }

std::vector<std::string> KeysOf(const Descriptor& type) {
  std::vector<std::string> keys;
  for (int i = 0; i < type.field_count(); ++i) {
    if (!IsPosition(*type.field(i))) keys.push_back(type.field(i)->name());
  }
  return keys;
}

// KIND_RANDOM_SEARCH of enum Kind is `random_search`.
std::string EnumWord(const EnumValueDescriptor& value) {
  std::string prefix;
  for (const char c : value.type()->name()) {
    if (std::isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  prefix += '_';
  std::string word = value.name();
  if (word.compare(0, prefix.size(), prefix) == 0) word.erase(0, prefix.size());
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word;
}

StatusOr<int> ReadEnum(const YamlNode& node, const EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;
    words.push_back(EnumWord(*type.value(i)));
    if (node.is_scalar() && node.text() == words.back()) return type.value(i)->number();
  }
  std::string hint = node.is_scalar() ? DidYouMean(node.text(), words) : "";
  return node.Error("expected one of " + FieldList(words) + ", found " + node.Describe() + hint);
}

StatusOr<int64_t> ReadInteger(const YamlNode& node, int64_t low, int64_t high) {
  const auto value = node.is_scalar() && node.plain() ? ParseInt(node.text()) : std::nullopt;
  if (value && *value >= low && *value <= high) return *value;
  if (low == 0) return node.Expected("an integer of 0 or more");
  return node.Expected("an integer");
}

StatusOr<double> ReadDouble(const YamlNode& node) {
  const auto value = node.is_scalar() && node.plain() ? ParseDouble(node.text()) : std::nullopt;
  if (value && *value - *value == 0) return *value;
  return node.Expected("a number");
}

StatusOr<bool> ReadBool(const YamlNode& node) {
  if (node.is_scalar() && node.plain() && (node.text() == "true" || node.text() == "false")) {
    return node.text() == "true";
  }
  return node.Expected("true or false");
}

// Sets or, for repeated fields, adds one scalar.
Status BindScalar(const YamlNode& node, const FieldDescriptor& field, Message& message) {
  const Reflection& r = *message.GetReflection();
  const bool add = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      CANOPY_ASSIGN_OR_RETURN(const int64_t v, ReadInteger(node, std::numeric_limits<int32_t>::min(),
                                                           std::numeric_limits<int32_t>::max()));
      add ? r.AddInt32(&message, &field, static_cast<int32_t>(v))
          : r.SetInt32(&message, &field, static_cast<int32_t>(v));
      return {};
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      CANOPY_ASSIGN_OR_RETURN(const int64_t v, ReadInteger(node, std::numeric_limits<int64_t>::min(),
                                                           std::numeric_limits<int64_t>::max()));
      add ? r.AddInt64(&message, &field, v) : r.SetInt64(&message, &field, v);
      return {};
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      CANOPY_ASSIGN_OR_RETURN(const int64_t v, ReadInteger(node, 0, std::numeric_limits<uint32_t>::max()));
      add ? r.AddUInt32(&message, &field, static_cast<uint32_t>(v))
          : r.SetUInt32(&message, &field, static_cast<uint32_t>(v));
      return {};
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      CANOPY_ASSIGN_OR_RETURN(const int64_t v, ReadInteger(node, 0, std::numeric_limits<int64_t>::max()));
      add ? r.AddUInt64(&message, &field, v) : r.SetUInt64(&message, &field, v);
      return {};
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      CANOPY_ASSIGN_OR_RETURN(const double v, ReadDouble(node));
      add ? r.AddDouble(&message, &field, v) : r.SetDouble(&message, &field, v);
      return {};
    }
    case FieldDescriptor::CPPTYPE_FLOAT: {
      CANOPY_ASSIGN_OR_RETURN(const double v, ReadDouble(node));
      add ? r.AddFloat(&message, &field, static_cast<float>(v))
          : r.SetFloat(&message, &field, static_cast<float>(v));
      return {};
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      CANOPY_ASSIGN_OR_RETURN(const bool v, ReadBool(node));
      add ? r.AddBool(&message, &field, v) : r.SetBool(&message, &field, v);
      return {};
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      CANOPY_ASSIGN_OR_RETURN(const int v, ReadEnum(node, *field.enum_type()));
      add ? r.AddEnumValue(&message, &field, v) : r.SetEnumValue(&message, &field, v);
      return {};
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (!node.is_scalar()) return node.Expected("a text");
      add ? r.AddString(&message, &field, node.text()) : r.SetString(&message, &field, node.text());
      return {};
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return Internal("field " + field.full_name() + " is no scalar");
}

// The two fields of a message that stands for a map's entry: name or key, and value.
std::optional<std::pair<const FieldDescriptor*, const FieldDescriptor*>> EntryFields(
    const FieldDescriptor& field) {
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return std::nullopt;
  const Descriptor& type = *field.message_type();
  const FieldDescriptor* name = type.FindFieldByName(field.is_map() ? "key" : "name");
  const FieldDescriptor* value = type.FindFieldByName("value");
  const bool exactly = static_cast<int>(KeysOf(type).size()) == 2;
  if (!exactly || !name || !value || name->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return std::nullopt;
  return std::make_pair(name, value);
}

Status BindValue(const Binder& binder, const YamlNode& node, const FieldDescriptor& field, Message& message) {
  if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return BindScalar(node, field, message);
  const Reflection& r = *message.GetReflection();
  Message* child = field.is_repeated() ? r.AddMessage(&message, &field) : r.MutableMessage(&message, &field);
  return binder.Bind(node, *child);
}

void FillPosition(const Location& location, Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName("position");
  if (!field || !IsPosition(*field)) return;
  auto* position = static_cast<v1::Position*>(message.GetReflection()->MutableMessage(&message, field));
  position->set_line(location.line);
  position->set_column(location.column);
  position->set_path(location.path);
}

Status BindRepeated(const Binder& binder, const YamlNode& node, const FieldDescriptor& field,
                    Message& message) {
  const auto entry = EntryFields(field);
  if (!entry) {
    if (!node.is_sequence()) return node.Expected("a list");
    for (const YamlNode* item : node.items())
      CANOPY_RETURN_IF_ERROR(BindValue(binder, *item, field, message));
    return {};
  }
  const auto add = [&](const std::string& name, const YamlNode& value, const Location& location) {
    Message* child = message.GetReflection()->AddMessage(&message, &field);
    child->GetReflection()->SetString(child, entry->first, name);
    FillPosition(location, *child);
    return BindValue(binder, value, *entry->second, *child);
  };
  if (node.is_sequence() && !field.is_map()) {
    for (const YamlNode* item : node.items()) {
      if (!item->is_scalar()) return item->Expected("a word: only a map gives names to other values");
      CANOPY_RETURN_IF_ERROR(add(item->text(), *item, item->location()));
    }
    return {};
  }
  if (!node.is_map()) return node.Expected("a map");
  for (const YamlNode::Entry& item : node.entries()) {
    Location location = item.value->location();
    location.line = item.line;
    location.column = item.column;
    CANOPY_RETURN_IF_ERROR(add(item.key, *item.value, location));
  }
  return {};
}

}  // namespace

void Binder::SetHook(std::string message_name, Hook hook) {
  hooks_[std::move(message_name)] = std::move(hook);
}

Status Binder::Bind(const YamlNode& node, Message& message) const {
  message.Clear();
  FillPosition(node.location(), message);
  const auto hook = hooks_.find(message.GetDescriptor()->full_name());
  return hook == hooks_.end() ? BindFields(node, message) : hook->second(*this, node, message);
}

Status Binder::BindFields(const YamlNode& node, Message& message) const {
  const Descriptor& type = *message.GetDescriptor();
  const std::vector<std::string> keys = KeysOf(type);
  if (!node.is_map()) return node.Expected("a map of " + FieldList(keys));
  for (const YamlNode::Entry& entry : node.entries()) {
    const FieldDescriptor* field = type.FindFieldByName(entry.key);
    if (!field || IsPosition(*field)) return node.UnknownKey(entry, keys);
    if (const auto* oneof = field->real_containing_oneof()) {
      const FieldDescriptor* other = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
      if (other) {
        return node.KeyLocation(entry).Error("expected only one of '" + other->name() + "' and '" +
                                             entry.key + "', found both");
      }
    }
    CANOPY_RETURN_IF_ERROR(field->is_repeated() ? BindRepeated(*this, *entry.value, *field, message)
                                                : BindValue(*this, *entry.value, *field, message));
  }
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.options().GetExtension(v1::required) && !node.Find(field.name())) {
      return node.Error("expected '" + field.name() + "', found none");
    }
  }
  return {};
}

StatusOr<YamlDocument> BindFile(std::string_view text, const std::string& file, const Binder& binder,
                                Message& message) {
  CANOPY_ASSIGN_OR_RETURN(YamlDocument document, ParseYaml(text, file));
  CANOPY_RETURN_IF_ERROR(CheckFormatVersion(document));
  CANOPY_RETURN_IF_ERROR(binder.Bind(document.root(), message));
  return document;
}

}  // namespace canopy::config
