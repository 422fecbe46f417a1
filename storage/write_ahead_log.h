#pragma once

#include <string>

#include "base/status.h"
#include "storage/trial_store.h"

namespace canopy::storage {

// What an earlier process left in the log may stand in the kernel's cache alone: it died before its sync, or
// the sync failed, and no later one would write it. SQLite reads it as committed, so it is made durable
// before anything is answered by it. A checkpoint would not do: it may leave the durable part of the log over
// a newer database.
Status MakeLogDurable(const std::string& path);

// TrialStore::LaterCheckpoint of the database at `path`, on a connection of its own.
TrialStore::Checkpointer MovesLog(const std::string& path);

}  // namespace canopy::storage
