#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "storage/database.h"

namespace canopy::simulation {

inline Status ForEach(storage::Database& database, std::string_view sql,
                      const std::function<void(const storage::Rows&)>& read) {
  CANOPY_ASSIGN_OR_RETURN(storage::Rows rows, database.Query(sql));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return {};
    read(rows);
  }
}

inline std::string Name(const char* kind, int64_t id) { return std::string(kind) + " " + std::to_string(id); }

}  // namespace canopy::simulation
