#include "tests/testing/hostile_spaces.h"

#include <cctype>
#include <string>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/space.h"

namespace canopy {
namespace {

class HostileSpaceTest : public ::testing::TestWithParam<testing::HostileSpace> {};

TEST_P(HostileSpaceTest, IsReadOrRefusedForItsReason) {
  const auto space = search_space::SearchSpace::Parse(GetParam().text, "hostile.yaml");
  if (GetParam().refusal.empty()) {
    EXPECT_TRUE(space.ok()) << Message(space.status());
    return;
  }
  ASSERT_FALSE(space.ok());
  EXPECT_THAT(Message(space.status()), ::testing::ContainsRegex("^[a-z0-9.]+:[0-9]+:[0-9]+: "));
  EXPECT_THAT(Message(space.status()), ::testing::HasSubstr(GetParam().refusal));
  // A message is for people, whatever the file holds.
  EXPECT_LE(Message(space.status()).size(), size_t{4096});
}

std::string TestName(const ::testing::TestParamInfo<testing::HostileSpace>& info) {
  std::string name;
  for (const char c : info.param.name) {
    if (c != ',') name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, HostileSpaceTest, ::testing::ValuesIn(testing::HostileSpaces()), TestName);

}  // namespace
}  // namespace canopy
