#include "storage/sql_query.h"

#include <sqlite3.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace canopy::storage::testing;  // NOLINT: the sample records

class SqlQueryTest : public ::testing::Test {
 protected:
  SqlQueryTest() {
    EXPECT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
    EXPECT_TRUE(AddCompletedTrial(*store_, 2, 0.9).ok());
  }
  ~SqlQueryTest() override { sqlite3_hard_heap_limit64(0); }
  StatusOr<SqlQueryResult> Query(const std::string& sql) { return RunSqlQuery(path_, sql, limits_); }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::unique_ptr<TrialStore> store_ = StoreWithCampaign(path_);
  SqlQueryLimits limits_;
};

TEST_F(SqlQueryTest, ReadsTheCampaignsView) {
  const auto result = Query(
      "SELECT trial, val_accuracy, stem_kernel, inactive FROM default__fashion_macro ORDER BY val_accuracy "
      "DESC;");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->columns, ElementsAre("trial", "val_accuracy", "stem_kernel", "inactive"));
  EXPECT_THAT(result->rows_json, ElementsAre(R"([2,0.9,"conv2",null])", R"([1,0.5,"conv1",null])"));
  EXPECT_FALSE(result->truncated);
}

TEST_F(SqlQueryTest, AnythingButReadingIsRefused) {
  for (const char* sql :
       {"DELETE FROM trial", "INSERT INTO counter VALUES ('x', 1)", "UPDATE trial SET state = 'x'",
        "DROP TABLE trial", "CREATE TEMP TABLE t (x)", "ATTACH '/tmp/x.db' AS x",
        "PRAGMA journal_mode = DELETE", "BEGIN", "VACUUM INTO '/tmp/x.db'", "SELECT load_extension('x')",
        "SELECT * FROM pragma_table_info('trial')"}) {
    const auto result = Query(sql);
    EXPECT_FALSE(result.ok()) << sql;
    EXPECT_THAT(Message(result.status()),
                ::testing::AnyOf(HasSubstr("may only read"), HasSubstr("in the SQL")))
        << sql;
  }
  EXPECT_EQ(store_->LoadLiveCampaigns()->at(0).trials_total, 2);
}

TEST_F(SqlQueryTest, OneStatementWithoutParametersIsExpected) {
  EXPECT_THAT(Message(Query("SELECT 1; SELECT 2").status()), HasSubstr("one statement"));
  EXPECT_THAT(Message(Query("").status()), HasSubstr("found nothing"));
  EXPECT_THAT(Message(Query("SELECT ?").status()), HasSubstr("no ?"));
  const auto wrong = Query("SELECT nonsense FROM trial");
  EXPECT_EQ(wrong.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(wrong.status()), HasSubstr("no such column: nonsense"));
}

constexpr char kEndless[] = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) ";

TEST_F(SqlQueryTest, RowsAreBounded) {
  limits_.max_rows = 3;
  const auto result = Query(std::string(kEndless) + "SELECT x FROM n");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->rows_json.size(), 3u);
  EXPECT_TRUE(result->truncated);
}

TEST_F(SqlQueryTest, TimeIsBounded) {
  limits_.timeout_ms = 50;
  EXPECT_EQ(Query(std::string(kEndless) + "SELECT COUNT(*) FROM n").status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(SqlQueryTest, MemoryIsBounded) {
  limits_.max_memory_bytes = 32 << 20;
  limits_.timeout_ms = 60'000;
  EXPECT_EQ(
      Query(std::string(kEndless) + "SELECT x, hex(randomblob(1000)) FROM n ORDER BY 2").status().code(),
      absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace canopy::storage
