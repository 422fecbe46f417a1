#include <string>
#include <vector>

#include "base/strings.h"
#include "canopy/v1/file_format.pb.h"
#include "config/bind.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace canopy::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Append(const Message& message, std::string& text);

// A text by its length, so that no content can look like structure.
void AppendText(const std::string& value, std::string& text) {
  text += std::to_string(value.size()) + ":" + value;
}

void AppendField(const Message& message, const FieldDescriptor& field, int index, std::string& text) {
  const auto& r = *message.GetReflection();
  const bool many = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      Append(many ? r.GetRepeatedMessage(message, &field, index) : r.GetMessage(message, &field), text);
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      AppendText(many ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field), text);
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      text += FormatDouble(many ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_FLOAT:
      text += FormatDouble(many ? r.GetRepeatedFloat(message, &field, index) : r.GetFloat(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      text += std::to_string(many ? r.GetRepeatedInt32(message, &field, index) : r.GetInt32(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      text += std::to_string(many ? r.GetRepeatedInt64(message, &field, index) : r.GetInt64(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      text +=
          std::to_string(many ? r.GetRepeatedUInt32(message, &field, index) : r.GetUInt32(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      text +=
          std::to_string(many ? r.GetRepeatedUInt64(message, &field, index) : r.GetUInt64(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      text +=
          (many ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field)) ? "true" : "false";
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      text += (many ? r.GetRepeatedEnum(message, &field, index) : r.GetEnum(message, &field))->name();
      return;
  }
}

void Append(const Message& message, std::string& text) {
  std::vector<const FieldDescriptor*> fields;  // set fields, in order of their numbers
  message.GetReflection()->ListFields(message, &fields);
  text += '{';
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
        field->message_type() == v1::Position::descriptor()) {
      continue;
    }
    text += std::to_string(field->number()) + "=";
    const int size = field->is_repeated() ? message.GetReflection()->FieldSize(message, field) : 0;
    if (!field->is_repeated()) AppendField(message, *field, -1, text);
    for (int i = 0; i < size; ++i) {
      AppendField(message, *field, i, text);
      text += ',';
    }
    text += ';';
  }
  text += '}';
}

}  // namespace

std::string CanonicalText(const Message& message) {
  std::string text;
  Append(message, text);
  return text;
}

}  // namespace canopy::config
