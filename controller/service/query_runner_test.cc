#include "controller/service/query_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/random.h"

namespace canopy::controller {
namespace {

// A program that answers every query with rows of so many bytes.
class QueryRunnerTest : public ::testing::Test {
 protected:
  ~QueryRunnerTest() override { std::filesystem::remove(program_); }
  StatusOr<std::vector<v1::QueryRows>> Run(int rows, int bytes) {
    std::ofstream(program_) << "#!/bin/sh\ncat > /dev/null\necho '{\"columns\":[\"a\"]}'\n"
                            << "row=$(head -c " << bytes << " /dev/zero | tr '\\0' x)\n"
                            << "for i in $(seq " << rows << ")\n"
                            << "do printf '{\"row\":[\"%s\"]}\\n' \"$row\"; done\n"
                            << "echo '{\"end\":true}'\n";
    std::filesystem::permissions(program_, std::filesystem::perms::owner_all);
    v1::QueryRequest request;
    request.set_sql("SELECT a FROM b");
    return RunQuery(program_, "/nowhere", request);
  }
  const std::string program_ = ::testing::TempDir() + "query-" + NewUuid();
};

TEST_F(QueryRunnerTest, NoMessageGrowsByARowThatDoesNotFit) {
  const auto messages = Run(4, 200'000);
  ASSERT_TRUE(messages.ok()) << messages.status();
  EXPECT_EQ(messages->size(), 4u);
  for (const v1::QueryRows& message : *messages) EXPECT_LT(message.ByteSizeLong(), 256u * 1024);
}

TEST_F(QueryRunnerTest, ARowThatNoMessageHoldsIsNamed) {
  const auto messages = Run(1, 2'000'000);
  EXPECT_EQ(messages.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(messages.status()), ::testing::HasSubstr("fewer columns"));
}

}  // namespace
}  // namespace canopy::controller
