#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "controller/engine/engine.h"
#include "storage/database_copy.h"

namespace canopy::engine {

// The CopyOptions::copy_pages of a database that the engine writes: the pages are copied on the engine's
// thread between its transactions, a few milliseconds at a time and less often where others wait, and are
// read and synced on the caller's. The copy is the database as of the end. Unavailable: the engine stops.
// `engine` outlives the function.
std::function<StatusOr<storage::Fingerprint>(const std::string& partial, const storage::CopyOptions& options)>
CopiesBetweenTransactions(Engine& engine, const std::string& database);

}  // namespace canopy::engine
