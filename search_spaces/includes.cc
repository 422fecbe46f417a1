#include "search_spaces/includes.h"

#include <filesystem>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"
#include "search_spaces/space_file.h"

namespace canopy::search_space {
namespace {

namespace fs = std::filesystem;

// The path of `included` from the space's folder, where `from` includes it.
StatusOr<std::string> PathOf(const std::string& from, const std::string& included,
                             const config::Location& place) {
  if (included.empty() || fs::path(included).is_absolute())
    return place.Error("expected the path of a file relative to this one, found '" + included + "'");
  return (fs::path(from).parent_path() / included).lexically_normal().generic_string();
}

Status CheckBounds(size_t count, size_t depth, const config::Location& place) {
  if (count > kMaxIncludes)
    return place.Error("expected at most " + std::to_string(kMaxIncludes) + " included files, found more");
  if (depth > kMaxIncludeDepth) {
    return place.Error("expected files that include each other at most " + std::to_string(kMaxIncludeDepth) +
                       " deep, found more");
  }
  return {};
}

// Collects texts, each file once.
class Bundler {
 public:
  Bundler(const std::string& file, const ReadIncluded& read) : file_(file), read_(read) {}

  Status Visit(const config::YamlNode& root, const std::string& path, size_t depth) {
    const config::YamlNode* include = root.Find("include");
    if (!include || !include->is_sequence()) return {};
    for (const config::YamlNode* item : include->items()) {
      CANOPY_ASSIGN_OR_RETURN(const std::string included, PathOf(path, item->text(), item->location()));
      if (texts_.count(included)) continue;
      CANOPY_RETURN_IF_ERROR(CheckBounds(texts_.size() + 1, depth, item->location()));
      auto text = read_(included);
      if (!text.ok()) return item->Error(Message(text.status()));
      bytes_ += text->size();
      if (bytes_ > config::kMaxFileBytes) {
        return item->Error("expected at most " + std::to_string(config::kMaxFileBytes / 1024) +
                           " KiB in all included files, found more");
      }
      CANOPY_ASSIGN_OR_RETURN(const config::YamlDocument document,
                              config::ParseYaml(*text, IncludedFileName(file_, included)));
      texts_.emplace(included, *std::move(text));
      CANOPY_RETURN_IF_ERROR(Visit(document.root(), included, depth + 1));
    }
    return {};
  }

  const std::map<std::string, std::string>& texts() const { return texts_; }

