// The names that search spaces keep free are those that campaigns' views take.
#include "search_spaces/reserved_names.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/database.h"
#include "storage/sqlite_trial_store.h"
#include "storage/values_table.h"

namespace canopy {
namespace {

using ::testing::UnorderedElementsAreArray;

std::vector<std::string> Texts(std::span<const std::string_view> names) {
  return {names.begin(), names.end()};
}

TEST(ReservedNamesTest, AreTheColumnsOfEveryView) {
  const std::string path = std::filesystem::temp_directory_path() / ("canopy-" + NewUuid() + ".db");
  // The tables that views refer to.
  ASSERT_TRUE(storage::SqliteTrialStore::Open(path).ok());
  std::vector<std::string> columns;
  {
    const auto database = storage::Database::Open(path, storage::Database::Mode::kReadWrite);
    ASSERT_TRUE(database.ok()) << database.status();
    model::CampaignRecord campaign;
    campaign.id = 1;
    campaign.project = "default";
    campaign.name = "empty";
    ASSERT_TRUE(storage::CreateValuesTable(**database, campaign, {}, {}).ok());
    auto rows = (*database)->Query("SELECT name FROM pragma_table_info('default__empty')");
    ASSERT_TRUE(rows.ok()) << rows.status();
    while (*rows->Next()) columns.push_back(rows->Text(0));
  }
  for (const char* suffix : {"", ".lock", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  EXPECT_THAT(Texts(search_space::ViewColumnNames()), UnorderedElementsAreArray(columns));
}

}  // namespace
}  // namespace canopy
