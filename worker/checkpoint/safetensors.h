#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::checkpoint {

// The safetensors format (https://huggingface.co/docs/safetensors): an 8-byte little-endian length, a
// JSON header, then the tensors' bytes, little-endian and row-major. Holds data only, so reading a
// hostile file can't run code.

enum class ElementType { kF64, kF32, kF16, kBf16, kI64, kI32, kI16, kI8, kU8, kBool };
int64_t ElementBytes(ElementType type);

struct Tensor {
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  std::string bytes;

  friend bool operator==(const Tensor&, const Tensor&) = default;
};

struct Checkpoint {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

struct StoredFile {
  std::string sha256;  // hexadecimal, of the whole file
  int64_t bytes = 0;
};

// The file's text, the same for equal checkpoints. InvalidArgument where a tensor's bytes don't match its
// shape and type.
StatusOr<std::string> Serialize(const Checkpoint& checkpoint);
// DataLoss says what is wrong: truncated, a header that is no such JSON, offsets that overlap, leave
// holes or pass the end, sizes that contradict the shape. Allocates no more than a few times the input.
StatusOr<Checkpoint> Parse(std::string_view bytes);

// Durable once OK (base/file.h); blocks.
StatusOr<StoredFile> WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint);
// NotFound, DataLoss or a read error name the path. DataLoss too where `sha256` is given and differs.
StatusOr<Checkpoint> ReadCheckpoint(const std::string& path, std::string_view sha256 = {});

}  // namespace canopy::checkpoint
