#pragma once

#include <string>

#include "base/status.h"
#include "controller/engine/backups.h"
#include "controller/engine/engine.h"
#include "storage/reader.h"

namespace canopy::http {

// The Prometheus text format, version 0.0.4. Blocks on the database and the engine.
StatusOr<std::string> MetricsPage(engine::Engine& engine, storage::Reader& reader,
                                  const engine::Backups& backups);

}  // namespace canopy::http
