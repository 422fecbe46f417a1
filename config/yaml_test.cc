#include "config/yaml.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::config {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(std::string_view text) {
  const auto document = ParseYaml(text, "f.yaml");
  return document.ok() ? "" : Message(document.status());
}

std::string Repeat(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

TEST(YamlTest, TreeKeepsOrderPositionsPathsAndQuotes) {
  const auto document = ParseYaml("canopy: 1\nb:\n  - x: 'quoted'\n  - [1, two]\na: {k: }\n", "f.yaml");
  ASSERT_TRUE(document.ok()) << document.status();
  const YamlNode& root = document->root();
  ASSERT_EQ(root.entries().size(), 3u);
  EXPECT_EQ(root.entries()[1].key, "b");
  const YamlNode& quoted = *root.Find("b")->items()[0]->Find("x");
  EXPECT_EQ(quoted.text(), "quoted");
  EXPECT_FALSE(quoted.plain());
  EXPECT_EQ(quoted.location().path, "b[0].x");
  EXPECT_EQ(quoted.location().line, 3);
  EXPECT_EQ(quoted.location().column, 8);
  EXPECT_TRUE(root.Find("b")->items()[1]->items()[1]->plain());
  EXPECT_EQ(root.Find("a")->Find("k")->kind(), YamlNode::Kind::kNull);
}

TEST(YamlTest, JsonIsRead) {
  const auto document = ParseYaml(R"({"canopy": 1, "list": [1, {"a": "b"}]})", "f.json");
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_TRUE(CheckFormatVersion(*document).ok());
  EXPECT_EQ(document->root().Find("list")->items()[1]->Find("a")->text(), "b");
}

TEST(YamlTest, LocateFindsTheClosestEnclosingValue) {
  const auto document = ParseYaml("a:\n  - b: 1\n    c: 2\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->Locate("a[0].c").line, 3);
  EXPECT_EQ(document->Locate("a[0].missing").line, 2);
  EXPECT_EQ(document->Locate("a[0].missing").path, "a[0].missing");
  EXPECT_EQ(document->Locate("a[7].c").line, 2);
  EXPECT_EQ(document->Locate("nowhere").line, 1);
}

TEST(YamlTest, LongPathsAndMessagesKeepBothEnds) {
  const std::string key = std::string(100, 'k');
  const auto document = ParseYaml(Repeat("{" + key + ": ", 30) + "{last: 1}" + Repeat("}", 30), "f.yaml");
  ASSERT_TRUE(document.ok()) << document.status();
  const YamlNode* node = &document->root();
  while (node->is_map()) node = node->entries().front().value;
  const std::string path = node->location().path;
  EXPECT_LE(path.size(), 520u);
  EXPECT_THAT(path, ::testing::StartsWith(key + "." + key));
  EXPECT_THAT(path, ::testing::EndsWith(key + ".last"));
  const std::string message = Message(Location{"f.yaml"}.Error("begin" + Repeat("\u00e4", 100'000) + "end"));
  EXPECT_LE(message.size(), 2100u);
  EXPECT_THAT(message, HasSubstr("begin\u00e4"));
  EXPECT_THAT(message, HasSubstr("\u00e4 ... \u00e4"));  // no half of one
  EXPECT_THAT(message, ::testing::EndsWith("\u00e4end"));
}

TEST(YamlTest, WhatTheFormatLeavesOutIsRefusedWithItsPlace) {
  EXPECT_EQ(ErrorOf("a: 1\na: 2\n"), "f.yaml:2:1: expected each key once, found 'a' again: remove one");
  EXPECT_EQ(ErrorOf("a: &x 1\nb: 2\n"),
            "f.yaml:1:4: expected a value, found an anchor: write the value out where it is used");
  EXPECT_THAT(ErrorOf("a: *x\n"), HasSubstr("f.yaml:1:4: expected"));
  EXPECT_EQ(ErrorOf("a: !!int 1\n"),
            "f.yaml:1:4: expected a value without a tag, found tag 'tag:yaml.org,2002:int'");
  EXPECT_THAT(ErrorOf("a: 1\n---\nb: 2\n"), HasSubstr("expected one document, found a second"));
  EXPECT_THAT(ErrorOf("? [a]\n: 1\n"), HasSubstr("expected a word as the key"));
  EXPECT_THAT(ErrorOf("a: [1, 2\n"), HasSubstr("f.yaml:"));
  EXPECT_THAT(ErrorOf("# nothing\n"), HasSubstr("found an empty file"));
  EXPECT_THAT(ErrorOf(std::string("a: \0b", 5)), HasSubstr("control character 0"));
}

TEST(YamlTest, VersionComesFirst) {
  const auto check = [](std::string_view text) {
    const auto document = ParseYaml(text, "f.yaml");
    return document.ok() ? Message(CheckFormatVersion(*document)) : Message(document.status());
  };
  EXPECT_EQ(check("canopy: 1\na: 2\n"), "");
  EXPECT_THAT(check("a: 2\ncanopy: 1\n"), HasSubstr("as the first entry, found 'a'"));
  EXPECT_THAT(check("canopy: 2\n"), HasSubstr("f.yaml:1:9: canopy: expected 1, the only version"));
  EXPECT_THAT(check("- 1\n"), HasSubstr("expected a map that begins with `canopy: 1`, found [1]"));
}

// Texts that cost the YAML parser far more than their size: all refused by the scan before it.
TEST(YamlTest, HostileTextIsRefusedByItsBounds) {
  EXPECT_THAT(ErrorOf(std::string(kMaxFileBytes + 1, 'a')), HasSubstr("at most 256 KiB"));
  EXPECT_THAT(ErrorOf(Repeat("[", 200000)), HasSubstr("levels of nesting"));
  EXPECT_THAT(ErrorOf("a: " + Repeat("{b: ", 65)), HasSubstr("levels of nesting"));
  EXPECT_THAT(ErrorOf(Repeat("- ", 100000) + "a"), HasSubstr("levels of nesting"));
  EXPECT_THAT(ErrorOf(Repeat("? ", 100000) + "a"), HasSubstr("levels of nesting"));
  std::string stairs;
  for (int i = 0; i < 100; ++i) stairs += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(ErrorOf(stairs), HasSubstr("levels of nesting"));
  EXPECT_THAT(ErrorOf("a: [" + Repeat("1,", 120000) + "]"), HasSubstr("tokens"));
  EXPECT_THAT(ErrorOf(Repeat("- a\n", 60000)), HasSubstr("tokens"));
  EXPECT_THAT(ErrorOf(std::string(200, 'k') + ": 1\n"), HasSubstr("key of at most 128 bytes"));
}

TEST(YamlTest, BracketsInCommentsAndTextsAreNoNesting) {
  std::string text = "canopy: 1\na:\n";
  for (int i = 0; i < 100; ++i) text += "  - 1  # from [0, 1\n  - \"(:[\"\n  - '{'\n";
  EXPECT_EQ(ErrorOf(text), "");
  EXPECT_EQ(ErrorOf("a: {b: \"\\\"[\", c: [1]}\n"), "");
  // They hide nothing that is nesting.
  EXPECT_THAT(ErrorOf("a: ['#', \"b # c\", " + Repeat("[", 70)), HasSubstr("levels of nesting"));
  EXPECT_THAT(ErrorOf("a: [b' , " + Repeat("[", 70) + "'"), HasSubstr("levels of nesting"));
  EXPECT_THAT(ErrorOf("a: [b\n 'c', " + Repeat("[", 70)), HasSubstr("levels of nesting"));
}

TEST(YamlTest, OnlyUtf8IsRead) {
  EXPECT_EQ(ErrorOf("a: gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x8C\xB3\n"), "");
  EXPECT_EQ(ErrorOf("a: 1\nb: gr\xFC\xDF\n"),
            "f.yaml:2:6: expected UTF-8 text, found a byte that is none: save the file as UTF-8");
  for (const char* wrong : {"\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80"})
    EXPECT_THAT(ErrorOf(std::string("# ") + wrong + "\na: 1\n"), HasSubstr("f.yaml:1:3: expected UTF-8"));
}

TEST(YamlTest, NestingIsCountedByTheTreeAsWell) {
  // 40 levels of brackets within 40 of indentation pass the scan, which bounds each alone.
  std::string text;
  for (int i = 0; i < 40; ++i) text += std::string(i, ' ') + "a:\n";
  text += std::string(41, ' ') + Repeat("[", 40) + Repeat("]", 40) + "\n";
  EXPECT_THAT(ErrorOf(text), HasSubstr("levels of nesting"));
}

}  // namespace
}  // namespace canopy::config
