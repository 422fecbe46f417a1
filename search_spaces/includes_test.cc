#include "search_spaces/includes.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

using Files = std::map<std::string, std::string>;

StatusOr<std::string> Bundle(const std::string& text, const Files& files) {
  return BundleIncludes(text, "spaces/s.yaml", [&](const std::string& path) -> StatusOr<std::string> {
    const auto it = files.find(path);
    if (it == files.end()) return NotFound(path + ": there is no such file");
    return it->second;
  });
}

// Bundled as the client does it, then parsed as the controller does it.
StatusOr<SearchSpace> Parse(const std::string& text, const Files& files) {
  CANOPY_ASSIGN_OR_RETURN(const std::string bundle, Bundle(text, files));
  return SearchSpace::Parse(bundle, "spaces/s.yaml");
}

std::string ErrorOf(const std::string& text, const Files& files) {
  return Message(Parse(text, files).status());
}

const std::string kSpace =
    "canopy: 1\nname: s\ninclude: [lib/units.yaml]\nblocks:\n  own: [{use: unit}]\nnetwork: [{use: own}]\n";
const Files kFiles = {
    {"lib/units.yaml",
     "canopy: 1\ndescription: \"units: of \\\"all\\\" kinds\"\ninclude: [../base.yaml]\nblocks:\n  unit: "
     "[{use: "
     "activation}]\n  spare: [relu]\n"},
    {"base.yaml", "canopy: 1\nblocks: {activation: [{one_of: {choices: [relu, tanh]}}]}\n"},
};

TEST(IncludesTest, FilesGiveTheirBlocksAndTheHashIsOfTheWhole) {
  const auto space = Parse(kSpace, kFiles);
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_EQ(space->decisions().size(), 1u);
  // The location is that in the included file.
  EXPECT_EQ(space->decisions()[0].location.file, "spaces/base.yaml");
  EXPECT_EQ(space->decisions()[0].location.line, 2);
  const Files used = {
      {"lib/units.yaml", "canopy: 1\ninclude: [../base.yaml]\nblocks: {unit: [{use: activation}]}\n"},
      {"base.yaml", kFiles.at("base.yaml")}};
  const auto whole = SearchSpace::Parse(
      "canopy: 1\nname: s\nblocks:\n  activation: [{one_of: {choices: [relu, tanh]}}]\n  unit: [{use: "
      "activation}]\n  own: [{use: unit}]\nnetwork: [{use: own}]\n",
      "whole.yaml");
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->content_hash(), Parse(kSpace, used)->content_hash());
  Files commented = kFiles;
  commented["base.yaml"] = "# A comment.\n" + commented["base.yaml"];
  EXPECT_EQ(Parse(kSpace, commented)->content_hash(), space->content_hash());
  commented["base.yaml"] = "canopy: 1\nblocks: {activation: [{one_of: {choices: [relu, silu]}}]}\n";
  EXPECT_NE(Parse(kSpace, commented)->content_hash(), space->content_hash());
}

TEST(IncludesTest, ASpaceWithoutIncludesStaysAsItIs) {
  const std::string text = "canopy: 1\nname: s\nnetwork: relu\n";
  EXPECT_EQ(*Bundle(text, {}), text);
  // What came as a bundle is one already.
  const std::string bundle = *Bundle(kSpace, kFiles);
  EXPECT_EQ(*Bundle(bundle, {}), bundle);
}

TEST(IncludesTest, ErrorsNameTheFileThatTheyAreIn) {
  Files files = kFiles;
  files["base.yaml"] = "canopy: 1\nblocks:\n  activation: [{one_of: {choices: [relu, tanhh]}}]\n";
  EXPECT_THAT(ErrorOf(kSpace, files),
              HasSubstr("spaces/base.yaml:3:42: blocks.activation[0].one_of.choices[1]: "
                        "expected an operator"));
  files["base.yaml"] = "canopy: 1\nblocks:\n  activation: [{one_of: {choices: [relu, relu]}}]\n";
  EXPECT_THAT(ErrorOf(kSpace, files),
              HasSubstr("spaces/base.yaml:3:42: blocks.activation[0].one_of.choices[1]: "
                        "expected each choice once"));
  files["base.yaml"] = "canopy: 1\nblocks: {unit: [relu], activation: [relu]}\n";
  EXPECT_THAT(
      ErrorOf(kSpace, files),
      HasSubstr("spaces/lib/units.yaml:5:3: blocks.unit: expected each block once, found 'unit' again"));
  files["base.yaml"] = "canopy: 1\nnetwork: relu\n";
  EXPECT_THAT(ErrorOf(kSpace, files),
              HasSubstr("spaces/base.yaml:2:1: expected one of canopy, description, include, "
                        "blocks, operators, found 'network'"));
}

TEST(IncludesTest, MissingFilesAndCyclesAreRefused) {
  EXPECT_EQ(ErrorOf(kSpace, {}), "spaces/s.yaml:3:11: include[0]: lib/units.yaml: there is no such file");
  Files files = kFiles;
  files["base.yaml"] = "canopy: 1\ninclude: [lib/units.yaml]\nblocks: {activation: [relu]}\n";
  EXPECT_EQ(ErrorOf(kSpace, files),
            "spaces/base.yaml:2:11: include[0]: expected a file that does not include itself, found "
            "'lib/units.yaml', which includes this one");
  EXPECT_THAT(ErrorOf("canopy: 1\nname: s\ninclude: [/etc/passwd]\nnetwork: relu\n", files),
              HasSubstr("s.yaml:3:11: include[0]: expected the path of a file relative to this one"));
  EXPECT_THAT(Message(SearchSpace::Parse(kSpace, "s.yaml").status()),
              HasSubstr("s.yaml:3:11: include[0]: expected the text of 'lib/units.yaml' under `included`"));
  EXPECT_THAT(
      Message(SearchSpace::Parse("canopy: 1\nname: s\nnetwork: relu\nincluded: {a.yaml: x}\n", "s.yaml")
                  .status()),
      HasSubstr("expected files that something includes, found 'a.yaml'"));
}

TEST(IncludesTest, NumberDepthAndSizeAreBounded) {
  Files files;
  std::string list;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "f" + std::to_string(i) + ".yaml";
    files[name] = "canopy: 1\nblocks: {b" + std::to_string(i) + ": [relu]}\n";
    list += name + ", ";
  }
  const auto space = [](const std::string& include) {
    return "canopy: 1\nname: s\ninclude: [" + include + "]\nnetwork: relu\n";
  };
  EXPECT_THAT(ErrorOf(space(list), files), HasSubstr("expected at most 32 included files"));
  for (int i = 0; i < 20; ++i) {
    files["f" + std::to_string(i) + ".yaml"] = "canopy: 1\ninclude: [f" + std::to_string(i + 1) +
                                               ".yaml]\nblocks: {b" + std::to_string(i) + ": [relu]}\n";
  }
  EXPECT_THAT(ErrorOf(space("f0.yaml"), files),
              HasSubstr("f7.yaml:2:11: include[0]: expected files that include "
                        "each other at most 8 deep"));
  files["big.yaml"] = "canopy: 1\nblocks: {big: [relu]}\n# " + std::string(200 * 1024, 'x') + "\n";
  files["big2.yaml"] = files["big.yaml"];
  EXPECT_EQ(ErrorOf(space("big.yaml"), files), "");
  EXPECT_THAT(ErrorOf(space("big.yaml, big2.yaml"), files), HasSubstr("expected at most 256 KiB"));
}

}  // namespace
}  // namespace canopy::search_space
