#include "controller/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    auto store = storage::SqliteTrialStore::Open(folder_ + "/canopy.db");
    ASSERT_TRUE(store.ok()) << store.status();
    reader_ = *storage::Reader::Open(folder_ + "/canopy.db");
    engine_ = *engine::Engine::Start({}, *std::move(store), clock_);
    engine::Backups::Options backups;
    backups.database = folder_ + "/canopy.db";
    backups.folder = folder_ + "/backups";
    backups_ = std::make_unique<engine::Backups>(backups, clock_);
    auto server = HttpServer::Start({0, token_path_}, *engine_, *reader_, *backups_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void TearDown() override {
    server_.reset();
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }

  httplib::Result Get(const std::string& path, const httplib::Headers& headers = {}) {
    return httplib::Client("127.0.0.1", server_->port()).Get(path, headers);
  }
  std::string Token() { return std::string(Trim(*ReadFile(token_path_))); }

  const std::string folder_ = ::testing::TempDir() + "http-" + NewUuid();
  const std::string token_path_ = folder_ + "/http_token";
  SystemClock clock_;
  std::unique_ptr<storage::Reader> reader_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<engine::Backups> backups_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, HealthIsOpen) {
  EXPECT_EQ(Get("/healthz")->status, 200);
  EXPECT_EQ(Get("/readyz")->status, 200);
}

TEST_F(HttpServerTest, MetricsNeedTheToken) {
  EXPECT_EQ(Get("/metrics")->status, 401);
  EXPECT_EQ(Get("/metrics", {{"Authorization", "Bearer " + std::string(Token().size(), 'a')}})->status, 401);
  const auto metrics = Get("/metrics", {{"Authorization", "Bearer " + Token()}});
  ASSERT_EQ(metrics->status, 200);
  EXPECT_THAT(metrics->body, HasSubstr("canopy_workers 0"));
  EXPECT_THAT(metrics->body, HasSubstr("canopy_commit_seconds_bucket{le=\"+Inf\"}"));
}

TEST_F(HttpServerTest, MetricsShowTheNewestBackup) {
  const httplib::Headers token = {{"Authorization", "Bearer " + Token()}};
  EXPECT_THAT(Get("/metrics", token)->body, HasSubstr("canopy_backup_last_success_timestamp_seconds 0\n"));
  ASSERT_TRUE(backups_->TakeNow().ok());
  const std::string after = Get("/metrics", token)->body;
  EXPECT_THAT(after, Not(HasSubstr("canopy_backup_last_success_timestamp_seconds 0\n")));
  EXPECT_THAT(after, HasSubstr("canopy_backups_total 1\n"));
}

TEST_F(HttpServerTest, OtherPathsNeedTheTokenToo) {
  EXPECT_EQ(Get("/anything")->status, 401);
  EXPECT_EQ(Get("/anything", {{"Authorization", "Bearer " + Token()}})->status, 404);
}

TEST_F(HttpServerTest, AnotherHostNameIsRefused) {
  EXPECT_EQ(Get("/healthz", {{"Host", "evil.example"}})->status, 421);
  EXPECT_EQ(Get("/healthz", {{"Host", "localhost.evil.example"}})->status, 421);
  EXPECT_EQ(Get("/healthz", {{"Host", "localhost:80"}})->status, 200);
}

TEST_F(HttpServerTest, TheTokenIsItsOwnersAndStays) {
  struct stat info {};
  ASSERT_EQ(::stat(token_path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const std::string before = Token();
  server_.reset();
  ASSERT_TRUE(HttpServer::Start({0, token_path_}, *engine_, *reader_, *backups_).ok());
  EXPECT_EQ(Token(), before);
}

TEST_F(HttpServerTest, APortInUseIsNamed) {
  const auto second = HttpServer::Start({server_->port(), token_path_}, *engine_, *reader_, *backups_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace canopy::http
