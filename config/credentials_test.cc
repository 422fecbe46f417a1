#include "config/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/random.h"

namespace canopy::config {
namespace {

using ::testing::HasSubstr;

class CredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(InitCluster(folder_, {"localhost", "127.0.0.1"}, "ada").ok()); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Text(const std::string& name) { return *ReadFile(folder_ + "/" + name); }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileDurably(folder_ + "/" + name, text, 0600).ok());
  }

  const std::string folder_ = ::testing::TempDir() + "credentials-" + NewUuid();
};

TEST_F(CredentialsTest, AUserAndTheControllerCarryTheirRoles) {
  const auto user = LoadCredential(folder_, "user");
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(IdentityOf(*user)->ToUri(), "canopy://role/user/ada");
  const auto controller = LoadCredential(folder_, "controller");
  ASSERT_TRUE(controller.ok()) << controller.status();
  EXPECT_EQ(IdentityOf(*controller)->role, Identity::Role::kController);
}

TEST_F(CredentialsTest, AWorkersBundleStandsAloneAndCarriesItsUuid) {
  const auto bundle = AddWorker(folder_, "node-1");
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  const auto credential = LoadCredential(bundle->folder, "worker");
  ASSERT_TRUE(credential.ok()) << credential.status();
  EXPECT_EQ(IdentityOf(*credential)->ToUri(), "canopy://role/worker/" + bundle->worker_id);
  EXPECT_FALSE(FileExists(bundle->folder + "/ca.key"));
  EXPECT_EQ(AddWorker(folder_, "node-1").status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(CredentialsTest, FilesAreTheirOwnersAlone) {
  ASSERT_TRUE(AddWorker(folder_, "node-1").ok());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_))
    EXPECT_EQ(static_cast<int>(entry.status().permissions()) & 077, 0) << entry.path();
}

TEST_F(CredentialsTest, ASecondAuthorityInTheFolderIsRefused) {
  const std::string before = Text("ca.crt");
  EXPECT_EQ(InitCluster(folder_, {"localhost"}, "ada").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Text("ca.crt"), before);
}

TEST_F(CredentialsTest, NamesThatAreNoHostsAreRefused) {
  const Status status = InitCluster(folder_ + "/other", {"localhost,URI:canopy://role/user/eve"}, "ada");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(FileExists(folder_ + "/other/ca.crt"));
}

TEST_F(CredentialsTest, AKeyThatOthersMayReadIsRefused) {
  ASSERT_EQ(::chmod((folder_ + "/user.key").c_str(), 0644), 0);
  const auto credential = LoadCredential(folder_, "user");
  EXPECT_EQ(credential.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(Message(credential.status()), HasSubstr("user.key"));
}

TEST_F(CredentialsTest, ACertificateOfAnotherAuthorityIsRefused) {
  const std::string other = folder_ + "/other";
  ASSERT_TRUE(InitCluster(other, {"localhost"}, "ada").ok());
  Write("user.crt", *ReadFile(other + "/user.crt"));
  Write("user.key", *ReadFile(other + "/user.key"));
  const auto credential = LoadCredential(folder_, "user");
  EXPECT_EQ(credential.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(credential.status()), HasSubstr("ca.crt"));
}

TEST_F(CredentialsTest, AKeyOfAnotherCertificateIsRefused) {
  Write("user.key", Text("controller.key"));
  EXPECT_THAT(Message(LoadCredential(folder_, "user").status()), HasSubstr("don't belong together"));
}

TEST_F(CredentialsTest, MissingAndDamagedFilesAreNamed) {
  EXPECT_EQ(LoadCredential(folder_, "nobody").status().code(), absl::StatusCode::kNotFound);
  Write("user.crt", "garbage");
  EXPECT_THAT(Message(LoadCredential(folder_, "user").status()), HasSubstr("user.crt"));
}

TEST(IdentityTest, OtherUrisNameNobody) {
  for (const char* uri : {"canopy://role/root/ada", "canopy://role/worker/node-1", "canopy://role/user/",
                          "spiffe://role/user/ada", "canopy://role/user/a/b", "canopy://role/user"})
    EXPECT_EQ(Identity::FromUri(uri).status().code(), absl::StatusCode::kUnauthenticated) << uri;
}

}  // namespace
}  // namespace canopy::config
