#include "worker/trainer/ops/registry.h"

#include <string_view>

#include "base/strings.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"
#include "worker/trainer/ops/plugin_operation.h"

namespace canopy::trainer {
namespace {

struct Entry {
  std::string_view name;
  OperationBuilder build;
};

constexpr Entry kOperations[] = {
    {"conv2d", BuildConv2d},
    {"batch_norm", BuildBatchNorm},
    {"linear", BuildLinear},
    {"dropout", BuildDropout},
    {"relu", BuildRelu},
    {"relu6", BuildRelu6},
    {"hard_swish", BuildHardSwish},
    {"silu", BuildSilu},
    {"gelu", BuildGelu},
    {"sigmoid", BuildSigmoid},
    {"tanh", BuildTanh},
    {"max_pool", BuildMaxPool},
    {"avg_pool", BuildAvgPool},
    {"global_avg_pool", BuildGlobalAvgPool},
    {"identity", BuildIdentity},
    {"zero", BuildZero},
    {"first_channels", BuildFirstChannels},
    {"flatten", BuildFlatten},
    {"add", BuildAdd},
    {"multiply", BuildMultiply},
    {"drop_path", BuildDropPath},
    {"layer_norm", BuildLayerNorm},
    {"group_norm", BuildGroupNorm},
    {"squeeze_excite", BuildSqueezeExcite},
    {"conv_transpose2d", BuildConvTranspose2d},
    {"upsample", BuildUpsample},
    {"attention", BuildAttention},
    {"mlp", BuildMlp},
    {"embedding", BuildEmbedding},
    {"patch_embedding", BuildPatchEmbedding},
    {"positional_encoding", BuildPositionalEncoding},
    {"class_token", BuildClassToken},
    {"last_tokens", BuildLastTokens},
    {"select_token", BuildSelectToken},
    {"hard_sigmoid", BuildHardSigmoid},
    {"mish", BuildMish},
    {"leaky_relu", BuildLeakyRelu},
    {"elu", BuildElu},
    {"concat", BuildConcat},
    {"last_channels", BuildLastChannels},
    {"channel_shuffle", BuildChannelShuffle},
    {"transpose_tokens", BuildTransposeTokens},
    {"layer_scale", BuildLayerScale},
    {"space_to_depth", BuildSpaceToDepth},
    {"window_attention", BuildWindowAttention},
};

}  // namespace

std::vector<std::string> OperationNames() {
  std::vector<std::string> names;
  for (const Entry& entry : kOperations) names.emplace_back(entry.name);
  return names;
}

StatusOr<std::unique_ptr<Operation>> BuildOperation(const BuildContext& context,
                                                    const OperatorLibraries& libraries) {
  if (!context.node.op->definition().empty()) return BuildPluginOperation(context, libraries);
  for (const Entry& entry : kOperations)
    if (entry.name == context.node.op) return entry.build(context);
  const std::vector<std::string> names = OperationNames();
  return InvalidArgument("the trainer has no operator '" + std::string(context.node.op) + "'" +
                         DidYouMean(context.node.op, names) + "; it knows " + Join(names, ", "));
}

}  // namespace canopy::trainer
