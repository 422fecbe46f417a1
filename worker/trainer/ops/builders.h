#pragma once

#include <memory>

#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

// One builder per operator; registry.cc lists them under their names.
using BuiltOperation = std::unique_ptr<Operation>;

BuiltOperation BuildConv2d(const BuildContext& context);
BuiltOperation BuildBatchNorm(const BuildContext& context);
BuiltOperation BuildLinear(const BuildContext& context);
BuiltOperation BuildDropout(const BuildContext& context);
BuiltOperation BuildDropPath(const BuildContext& context);
BuiltOperation BuildLayerNorm(const BuildContext& context);
BuiltOperation BuildGroupNorm(const BuildContext& context);
BuiltOperation BuildLayerScale(const BuildContext& context);
BuiltOperation BuildSqueezeExcite(const BuildContext& context);
BuiltOperation BuildConvTranspose2d(const BuildContext& context);
BuiltOperation BuildSpaceToDepth(const BuildContext& context);
BuiltOperation BuildUpsample(const BuildContext& context);

BuiltOperation BuildAttention(const BuildContext& context);
BuiltOperation BuildWindowAttention(const BuildContext& context);
BuiltOperation BuildMlp(const BuildContext& context);
BuiltOperation BuildEmbedding(const BuildContext& context);
BuiltOperation BuildPatchEmbedding(const BuildContext& context);
BuiltOperation BuildPositionalEncoding(const BuildContext& context);
BuiltOperation BuildClassToken(const BuildContext& context);
BuiltOperation BuildLastTokens(const BuildContext& context);
BuiltOperation BuildTransposeTokens(const BuildContext& context);
BuiltOperation BuildSelectToken(const BuildContext& context);

BuiltOperation BuildRelu(const BuildContext& context);
BuiltOperation BuildRelu6(const BuildContext& context);
BuiltOperation BuildHardSwish(const BuildContext& context);
BuiltOperation BuildSilu(const BuildContext& context);
BuiltOperation BuildGelu(const BuildContext& context);
BuiltOperation BuildSigmoid(const BuildContext& context);
BuiltOperation BuildTanh(const BuildContext& context);
BuiltOperation BuildHardSigmoid(const BuildContext& context);
BuiltOperation BuildMish(const BuildContext& context);
BuiltOperation BuildLeakyRelu(const BuildContext& context);
BuiltOperation BuildElu(const BuildContext& context);

BuiltOperation BuildMaxPool(const BuildContext& context);
BuiltOperation BuildAvgPool(const BuildContext& context);
BuiltOperation BuildGlobalAvgPool(const BuildContext& context);

BuiltOperation BuildIdentity(const BuildContext& context);
BuiltOperation BuildZero(const BuildContext& context);
BuiltOperation BuildFirstChannels(const BuildContext& context);
BuiltOperation BuildLastChannels(const BuildContext& context);
BuiltOperation BuildChannelShuffle(const BuildContext& context);
BuiltOperation BuildFlatten(const BuildContext& context);

BuiltOperation BuildAdd(const BuildContext& context);
BuiltOperation BuildMultiply(const BuildContext& context);
BuiltOperation BuildConcat(const BuildContext& context);

}  // namespace canopy::trainer
