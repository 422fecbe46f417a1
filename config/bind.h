#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"
#include "config/yaml.h"

namespace google::protobuf {
class Message;
}

namespace canopy::config {

// Fills protobuf messages from YAML strictly, by reflection: the .proto file is the schema.
//   message            a map; keys are field names, an unknown one gives the nearest valid name
//   repeated           a list; where the message has exactly the fields `name` and `value`, a map whose
//                      order is kept, or a list of words that stand for both
//   map<string, T>     a map
//   enum               the value's name in lower case without the enum's prefix: GOAL_MAXIMIZE of enum
//                      Goal is `maximize`; the zero value can't be named
//   integer, double,   a plain scalar in range
//   bool
//   string             any scalar
// A field with option (canopy.v1.required) must be there. At most one field of a oneof may be. A field of
// type canopy.v1.Position is no key: it is filled with where its message stands.
// Errors are InvalidArgument "file:line:column: path: expected ..., found ...".
class Binder {
 public:
  using Hook =
      std::function<Status(const Binder& binder, const YamlNode& node, google::protobuf::Message& message)>;

  // Replaces the rule for every message of that full name ("canopy.v1.Block"): for one that may also be
  // written as a scalar or list. The hook may call BindFields; its Position is filled before.
  void SetHook(std::string message_name, Hook hook);

  // Clears and fills `message`, by its hook if it has one.
  Status Bind(const YamlNode& node, google::protobuf::Message& message) const;
  // The rule for a message without a hook.
  Status BindFields(const YamlNode& node, google::protobuf::Message& message) const;

 private:
  std::map<std::string, Hook> hooks_;
};

// Parses a whole file into `message`: bounds, YAML, `canopy: 1`, Bind. The document locates semantic
// errors found later: `document.Locate("strategy.population").Error("expected ...")`.
StatusOr<YamlDocument> BindFile(std::string_view text, const std::string& file, const Binder& binder,
                                google::protobuf::Message& message);

// The message as canonical text, for content hashes: set fields in order of their numbers, doubles in
// their shortest exact form. Fields of type canopy.v1.Position are left out.
std::string CanonicalText(const google::protobuf::Message& message);

}  // namespace canopy::config
