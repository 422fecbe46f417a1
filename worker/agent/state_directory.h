#pragma once

#include <string>

#include "base/file.h"
#include "base/status.h"

namespace canopy::agent {

// One agent's folder: worker_id, spool/, cache/, checkpoints/, logs/ (docs/workers.md). Locked for the
// object's life, so that one identity has one process.
class StateDirectory {
 public:
  // Makes what is missing. `certified_id`, where not empty, is the identity of the worker's certificate and
  // replaces the folder's own. Aborted where another agent runs here; it names its process.
  static StatusOr<StateDirectory> Open(const std::string& path, const std::string& certified_id);

  const std::string& worker_id() const { return worker_id_; }
  std::string spool() const { return path_ + "/spool"; }
  std::string cache() const { return path_ + "/cache"; }
  // Files of an attempt bear the id of its outcome: attempts of two databases may have one number.
  // A trainer's log, kept after a failure.
  std::string AttemptLog(const std::string& result_id) const {
    return path_ + "/logs/attempts/" + result_id + ".log";
  }
  std::string ZygoteLog() const { return path_ + "/logs/zygote.log"; }
  // The weights of a finished attempt, and where its trainer writes them before.
  std::string Weights(const std::string& result_id) const {
    return path_ + "/checkpoints/" + result_id + ".safetensors";
  }
  std::string UnfinishedWeights(const std::string& result_id) const {
    return Unfinished() + "/" + result_id + ".safetensors";
  }

  // The same of a training that pauses.
  std::string Checkpoint(const std::string& result_id) const {
    return path_ + "/checkpoints/" + result_id + kCheckpointSuffix;
  }
  std::string UnfinishedCheckpoint(const std::string& result_id) const {
    return Unfinished() + "/" + result_id + kCheckpointSuffix;
  }
  Status KeepCheckpoint(const std::string& result_id) const;
  // A training that went on from it, or never will, needs it no more. Nothing for what is no file of these.
  void DropCheckpoint(const std::string& path) const;

  // Makes the unfinished weights the attempt's own, durably.
  Status KeepWeights(const std::string& result_id) const;
  // Removes the unfinished weights and what a killed trainer left of them.
  void DropUnfinishedWeights(const std::string& result_id) const;
  // The newest 100 logs of failed attempts stay. Thread-safe, as the two above.
  void RemoveOldLogs() const;

 private:
  static constexpr char kCheckpointSuffix[] = ".checkpoint.safetensors";
  Status Keep(const std::string& from, const std::string& to) const;
  // Of trainings that were interrupted long ago and not heard of again; the newest few stay for 30 days.
  void RemoveOldCheckpoints() const;
  std::string Unfinished() const { return path_ + "/checkpoints/unfinished"; }

  StateDirectory(std::string path, std::string worker_id, FileLock lock)
      : path_(std::move(path)), worker_id_(std::move(worker_id)), lock_(std::move(lock)) {}

  std::string path_;
  std::string worker_id_;
  FileLock lock_;
};

}  // namespace canopy::agent
