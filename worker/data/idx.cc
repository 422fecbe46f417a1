#include "worker/data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace canopy::data {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{8} << 30;
constexpr size_t kReadChunk = size_t{1} << 22;

// A file that may be compressed, read from front to back.
class ByteSource {
 public:
  static StatusOr<ByteSource> Open(const std::string& path) {
    errno = 0;
    gzFile file = gzopen(path.c_str(), "rbe");
    if (file == nullptr) return FromErrno(errno == 0 ? ENOMEM : errno, "open " + path);
    gzbuffer(file, 1 << 18);
    return ByteSource(file, path);
  }

  // Grows `out` chunk by chunk, so that a hostile header allocates no more than the file holds.
  Status Read(uint64_t count, std::vector<uint8_t>& out) {
    while (count > 0) {
      const size_t chunk = std::min<uint64_t>(count, kReadChunk);
      const size_t before = out.size();
      out.resize(before + chunk);
      const int got = gzread(file_.get(), out.data() + before, static_cast<unsigned>(chunk));
      if (got < 0) return DataLoss(path_ + " is damaged: " + Error());
      if (static_cast<size_t>(got) < chunk)
        return DataLoss(path_ + " is truncated: " + std::to_string(count - static_cast<size_t>(got)) +
                        " more bytes expected");
      count -= chunk;
    }
    return absl::OkStatus();
  }

  // Also checks the compressed stream's checksum, which stands behind its last byte.
  Status ExpectEnd() {
    char extra = 0;
    const int got = gzread(file_.get(), &extra, 1);
    if (got < 0) return DataLoss(path_ + " is damaged: " + Error());
    if (got > 0) return DataLoss(path_ + " is damaged: more bytes than its header announces");
    return absl::OkStatus();
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };

  ByteSource(gzFile file, std::string path) : file_(file), path_(std::move(path)) {}

  std::string Error() const {
    int code = 0;
    return gzerror(file_.get(), &code);
  }

  std::unique_ptr<gzFile_s, Close> file_;
  std::string path_;
};

StatusOr<std::vector<uint64_t>> ReadHeader(ByteSource& source, const std::string& path, uint8_t dimensions) {
  std::vector<uint8_t> header;
  CANOPY_RETURN_IF_ERROR(source.Read(4 + size_t{4} * dimensions, header));
  const std::array<uint8_t, 4> magic = {0, 0, 0x08, dimensions};
  if (!std::equal(magic.begin(), magic.end(), header.begin()))
    return DataLoss(path + " is no IDX file of unsigned bytes with " + std::to_string(dimensions) +
                    " dimensions: wrong magic number");
  std::vector<uint64_t> sizes;
  uint64_t total = 1;
  for (size_t at = 4; at < header.size(); at += 4) {
    const uint64_t size =
        uint64_t{header[at]} << 24 | header[at + 1] << 16 | header[at + 2] << 8 | header[at + 3];
    if (size == 0 || total > kMaxBytes / size)
      return DataLoss(path + " is damaged: its header announces no bytes or more than 8 GiB");
    total *= size;
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace

StatusOr<ImageSet> ReadIdx(const std::string& images_path, const std::string& labels_path) {
  ImageSet set;
  CANOPY_ASSIGN_OR_RETURN(ByteSource images, ByteSource::Open(images_path));
  CANOPY_ASSIGN_OR_RETURN(const auto sizes, ReadHeader(images, images_path, 3));
  set.count = static_cast<int64_t>(sizes[0]);
  set.channels = 1;
  set.height = static_cast<int64_t>(sizes[1]);
  set.width = static_cast<int64_t>(sizes[2]);
  CANOPY_RETURN_IF_ERROR(images.Read(sizes[0] * sizes[1] * sizes[2], set.pixels));
  CANOPY_RETURN_IF_ERROR(images.ExpectEnd());

  CANOPY_ASSIGN_OR_RETURN(ByteSource labels, ByteSource::Open(labels_path));
  CANOPY_ASSIGN_OR_RETURN(const auto label_sizes, ReadHeader(labels, labels_path, 1));
  if (label_sizes[0] != sizes[0])
    return DataLoss(labels_path + " has " + std::to_string(label_sizes[0]) + " labels, expected the " +
                    std::to_string(sizes[0]) + " of " + images_path);
  CANOPY_RETURN_IF_ERROR(labels.Read(label_sizes[0], set.labels));
  CANOPY_RETURN_IF_ERROR(labels.ExpectEnd());
  set.class_count = int64_t{*std::max_element(set.labels.begin(), set.labels.end())} + 1;
  return set;
}

}  // namespace canopy::data
