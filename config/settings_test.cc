#include "config/settings.h"

#include <filesystem>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::config {
namespace {

using ::testing::HasSubstr;

std::string WriteConfiguration(const std::string& text) {
  const std::string path = testing::TempDir() + "/settings_test_" +
                           testing::UnitTest::GetInstance()->current_test_info()->name() + ".yaml";
  EXPECT_TRUE(WriteFileDurably(path, text).ok());
  return path;
}

TEST(SettingsTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  Settings::Sources sources;
  sources.file = WriteConfiguration("canopy: 1\nslots: 2\nlisten: 0.0.0.0:7443\nlog_level: debug\n");
  sources.environment = {{"CANOPY_SLOTS", "3"}, {"CANOPY_LISTEN", "0.0.0.0:7444"}};
  sources.flags = {{"slots", "4"}};
  const auto settings = Settings::Load(sources);
  ASSERT_TRUE(settings.ok()) << Message(settings.status());
  EXPECT_EQ(settings->Get("slots"), "4");
  EXPECT_EQ(settings->Find("slots").origin, "flag --slots");
  EXPECT_EQ(settings->Get("listen"), "0.0.0.0:7444");
  EXPECT_EQ(settings->Find("listen").origin, "environment CANOPY_LISTEN");
  EXPECT_EQ(settings->Get("log_level"), "debug");
  EXPECT_EQ(settings->Find("log_level").origin, sources.file + ":4");
  EXPECT_EQ(settings->Find("http_port").origin, "default");
  EXPECT_EQ(settings->all().size(), SettingSpecs().size());
}

TEST(SettingsTest, AnUnknownSettingNamesTheNearest) {
  Settings::Sources sources;
  sources.file = WriteConfiguration("canopy: 1\nslot: 2\n");
  const auto settings = Settings::Load(sources);
  ASSERT_FALSE(settings.ok());
  EXPECT_THAT(Message(settings.status()), HasSubstr(sources.file + ":2:1: expected one of"));
  EXPECT_THAT(Message(settings.status()), HasSubstr("found 'slot' (did you mean 'slots'?)"));
}

TEST(SettingsTest, OnlyANamedFileMustBeThere) {
  Settings::Sources sources;
  sources.file = testing::TempDir() + "/settings_test_missing.yaml";
  EXPECT_TRUE(Settings::Load(sources).ok());
  sources.file_required = true;
  EXPECT_EQ(Settings::Load(sources).status().code(), absl::StatusCode::kNotFound);
}

TEST(SettingsTest, AWrongNumberNamesItsOrigin) {
  Settings::Sources sources;
  sources.environment = {{"CANOPY_SLOTS", "many"}};
  const auto settings = Settings::Load(sources);
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(Message(settings->GetInt("slots", 0).status()),
            "environment CANOPY_SLOTS: slots: expected an integer of 0 or more, found 'many'");
}

}  // namespace
}  // namespace canopy::config
