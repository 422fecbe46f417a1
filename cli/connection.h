#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "cli/campaign_client.h"
#include "cli/child_process.h"
#include "cli/command.h"
#include "config/settings.h"

namespace canopy::cli {

// A controller that answers: one elsewhere where the settings name it, else the one that serves the state
// directory's socket. Where none does, a verb starts one for itself, which grants no lease and ends with
// the connection.
class Connection {
 public:
  // What to do where nothing was ever stored in the state directory.
  enum class Missing { kRefuse, kCreate };

  // Where the controller of another command serves the state directory, waits a moment for its end.
  // Unavailable where no controller answers and none could be started; NotFound with kRefuse where there is
  // no database. Blocks until it answers.
  static StatusOr<std::unique_ptr<Connection>> Open(const Context& context, const config::Settings& settings,
                                                    Missing missing);
  // The controller at `target`, "unix:/path" or "host:port".
  static StatusOr<std::unique_ptr<Connection>> Connect(const std::string& target,
                                                       const config::Settings& settings);
  // The controller that serves the state directory now; nullptr where none does.
  static StatusOr<std::unique_ptr<Connection>> FindLocal(const config::Settings& settings);
  // The same, where it grants leases. One that grants none ends with the command that started it: waits for
  // that, 10 s at most. FailedPrecondition where it stays.
  static StatusOr<std::unique_ptr<Connection>> FindGranting(const config::Settings& settings);
  // Waits until `controller`, a child that serves the state directory, answers. Aborted where it ended
  // because another process holds the database.
  static StatusOr<std::unique_ptr<Connection>> WaitForLocal(const config::Settings& settings,
                                                            ChildProcess& controller);

  CampaignClient& client() { return client_; }
  const v1::UserHelloReply& hello() const { return hello_; }

 private:
  Connection(CampaignClient client, v1::UserHelloReply hello)
      : client_(std::move(client)), hello_(std::move(hello)) {}
  static StatusOr<std::unique_ptr<Connection>> StartOwn(const Context& context,
                                                        const config::Settings& settings);

  std::optional<ChildProcess> own_controller_;  // ends after the client
  CampaignClient client_;
  v1::UserHelloReply hello_;
};

// The state directory that `controller start` and `worker start` of this machine share; the parent of
// StateDirectory(settings, role).
std::string StateBase(const config::Settings& settings);
// The Unix socket of the controller there.
std::string LocalSocket(const config::Settings& settings);

}  // namespace canopy::cli
