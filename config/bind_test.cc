#include "config/bind.h"

#include <string>

#include "canopy/v1/search_space.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "gtest/gtest.h"

namespace canopy::config {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(std::string_view text, google::protobuf::Message& message, const Binder& binder = {}) {
  return Message(BindFile(text, "f.yaml", binder, message).status());
}

TEST(BindTest, FillsFieldsListsAndPositions) {
  v1::SpaceInput input;
  const auto document = ParseYaml("shape: [3, 32, 32]\nclasses: 10\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  ASSERT_TRUE(Binder().Bind(document->root(), input).ok());
  EXPECT_EQ(input.shape_size(), 3);
  EXPECT_EQ(input.classes(), 10);
  EXPECT_EQ(input.position().line(), 1);
}

TEST(BindTest, ErrorsNamePlaceExpectationAndNearestName) {
  v1::SearchSpaceFile file;
  EXPECT_EQ(ErrorOf("canopy: 1\nnam: x\n", file),
            "f.yaml:2:1: expected one of canopy, name, description, input, decisions, network, recipe, "
            "constraints, reference, blocks, include, included, operators, found 'nam' "
            "(did you mean 'name'?)");
  EXPECT_EQ(ErrorOf("canopy: 1\nname: x\ninput: {shape: [3, x]}\n", file),
            "f.yaml:3:20: input.shape[1]: expected an integer, found 'x'");
  EXPECT_EQ(ErrorOf("canopy: 1\nname: x\ninput: {shape: [3, \"4\"]}\n", file),
            "f.yaml:3:20: input.shape[1]: expected an integer, found '4'");
  EXPECT_EQ(ErrorOf("canopy: 1\nname: x\ninput: {shape: 3}\n", file),
            "f.yaml:3:16: input.shape: expected a list, found '3'");
  EXPECT_EQ(ErrorOf("canopy: 1\nname: x\ninput: {shape: [3]}\n", file),
            "f.yaml:3:8: input: expected 'classes', found none");
  EXPECT_EQ(ErrorOf("canopy: 1\nname: [x]\n", file), "f.yaml:2:7: name: expected a text, found [x]");
}

TEST(BindTest, EnumsAreLowerCaseWordsWithoutTheirPrefix) {
  google::protobuf::FieldDescriptorProto field;
  const auto parse = [&](const char* text) {
    const auto document = ParseYaml(text, "f.yaml");
    return Message(Binder().Bind(document->root(), field));
  };
  EXPECT_EQ(parse("label: repeated\n"), "");
  EXPECT_EQ(field.label(), google::protobuf::FieldDescriptorProto::LABEL_REPEATED);
  EXPECT_EQ(parse("label: repeatd\n"),
            "f.yaml:1:8: label: expected one of optional, required, repeated, found 'repeatd' (did you mean "
            "'repeated'?)");
}

TEST(BindTest, OnlyOneMemberOfAUnion) {
  v1::Literal literal;
  const auto document = ParseYaml("flag: true\nword: x\n", "f.yaml");
  EXPECT_EQ(Message(Binder().Bind(document->root(), literal)),
            "f.yaml:2:1: expected only one of 'flag' and 'word', found both");
}

TEST(BindTest, EntriesAreAMapInTheFilesOrderAndHooksReplaceARule) {
  Binder binder;
  binder.SetHook("canopy.v1.Literal",
                 [](const Binder&, const YamlNode& node, google::protobuf::Message& message) {
                   if (!node.is_scalar()) return node.Expected("a literal");
                   static_cast<v1::Literal&>(message).set_word(node.text());
                   return Status();
                 });
  v1::SearchSpaceFile file;
  const auto error = ErrorOf("canopy: 1\nname: x\nreference: {b: 1, a: 2}\n", file, binder);
  EXPECT_EQ(error, "f.yaml:1:1: expected 'network', found none");
  ASSERT_EQ(file.reference_size(), 2);
  EXPECT_EQ(file.reference(0).name(), "b");
  EXPECT_EQ(file.reference(1).value().word(), "2");
  EXPECT_EQ(file.reference(1).value().position().path(), "reference.a");
  EXPECT_EQ(ErrorOf("canopy: 1\nname: x\nreference: {b: []}\n", file, binder),
            "f.yaml:3:16: reference.b: expected a literal, found an empty list");
}

TEST(BindTest, CanonicalTextLeavesPositionsOut) {
  v1::SpaceInput a, b;
  a.add_shape(3);
  a.set_classes(10);
  b = a;
  b.mutable_position()->set_line(7);
  EXPECT_EQ(CanonicalText(a), CanonicalText(b));
  b.set_classes(11);
  EXPECT_NE(CanonicalText(a), CanonicalText(b));
}

}  // namespace
}  // namespace canopy::config
