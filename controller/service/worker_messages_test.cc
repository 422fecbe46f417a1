#include "controller/service/worker_messages.h"

#include <gtest/gtest.h>

#include <string>

namespace canopy::controller {
namespace {

TEST(WorkerMessages, ALongMessageIsCutBetweenCharacters) {
  v1::Outcome outcome;
  outcome.set_result_id(std::string(32, 'a'));
  outcome.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_TRAINER_CRASH);
  std::string message = "b";  // so that the cut falls into a character
  while (message.size() < 20'000) message += "\u2019";
  outcome.mutable_failure()->set_message(message);
  const auto read = FromProto(outcome);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_LE(read->message.size(), 16'384u);
  EXPECT_GT(read->message.size(), 16'380u);
  EXPECT_EQ(read->message.substr(0, 3), "\u2019");
}

}  // namespace
}  // namespace canopy::controller
