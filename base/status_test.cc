#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/clock.h"

namespace canopy {
namespace {

StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

StatusOr<int> Quarter(int value) {
  CANOPY_ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(Status, MacrosPassErrorsOn) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Message(Quarter(6).status()), "odd");
}

TEST(Status, ErrnoBecomesACodeAndKeepsTheContext) {
  const Status status = WithContext(FromErrno(ENOSPC, "write /x"), "campaign a");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(status), "campaign a: write /x: No space left on device");
}

TEST(Clock, WallTimeIsPrintedInUtc) {
  EXPECT_EQ(FormatWallUs(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatWallUs(1709210096123456), "2024-02-29T12:34:56.123456Z");
}

}  // namespace
}  // namespace canopy
