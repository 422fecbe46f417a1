#include "storage/model/failure_signature.h"

#include "gtest/gtest.h"

namespace canopy::model {
namespace {

AttemptRecord Failed(FailureClass failure, const std::string& message) {
  AttemptRecord attempt;
  attempt.state = AttemptState::kFailed;
  attempt.failure = failure;
  attempt.message = message;
  return attempt;
}

TEST(FailureSignatureTest, KeepsClassAndFirstLineWithoutDigits) {
  EXPECT_EQ(FailureSignature(Failed(FailureClass::kTrainerCrash, "signal 11 at step 340\nlog")),
            "TRAINER_CRASH: signal  at step ");
}

TEST(FailureSignatureTest, SuccessIsEmpty) {
  AttemptRecord attempt;
  attempt.state = AttemptState::kSucceeded;
  EXPECT_EQ(FailureSignature(attempt), "");
}

TEST(FailureSignatureTest, LostAndCancelledAttemptsHaveNone) {
  EXPECT_EQ(FailureSignature(Failed(FailureClass::kWorkerLost, "x")), std::nullopt);
  EXPECT_EQ(FailureSignature(Failed(FailureClass::kPreempted, "x")), std::nullopt);
  AttemptRecord attempt = Failed(FailureClass::kTrainerCrash, "x");
  attempt.state = AttemptState::kCancelled;
  EXPECT_EQ(FailureSignature(attempt), std::nullopt);
}

}  // namespace
}  // namespace canopy::model
