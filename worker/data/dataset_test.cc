#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/random.h"

namespace canopy::data {
namespace {

using ::testing::HasSubstr;

std::string BigEndian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string ImagesFile(uint32_t count, uint32_t height, uint32_t width) {
  std::string file = std::string("\0\0\x08\x03", 4) + BigEndian(count) + BigEndian(height) + BigEndian(width);
  for (uint32_t i = 0; i < count * height * width; ++i) file += static_cast<char>(i * 7);
  return file;
}

std::string LabelsFile(uint32_t count) {
  std::string file = std::string("\0\0\x08\x01", 4) + BigEndian(count);
  for (uint32_t i = 0; i < count; ++i) file += static_cast<char>(i % 3);
  return file;
}

class DatasetTest : public ::testing::Test {
 protected:
  DatasetTest() : folder_(::testing::TempDir() + "/dataset-" + NewUuid()) {
    std::filesystem::create_directories(folder_);
    Write("train-images-idx3-ubyte", ImagesFile(6, 2, 3));
    Write("train-labels-idx1-ubyte", LabelsFile(6));
    WriteCompressed("t10k-images-idx3-ubyte.gz", ImagesFile(4, 2, 3));
    WriteCompressed("t10k-labels-idx1-ubyte.gz", LabelsFile(4));
  }
  ~DatasetTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
  }
  void WriteCompressed(const std::string& name, const std::string& content) {
    gzFile file = gzopen((folder_ + "/" + name).c_str(), "wb");
    ASSERT_EQ(gzwrite(file, content.data(), static_cast<unsigned>(content.size())),
              static_cast<int>(content.size()));
    gzclose(file);
  }
  std::string Read(const std::string& name) {
    std::ifstream file(folder_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void ExpectTrainError(absl::StatusCode code, const std::string& text) {
    const Status status = LoadPart(folder_, Part::kTrain).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(Message(status), HasSubstr(text));
    EXPECT_THAT(Message(status), HasSubstr(folder_));
    EXPECT_THAT(Message(status), HasSubstr("install the package dataset-fashion-mnist"));
  }

  const std::string folder_;
};

TEST_F(DatasetTest, ReadsPlainAndCompressedFiles) {
  const auto train = LoadPart(folder_, Part::kTrain);
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ(train->count, 6);
  EXPECT_EQ(train->height, 2);
  EXPECT_EQ(train->width, 3);
  EXPECT_EQ(train->class_count, 3);
  EXPECT_EQ(train->pixels.at(35), static_cast<uint8_t>(35 * 7));
  EXPECT_EQ(train->labels.at(4), 1);
  const auto test = LoadPart(folder_, Part::kTest);
  ASSERT_TRUE(test.ok()) << test.status();
  EXPECT_EQ(test->count, 4);
}

TEST_F(DatasetTest, TheDigestDependsOnContentAndNotOnCompression) {
  const auto before = DescribeDataset(folder_);
  ASSERT_TRUE(before.ok()) << before.status();
  std::filesystem::remove(folder_ + "/train-images-idx3-ubyte");
  WriteCompressed("train-images-idx3-ubyte.gz", ImagesFile(6, 2, 3));
  EXPECT_EQ(DescribeDataset(folder_)->digest, before->digest);
  Write("train-images-idx3-ubyte", ImagesFile(6, 3, 2));
  EXPECT_NE(ContentDigest(*LoadPart(folder_, Part::kTrain)), before->digest.substr(0, 64));
}

TEST_F(DatasetTest, APartIsVerifiedAgainstItsOwnHalfOfTheDigest) {
  const std::string digest = DescribeDataset(folder_)->digest;
  const std::string train = ContentDigest(*LoadPart(folder_, Part::kTrain));
  EXPECT_TRUE(VerifyPart(train, Part::kTrain, digest).ok());
  EXPECT_TRUE(VerifyPart(train, Part::kTrain, "").ok());
  EXPECT_EQ(VerifyPart(train, Part::kTest, digest).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(VerifyPart(train, Part::kTrain, "abc").code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DatasetTest, TheTrainingPartIsReadWithoutTheTestFiles) {
  std::filesystem::remove(folder_ + "/t10k-images-idx3-ubyte.gz");
  EXPECT_TRUE(LoadPart(folder_, Part::kTrain).ok());
  EXPECT_EQ(DescribeDataset(folder_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DatasetTest, AMissingFileIsNamedWithTheRemedy) {
  std::filesystem::remove(folder_ + "/train-labels-idx1-ubyte");
  ExpectTrainError(absl::StatusCode::kNotFound, "train-labels-idx1-ubyte.gz");
}

TEST_F(DatasetTest, DamageIsDescribed) {
  const std::string good = ImagesFile(6, 2, 3);
  Write("train-images-idx3-ubyte", good.substr(0, good.size() - 5));
  ExpectTrainError(absl::StatusCode::kDataLoss, "truncated: 5 more bytes");
  Write("train-images-idx3-ubyte", good.substr(0, 9));
  ExpectTrainError(absl::StatusCode::kDataLoss, "truncated");
  Write("train-images-idx3-ubyte", good + "x");
  ExpectTrainError(absl::StatusCode::kDataLoss, "more bytes than");
  Write("train-images-idx3-ubyte", LabelsFile(60));
  ExpectTrainError(absl::StatusCode::kDataLoss, "wrong magic");
  Write("train-images-idx3-ubyte", ImagesFile(0, 2, 3));
  ExpectTrainError(absl::StatusCode::kDataLoss, "no bytes");
  Write("train-images-idx3-ubyte", ImagesFile(5, 2, 3));
  ExpectTrainError(absl::StatusCode::kDataLoss, "6 labels, expected the 5");
}

TEST_F(DatasetTest, AHeaderThatAnnouncesTheWorldAllocatesNoMoreThanTheFile) {
  std::string file = ImagesFile(6, 2, 3);
  file.replace(4, 12, std::string("\x00\x00\xff\xff\x00\x00\x01\xff\x00\x00\x01\xff", 12));
  Write("train-images-idx3-ubyte", file);
  ExpectTrainError(absl::StatusCode::kDataLoss, "8 GiB");
  file.replace(4, 12, std::string("\x00\x00\x0f\xff\x00\x00\x01\xff\x00\x00\x01\xff", 12));
  Write("train-images-idx3-ubyte", file);
  ExpectTrainError(absl::StatusCode::kDataLoss, "truncated");
}

TEST_F(DatasetTest, ACompressedFileWithABrokenChecksumIsRefused) {
  std::filesystem::remove(folder_ + "/train-images-idx3-ubyte");
  WriteCompressed("train-images-idx3-ubyte.gz", ImagesFile(6, 2, 3));
  std::string file = Read("train-images-idx3-ubyte.gz");
  file[file.size() - 6] ^= 1;
  Write("train-images-idx3-ubyte.gz", file);
  ExpectTrainError(absl::StatusCode::kDataLoss, "damaged");
  Write("train-images-idx3-ubyte.gz", file.substr(0, file.size() - 12));
  ExpectTrainError(absl::StatusCode::kDataLoss, "train-images-idx3-ubyte.gz is");
}

TEST(DatasetFolder, AKnownNameNeedsNoPathAndAnUnknownOneListsTheNames) {
  EXPECT_EQ(*DatasetFolder("fashion-mnist", ""), "/usr/share/datasets/fashion-mnist");
  EXPECT_EQ(*DatasetFolder("mine", "/data/mine"), "/data/mine");
  EXPECT_THAT(DatasetFolder("fashion-mnst", "").status().ToString(),
              HasSubstr("did you mean 'fashion-mnist'"));
}

}  // namespace
}  // namespace canopy::data
