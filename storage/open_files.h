#pragma once

#include <string>
#include <vector>

namespace canopy::storage {

// Other processes of this host that have the file open, as "pid 17 (sqlite3)"; those alone that this user may
// look into. Blocks on /proc.
std::vector<std::string> ProcessesWithOpen(const std::string& path);

}  // namespace canopy::storage
