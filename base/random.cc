#include "base/random.h"

#include <sys/random.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>

#include "base/check.h"
#include "base/sha256.h"
#include "base/strings.h"

namespace canopy {

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) {
    uint64_t z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t Rng::DeriveSeed(uint64_t seed, std::string_view label) {
  const std::string digest = Sha256(std::to_string(seed) + "/" + std::string(label));
  uint64_t derived = 0;
  for (int i = 0; i < 8; ++i) derived = derived << 8 | static_cast<unsigned char>(digest[i]);
  return derived;
}

Rng Rng::Derive(uint64_t seed, std::string_view label) { return Rng(DeriveSeed(seed, label)); }

uint64_t Rng::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Rng::Below(uint64_t bound) {
  CANOPY_CHECK(bound > 0);
  __extension__ using Wide = unsigned __int128;
  Wide product = Wide{Next()} * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = -bound % bound;
    while (static_cast<uint64_t>(product) < threshold) product = Wide{Next()} * bound;
  }
  return static_cast<uint64_t>(product >> 64);
}

int64_t Rng::Int(int64_t low, int64_t high) {
  CANOPY_CHECK(low <= high);
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  const uint64_t offset = span == UINT64_MAX ? Next() : Below(span + 1);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
}

double Rng::Double() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

double Rng::Float(double low, double high, bool log) {
  if (!log) return low + (high - low) * Double();
  return std::exp(std::log(low) + (std::log(high) - std::log(low)) * Double());
}

double Rng::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Double()));
  return radius * std::cos(2 * std::numbers::pi * Double());
}

std::vector<size_t> Rng::SampleWithoutReplacement(size_t size, size_t count) {
  CANOPY_CHECK(count <= size);
  std::vector<size_t> indices(size);
  std::iota(indices.begin(), indices.end(), size_t{0});
  for (size_t i = 0; i < count; ++i) std::swap(indices[i], indices[i + Below(size - i)]);
  indices.resize(count);
  return indices;
}

std::string Rng::Save() const {
  std::string bytes;
  for (const uint64_t word : state_)
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(word >> shift & 255);
  return HexEncode(bytes);
}

StatusOr<Rng> Rng::Restore(std::string_view state) {
  const auto bytes = HexDecode(state);
  if (!bytes || bytes->size() != 32)
    return DataLoss("random state: expected 64 hexadecimal digits, found '" + std::string(state) + "'");
  Rng rng(0);
  for (int word = 0; word < 4; ++word) {
    rng.state_[word] = 0;
    for (int i = 0; i < 8; ++i)
      rng.state_[word] = rng.state_[word] << 8 | static_cast<unsigned char>((*bytes)[word * 8 + i]);
  }
  return rng;
}

namespace {
std::string Entropy(size_t count) {
  std::string bytes(count, '\0');
  CANOPY_CHECK(getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count), "getrandom failed");
  return bytes;
}
}  // namespace

std::string NewUuid() {
  std::string bytes = Entropy(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  std::string hex = HexEncode(bytes);
  for (const size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return hex;
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

uint64_t EntropySeed() {
  uint64_t seed = 0;
  std::memcpy(&seed, Entropy(sizeof seed).data(), sizeof seed);
  return seed;
}

}  // namespace canopy
