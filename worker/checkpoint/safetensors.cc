#include "worker/checkpoint/safetensors.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/sha256.h"

namespace canopy::checkpoint {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;
constexpr int64_t kMaxFileBytes = int64_t{16} << 30;
constexpr std::string_view kMetadataKey = "__metadata__";

struct TypeName {
  std::string_view name;
  int64_t bytes;
};

// In the order of ElementType.
constexpr TypeName kTypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                               {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};

std::optional<ElementType> TypeOf(std::string_view name) {
  for (size_t i = 0; i < std::size(kTypes); ++i)
    if (kTypes[i].name == name) return static_cast<ElementType>(i);
  return std::nullopt;
}

// nullopt where a dimension is negative or the product passes 64 bits.
std::optional<uint64_t> ByteCount(ElementType type, const std::vector<int64_t>& shape) {
  uint64_t count = static_cast<uint64_t>(ElementBytes(type));
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size > 0 && count > std::numeric_limits<uint64_t>::max() / static_cast<uint64_t>(size))
      return std::nullopt;
    count *= static_cast<uint64_t>(size);
  }
  return count;
}

Status Damaged(std::string_view what) { return DataLoss("no safetensors file: " + std::string(what)); }

// A tensor of the header, before its bytes are cut out.
struct Entry {
  std::string name;
  Tensor tensor;
  uint64_t begin = 0;
  uint64_t end = 0;
};

StatusOr<Entry> ParseEntry(const std::string& name, const json& value) {
  const std::string where = "tensor '" + name.substr(0, 80) + "': ";
  const auto member = [&](const char* key) { return value.is_object() ? value.value(key, json()) : json(); };
  const json type = member("dtype");
  const json shape = member("shape");
  const json offsets = member("data_offsets");
  Entry entry{.name = name};
  const auto known = type.is_string() ? TypeOf(type.get<std::string>()) : std::nullopt;
  if (!known) return Damaged(where + "expected a known dtype");
  entry.tensor.type = *known;
  if (!shape.is_array()) return Damaged(where + "expected a shape array");
  for (const json& size : shape) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t{1} << 48)
      return Damaged(where + "expected dimensions from 0 to 2^48");
    entry.tensor.shape.push_back(size.get<int64_t>());
  }
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    return Damaged(where + "expected data_offsets [begin, end]");
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  const auto count = ByteCount(entry.tensor.type, entry.tensor.shape);
  if (entry.end < entry.begin || !count || *count != entry.end - entry.begin)
    return Damaged(where + "its offsets contradict its shape and dtype");
  return entry;
}

Status ParseMetadata(const json& value, std::map<std::string, std::string>& metadata) {
  if (!value.is_object()) return Damaged("expected __metadata__ to be an object of strings");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) return Damaged("expected __metadata__ to be an object of strings");
    metadata[key] = text.get<std::string>();
  }
  return absl::OkStatus();
}

}  // namespace

int64_t ElementBytes(ElementType type) { return kTypes[static_cast<size_t>(type)].bytes; }

StatusOr<std::string> Serialize(const Checkpoint& checkpoint) {
  json header = json::object();
  if (!checkpoint.metadata.empty()) header[std::string(kMetadataKey)] = checkpoint.metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (name == kMetadataKey ||
        ByteCount(tensor.type, tensor.shape) != std::optional<uint64_t>(tensor.bytes.size()))
      return InvalidArgument("tensor '" + name +
                             "': expected another name, or bytes that match its shape and type");
    header[name] = {{"dtype", kTypes[static_cast<size_t>(tensor.type)].name},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the format asks for aligned data
  if (text.size() > kMaxHeaderBytes) return InvalidArgument("a safetensors header has at most 16 MiB");
  std::string file;
  file.reserve(kLengthBytes + text.size() + offset);
  for (size_t i = 0; i < kLengthBytes; ++i) file += static_cast<char>(text.size() >> (8 * i));
  file += text;
  for (const auto& [name, tensor] : checkpoint.tensors) file += tensor.bytes;
  return file;
}

StatusOr<Checkpoint> Parse(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) return Damaged("shorter than its length field");
  uint64_t header_bytes = 0;
  for (size_t i = kLengthBytes; i-- > 0;) header_bytes = header_bytes << 8 | static_cast<uint8_t>(bytes[i]);
  bytes.remove_prefix(kLengthBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size())
    return Damaged("its header is longer than the file or than 16 MiB");
  const json header = json::parse(bytes.substr(0, header_bytes), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return Damaged("its header is no JSON object");
  bytes.remove_prefix(header_bytes);

  Checkpoint checkpoint;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadataKey) {
      CANOPY_RETURN_IF_ERROR(ParseMetadata(value, checkpoint.metadata));
      continue;
    }
    CANOPY_ASSIGN_OR_RETURN(Entry entry, ParseEntry(name, value));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  // Every byte belongs to exactly one tensor: nothing hidden, nothing shared.
  uint64_t covered = 0;
  for (Entry& entry : entries) {
    if (entry.begin != covered || entry.end > bytes.size())
      return Damaged("the offsets of tensor '" + entry.name.substr(0, 80) +
                     "' overlap, leave a hole or pass the end");
    covered = entry.end;
    entry.tensor.bytes = bytes.substr(entry.begin, entry.end - entry.begin);
    checkpoint.tensors.emplace(std::move(entry.name), std::move(entry.tensor));
  }
  if (covered != bytes.size()) return Damaged("bytes are left over behind the last tensor");
  return checkpoint;
}

StatusOr<StoredFile> WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint) {
  CANOPY_ASSIGN_OR_RETURN(const std::string file, Serialize(checkpoint));
  CANOPY_RETURN_IF_ERROR(WriteFileDurably(path, file));
  return StoredFile{.sha256 = Sha256Hex(file), .bytes = static_cast<int64_t>(file.size())};
}

StatusOr<Checkpoint> ReadCheckpoint(const std::string& path, std::string_view sha256) {
  CANOPY_ASSIGN_OR_RETURN(const std::string file, ReadFile(path, kMaxFileBytes));
  if (!sha256.empty() && Sha256Hex(file) != sha256)
    return DataLoss(path + ": its SHA-256 is " + Sha256Hex(file) + ", expected " + std::string(sha256));
  auto checkpoint = Parse(file);
  if (!checkpoint.ok()) return WithContext(checkpoint.status(), path);
  return checkpoint;
}

}  // namespace canopy::checkpoint
