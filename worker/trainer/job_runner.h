#pragma once

#include <string>

#include "worker/protocol/messages.h"
#include "worker/trainer/dataset_cache.h"
#include "worker/trainer/job_monitor.h"
#include "worker/trainer/operator_libraries.h"

namespace canopy::trainer {

// Runs jobs one after the other. Not thread-safe.
class JobRunner {
 public:
  // `trainer_build` goes into every result. The cache and the libraries must outlive the runner.
  JobRunner(std::string trainer_build, DatasetCache& datasets,
            const OperatorLibraries& libraries = NoOperatorLibraries())
      : trainer_build_(std::move(trainer_build)), datasets_(datasets), libraries_(libraries) {}

  // Runs the job to its end and gives its last message: a Result, a Failure with its class, or a Stop where
  // the job was told to stop. Messages on the way go to the monitor. LibTorch's exceptions end here.
  trainer_protocol::TrainerMessage Run(const trainer_protocol::Job& job, JobMonitor& monitor);

 private:
  std::string trainer_build_;
  DatasetCache& datasets_;
  const OperatorLibraries& libraries_;
};

}  // namespace canopy::trainer
