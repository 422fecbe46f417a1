#pragma once

#include <string>

#include "base/status.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/protocol/messages.h"

namespace canopy::agent {

// The trainer's job for a lease. InvalidArgument says what of the candidate no trainer can take: a recipe
// key that is not known, a value of the wrong type or range, a graph that is no JSON object. Unimplemented: a
// purpose or numeric mode of a newer release.
// `dataset_folder` is where this worker has the lease's dataset; `weights` the file that a FINAL job
// writes.
StatusOr<trainer_protocol::Job> JobFromLease(const v1::Lease& lease, const std::string& dataset_folder,
                                             const std::string& weights);

// The recipe of a JSON object with the keys of the trainer protocol; those left out have its defaults.
StatusOr<trainer_protocol::Recipe> ParseRecipe(const std::string& json_text);

}  // namespace canopy::agent
