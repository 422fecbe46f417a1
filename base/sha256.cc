#include "base/sha256.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "base/check.h"
#include "base/strings.h"

namespace canopy {

struct Sha256Stream::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256Stream::Sha256Stream() : impl_(std::make_unique<Impl>()) {
  CANOPY_CHECK(EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1);
}
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Update(std::string_view bytes) {
  CANOPY_CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256Stream::FinishHex() {
  std::string digest(32, '\0');
  unsigned size = 0;
  CANOPY_CHECK(EVP_DigestFinal_ex(impl_->context, reinterpret_cast<unsigned char*>(digest.data()), &size) ==
               1);
  return HexEncode(digest);
}

std::string Sha256(std::string_view bytes) {
  std::string digest(32, '\0');
  unsigned size = 0;
  CANOPY_CHECK(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                          EVP_sha256(), nullptr) == 1);
  return digest;
}

std::string Sha256Hex(std::string_view bytes) { return HexEncode(Sha256(bytes)); }

StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return FromErrno(errno, "open " + path);
  Sha256Stream stream;
  std::vector<char> buffer(1 << 20);
  size_t n = 0;
  while ((n = std::fread(buffer.data(), 1, buffer.size(), file)) > 0) stream.Update({buffer.data(), n});
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) return Unavailable("read " + path + " failed");
  return stream.FinishHex();
}

}  // namespace canopy