 private:
  const std::string& file_;
  const ReadIncluded& read_;
  std::map<std::string, std::string> texts_;
  size_t bytes_ = 0;
};

// Fills `file` of every position within.
void SetFile(const std::string& file, google::protobuf::Message& message) {
  if (message.GetDescriptor() == v1::Position::descriptor()) {
    static_cast<v1::Position&>(message).set_file(file);
    return;
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      SetFile(file, *reflection.MutableMessage(&message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      SetFile(file, *reflection.MutableRepeatedMessage(&message, field, i));
  }
}

// Reads the blocks and operators of included files, those of what a file includes before its own.
class Merger {
 public:
  Merger(const config::Binder& binder, const std::string& file, const v1::SearchSpaceFile& message)
      : binder_(binder), file_(file) {
    for (const auto& text : message.included()) texts_.emplace(text.name(), &text.value());
  }

  Status Visit(const google::protobuf::RepeatedPtrField<std::string>& includes, const std::string& path,
               const config::YamlDocument& document, size_t depth) {
    for (int i = 0; i < includes.size(); ++i) {
      const config::Location place = document.Locate("include[" + std::to_string(i) + "]");
      CANOPY_ASSIGN_OR_RETURN(const std::string included, PathOf(path, includes[i], place));
      if (open_.count(included)) {
        return place.Error("expected a file that does not include itself, found '" + included +
                           "', which includes this one");
      }
      if (done_.count(included)) continue;
      CANOPY_RETURN_IF_ERROR(CheckBounds(done_.size() + open_.size() + 1, depth, place));
      const auto text = texts_.find(included);
      if (text == texts_.end()) {
        return place.Error("expected the text of '" + included +
                           "' under `included`, found none: read the space with the canopy command");
      }
      v1::SpaceLibraryFile library;
      const std::string name = IncludedFileName(file_, included);
      CANOPY_ASSIGN_OR_RETURN(const config::YamlDocument inner,
                              config::BindFile(*text->second, name, binder_, library));
      open_.insert(included);
      CANOPY_RETURN_IF_ERROR(Visit(library.include(), included, inner, depth + 1));
      open_.erase(included);
      done_.insert(included);
      SetFile(name, library);
      if (library.blocks().empty() && library.operators().empty())
        return inner.root().Error("expected 'blocks' or 'operators', found none");
      for (auto& block : *library.mutable_blocks()) blocks_.Add(std::move(block));
      for (auto& op : *library.mutable_operators()) operators_.Add(std::move(op));
    }
    return {};
  }

  Status CheckAllIncluded(const config::YamlDocument& document) const {
    for (const auto& [path, text] : texts_) {
      if (done_.count(path)) continue;
      return document.Locate("included")
          .Error("expected files that something includes, found '" + path + "'");
    }
    return {};
  }

  // Puts what was read in front of the file's own.
  void MoveTo(v1::SearchSpaceFile& message) {
    for (auto& block : *message.mutable_blocks()) blocks_.Add(std::move(block));
    message.mutable_blocks()->Swap(&blocks_);
    for (auto& op : *message.mutable_operators()) operators_.Add(std::move(op));
    message.mutable_operators()->Swap(&operators_);
  }

 private:
  const config::Binder& binder_;
  const std::string& file_;
  std::map<std::string, const std::string*> texts_;
  std::set<std::string> open_, done_;
  google::protobuf::RepeatedPtrField<v1::NamedBlockDefinition> blocks_;
  google::protobuf::RepeatedPtrField<v1::NamedOperatorDefinition> operators_;
};

}  // namespace

std::string IncludedFileName(const std::string& file, const std::string& path) {
  return (fs::path(file).parent_path() / path).lexically_normal().generic_string();
}

StatusOr<std::string> BundleIncludes(std::string_view text, const std::string& file,
                                     const ReadIncluded& read) {
  const auto document = config::ParseYaml(text, file);
  // What is wrong with the file itself is said where it is parsed.
  if (!document.ok() || !document->root().Find("include") || document->root().Find("included"))
    return std::string(text);
  Bundler bundler(file, read);
  CANOPY_RETURN_IF_ERROR(bundler.Visit(document->root(), "", 1));
  if (bundler.texts().empty()) return std::string(text);
  if (Trim(text).substr(0, 1) == "{")
    return document->root().Error("expected a file of indented YAML where it includes others, found braces");
  std::string bundle(text);
  if (bundle.back() != '\n') bundle += '\n';
  bundle += "included:\n";
  using nlohmann::json;
  for (const auto& [path, included] : bundler.texts()) {
    const auto quoted = [](const std::string& raw) {
      return json(raw).dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
    };
    bundle += "  " + quoted(path) + ": " + quoted(included) + '\n';
  }
  if (bundle.size() > config::kMaxFileBytes) {
    return document->Locate("include").Error(
        "expected at most " + std::to_string(config::kMaxFileBytes / 1024) +
        " KiB with all included files, found " + std::to_string(bundle.size() / 1024));
  }
  return bundle;
}

Status MergeIncludes(const config::Binder& binder, const std::string& file, SpaceFile& space) {
  v1::SearchSpaceFile& message = space.message;
  Merger merger(binder, file, message);
  CANOPY_RETURN_IF_ERROR(merger.Visit(message.include(), "", space.document, 1));
  CANOPY_RETURN_IF_ERROR(merger.CheckAllIncluded(space.document));
  merger.MoveTo(message);
  message.clear_include();
  message.clear_included();
  return {};
}

}  // namespace canopy::search_space
