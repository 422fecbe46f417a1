#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/messages.h"
#include "worker/trainer/job_monitor.h"
#include "worker/trainer/job_runner.h"

namespace canopy::trainer {

// One end of a trainer-protocol connection, for the job that runs. Owns the socket. Not thread-safe.
class Session final : public JobMonitor {
 public:
  explicit Session(int socket) : socket_(socket) {}
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Exchanges hello lines. FailedPrecondition names both versions where they differ.
  Status Greet();

  // Serves jobs until the peer closes the connection, which is OK; `max_jobs` ends it earlier. Other
  // errors are those of the socket and of lines that are no messages.
  Status ServeJobs(JobRunner& runner, std::optional<int> max_jobs = std::nullopt);

  Status Send(const trainer_protocol::TrainerMessage& message) override;
  StatusOr<trainer_protocol::RungAction> ReportRung(const trainer_protocol::RungReport& report) override;
  Status CheckStop() override;

 private:
  // Does what it asks of the running job; Cancelled where that is to stop.
  Status Obey(const trainer_protocol::TrainerMessage& message) const;
  // nullopt: the peer has closed, or, unless `wait`, nothing has arrived.
  StatusOr<std::optional<trainer_protocol::TrainerMessage>> Receive(bool wait);

  int socket_;
  trainer_protocol::LineReader reader_;
  std::string attempt_id_;  // of the job that runs
  bool closed_ = false;
};

// Ends the process `grace_ms` after the peer of `socket` has closed: a backstop for a training step that
// takes longer than a hang-up may. Starts a thread, so a zygote calls it in its children only.
void EndProcessAfterHangup(int socket, int grace_ms);

}  // namespace canopy::trainer
