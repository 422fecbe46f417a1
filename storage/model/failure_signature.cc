#include "storage/model/failure_signature.h"

namespace canopy::model {

std::optional<std::string> FailureSignature(const AttemptRecord& attempt) {
  if (attempt.state == AttemptState::kSucceeded) return "";
  if (attempt.state != AttemptState::kFailed || !attempt.failure ||
      *attempt.failure == FailureClass::kPreempted || *attempt.failure == FailureClass::kWorkerLost) {
    return std::nullopt;
  }
  std::string signature(ToString(*attempt.failure));
  signature += ": ";
  for (const char c : attempt.message.substr(0, attempt.message.find('\n'))) {
    if (c < '0' || c > '9') signature += c;
  }
  return signature;
}

}  // namespace canopy::model
