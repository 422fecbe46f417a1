#include "worker/trainer/operator_libraries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/sha256.h"
#include "search_spaces/ops/operator_definition.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/weights.h"

namespace canopy::trainer {
namespace {

using search_space::NetworkGraph;
using search_space::OperatorDefinition;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Loaded once: a second copy in one process would be another library.
const OperatorLibraries& Libraries() {
  static const OperatorLibraries* const libraries = [] {
    const auto loaded = OperatorLibraries::Load(
        std::vector<AllowedLibrary>{{CANOPY_TEST_OPERATORS, *Sha256HexOfFile(CANOPY_TEST_OPERATORS)}});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return new OperatorLibraries(*loaded);
  }();
  return *libraries;
}

// 3 x 4 x 4 images through the operator.
NetworkGraph With(const std::string& name, double noise = 0) {
  OperatorDefinition definition{
      .name = name,
      .attributes = {{.name = "noise", .type = search_space::AttributeSpec::Type::kNumber, .fallback = 0.0}},
      .input = OperatorDefinition::Input::kImage,
      .parameters = "in_channels"};
  std::string fault;
  const auto op = search_space::DefineOperator(definition, fault);
  EXPECT_TRUE(op.ok()) << op.status() << fault;
  NetworkGraph graph = *search_space::InputGraph({3, 4, 4});
  const auto node = search_space::AppendNode(graph, **op, {{"noise", noise}}, {0});
  EXPECT_TRUE(node.ok()) << node.status();
  graph.output = *node;
  return graph;
}

std::string BuildError(const std::string& name, const OperatorLibraries& libraries = Libraries()) {
  return Message(GraphModule::Build(With(name), at::kFloat, 1, libraries).status());
}

TEST(OperatorLibrariesTest, SayWhatTheyHave) {
  EXPECT_THAT(Libraries().names(), ElementsAre("test_nothing", "test_scale", "test_sign", "test_throwing",
                                               "test_wrong_count", "test_wrong_shape"));
  EXPECT_EQ(Libraries().digest().size(), 64u);
  EXPECT_EQ(NoOperatorLibraries().digest(), "");
}

TEST(OperatorLibrariesTest, ModulesTrain) {
  auto network = GraphModule::Build(With("test_scale"), at::kFloat, 3, Libraries());
  ASSERT_TRUE(network.ok()) << network.status();
  ParameterStore& store = (*network)->store();
  ASSERT_EQ(store.parameters().size(), 1u);
  const at::Tensor weight = store.parameters()[0].value;
  EXPECT_EQ(store.parameters()[0].name, "1.test_scale.weight");
  EXPECT_EQ(store.decayed_size(), 16);
  EXPECT_NE(weight[0].item<float>(), weight[1].item<float>());
  const at::Tensor images = Dense(at::rand({2, 3, 4, 4})), gradient = Dense(at::rand({2, 3, 4, 4}));
  Rng noise(1);
  const at::Tensor output = (*network)->ForwardTraining(images, noise);
  EXPECT_TRUE(at::allclose(output, images * weight.view({1, 3, 1, 1})));
  (*network)->Backward(gradient);
  EXPECT_TRUE(at::allclose(store.parameters()[0].gradient, (gradient * images).sum({0, 2, 3})));
  // The probe and inference are no training.
  (*network)->ForwardInference(images);
  EXPECT_EQ(store.buffers()[0].value.item<float>(), 6);
}

TEST(OperatorLibrariesTest, ModulesAreGivenWords) {
  OperatorDefinition definition{.name = "test_sign",
                                .attributes = {{.name = "sign",
                                                .type = search_space::AttributeSpec::Type::kWord,
                                                .words = {"plus", "minus"}}},
                                .input = OperatorDefinition::Input::kImage};
  std::string fault;
  const auto op = search_space::DefineOperator(definition, fault);
  ASSERT_TRUE(op.ok()) << op.status() << fault;
  for (const auto& [word, factor] : {std::pair("plus", 1), std::pair("minus", -1)}) {
    NetworkGraph graph = *search_space::InputGraph({3, 4, 4});
    graph.output = *search_space::AppendNode(graph, **op, {{"sign", std::string(word)}}, {0});
    const auto network = GraphModule::Build(graph, at::kFloat, 1, Libraries());
    ASSERT_TRUE(network.ok()) << network.status();
    const at::Tensor images = Dense(at::rand({2, 3, 4, 4}));
    EXPECT_TRUE(at::equal((*network)->ForwardInference(images), images * factor));
  }
}

TEST(OperatorLibrariesTest, SeedsAreTheTrainers) {
  const auto outputs = [](uint64_t parameters, uint64_t noise) {
    auto network = *GraphModule::Build(With("test_scale", 1.0), at::kFloat, parameters, Libraries());
    Rng rng(noise);
    const at::Tensor images = Dense(at::ones({1, 3, 4, 4}));
    return at::stack({network->ForwardTraining(images, rng), network->ForwardTraining(images, rng)});
  };
  EXPECT_TRUE(at::equal(outputs(1, 1), outputs(1, 1)));
  EXPECT_FALSE(at::equal(outputs(1, 1), outputs(2, 1)));
  EXPECT_FALSE(at::equal(outputs(1, 1), outputs(1, 2)));
  EXPECT_FALSE(at::equal(outputs(1, 1)[0], outputs(1, 1)[1]));
}

TEST(OperatorLibrariesTest, WeightsAreStoredAndLoaded) {
  auto network = *GraphModule::Build(With("test_scale"), at::kBFloat16, 3, Libraries());
  auto other = *GraphModule::Build(With("test_scale"), at::kBFloat16, 4, Libraries());
  network->store().buffers()[0].value.fill_(9);
  const auto file = SaveWeights(*network, {{{1, 1, 1}, {0, 0, 0}}, "split"});
  ASSERT_TRUE(LoadWeights(file, *other).ok());
  const at::Tensor images = Dense(at::rand({2, 3, 4, 4})).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(network->ForwardInference(images), other->ForwardInference(images)));
  EXPECT_EQ(other->store().buffers()[0].value.item<float>(), 9);
}

TEST(OperatorLibrariesTest, AModuleThatDiffersFromTheRulesIsRefused) {
  EXPECT_THAT(
      BuildError("test_wrong_count"),
      HasSubstr(
          "operator 'test_wrong_count': expected 3 parameters, as the space file's rule says, found 7"));
  EXPECT_THAT(
      BuildError("test_wrong_shape"),
      HasSubstr("operator 'test_wrong_shape': expected an output of {2, 3, 4, 4}, as the space file's rule "
                "says, found {2, 3, 16}"));
  EXPECT_EQ(BuildError("test_throwing"), "operator 'test_throwing': no such luck");
  EXPECT_THAT(BuildError("test_nothing"), HasSubstr("its library made no module"));
  EXPECT_THAT(BuildError("test_scael"), HasSubstr("did you mean 'test_scale'?"));
  EXPECT_THAT(BuildError("test_scale", NoOperatorLibraries()), HasSubstr("operator_libraries"));
}

TEST(OperatorLibrariesTest, OnlyWhatIsAllowedIsLoaded) {
  const std::string digest = *Sha256HexOfFile(CANOPY_TEST_OPERATORS);
  const std::string path = CANOPY_TEST_OPERATORS;
  const auto error = [](std::vector<AllowedLibrary> allowed) {
    return Message(OperatorLibraries::Load(allowed).status());
  };
  EXPECT_THAT(error({{path, std::string(64, 'a')}}), HasSubstr("found " + digest));
  EXPECT_THAT(error({{path + ".missing", digest}}), HasSubstr("open " + path + ".missing"));
  EXPECT_THAT(error({{path, digest}, {path, digest}}), HasSubstr("expected each operator once"));
  EXPECT_THAT(error({{"/proc/self/exe", *Sha256HexOfFile("/proc/self/exe")}}),
              HasSubstr("load /proc/self/exe"));
  const auto parsed = ParseAllowedLibraries(path + "=" + digest + ",/b=c.so=" + digest);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ((*parsed)[0].sha256, digest);
  EXPECT_EQ((*parsed)[1].path, "/b=c.so");
  for (const std::string& text : {path, path + "=abc", "b.so=" + digest, path + "=" + digest + ","})
    EXPECT_THAT(Message(ParseAllowedLibraries(text).status()), HasSubstr("sha256sum")) << text;
}

}  // namespace
}  // namespace canopy::trainer
