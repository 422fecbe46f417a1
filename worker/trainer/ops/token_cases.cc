#include <cmath>
#include <limits>

#include "worker/trainer/ops/operation_cases.h"

namespace canopy::trainer {
namespace {

using Tensors = OperationCase::Tensors;

// Head by head, as the paper writes it.
at::Tensor AttentionReference(const Tensors& x, const Tensors& p, int64_t heads, int64_t size, bool causal) {
  const at::Tensor projected = at::matmul(x[0], p[0].t()) + (p.size() > 2 ? p[2] : at::zeros({1}));
  const int64_t inner = heads * size;
  const int64_t tokens = x[0].size(1);
  Tensors results;
  for (int64_t h = 0; h < heads; ++h) {
    const auto part = [&](int64_t which) { return projected.narrow(2, which * inner + h * size, size); };
    at::Tensor scores = at::bmm(part(0), part(1).transpose(1, 2)) / std::sqrt(static_cast<double>(size));
    if (causal)
      scores =
          scores + at::full({tokens, tokens}, -std::numeric_limits<float>::infinity(), at::kFloat).triu(1);
    results.push_back(at::bmm(at::softmax(scores, 2), part(2)));
  }
  return at::matmul(at::cat(results, 2), p[1].t()) + (p.size() > 3 ? p[3] : at::zeros({1}));
}

at::Tensor LayerNormReference(const at::Tensor& x, const Tensors& p) {
  const at::Tensor centred = x - x.mean(-1, /*keepdim=*/true);
  const at::Tensor y = centred / (centred.pow(2).mean(-1, /*keepdim=*/true) + 1e-5).sqrt();
  return p.empty() ? y : y * p[0] + p[1];
}

}  // namespace

std::vector<OperationCase> TokenCases() {
  const std::vector<int64_t> tokens = {7, 12};
  return {
      {"AttentionOfFourHeads",
       "attention",
       {{"heads", int64_t{4}}},
       {tokens},
       [](const Tensors& x, const Tensors& p) { return AttentionReference(x, p, 4, 3, false); }},
      {"AttentionCausalWithSizeOfHeads",
       "attention",
       {{"heads", int64_t{5}}, {"head_features", int64_t{4}}, {"causal", true}, {"bias", false}},
       {tokens},
       [](const Tensors& x, const Tensors& p) { return AttentionReference(x, p, 5, 4, true); }},
      {"MlpTokens",
       "mlp",
       {{"ratio", 2.5}},
       {tokens},
       [](const Tensors& x, const Tensors& p) {
         return at::matmul(at::gelu(at::matmul(x[0], p[0].t()) + p[2]), p[1].t()) + p[3];
       }},
      {"MlpVector",
       "mlp",
       {{"bias", false}},
       {{12}},
       [](const Tensors& x, const Tensors& p) {
         return at::matmul(at::gelu(at::matmul(x[0], p[0].t())), p[1].t());
       }},
      // Few hidden features: where bf16 turns the sign of one, the gradient behind its kink is another.
      {"MlpRelu6",
       "mlp",
       {{"ratio", 0.25}, {"activation", "relu6"}},
       {tokens},
       [](const Tensors& x, const Tensors& p) {
         return at::matmul(at::clamp(at::matmul(x[0], p[0].t()) + p[2], 0, 6), p[1].t()) + p[3];
       }},
      {"MlpMish",
       "mlp",
       {{"activation", "mish"}},
       {tokens},
       [](const Tensors& x, const Tensors& p) {
         const at::Tensor hidden = at::matmul(x[0], p[0].t()) + p[2];
         return at::matmul(hidden * at::tanh(at::softplus(hidden)), p[1].t()) + p[3];
       }},
      {"LayerNormTokens",
       "layer_norm",
       {},
       {tokens},
       [](const Tensors& x, const Tensors& p) { return LayerNormReference(x[0], p); }},
      {"LayerNormVectorWithoutAffine",
       "layer_norm",
       {{"affine", false}},
       {{12}},
       [](const Tensors& x, const Tensors& p) { return LayerNormReference(x[0], p); }},
      {"BatchNormTokens",
       "batch_norm",
       {},
       {tokens},
       [](const Tensors& x, const Tensors& p) {
         return std::get<0>(at::native_batch_norm(x[0].transpose(1, 2), OptionalTensor(p[0]),
                                                  OptionalTensor(p[1]), {}, {}, true, 0.1, 1e-5))
             .transpose(1, 2);
       }},
      {"LinearTokens",
       "linear",
       {{"features", int64_t{5}}},
       {tokens},
       [](const Tensors& x, const Tensors& p) { return at::matmul(x[0], p[0].t()) + p[1]; }},
      {"PatchEmbedding",
       "patch_embedding",
       {{"features", int64_t{5}}, {"patch", int64_t{2}}},
       {{3, 4, 6}},
       [](const Tensors& x, const Tensors& p) {
         Tensors squares;
         for (int64_t row = 0; row < 4; row += 2)
           for (int64_t column = 0; column < 6; column += 2)
             squares.push_back(
                 at::matmul(x[0].narrow(2, row, 2).narrow(3, column, 2).flatten(1), p[0].flatten(1).t()) +
                 p[1]);
         return at::stack(squares, 1);
       }},
      {"PositionalEncodingLearned",
       "positional_encoding",
       {},
       {tokens},
       [](const Tensors& x, const Tensors& p) { return x[0] + p[0].unsqueeze(0); }},
      {"PositionalEncodingSinusoidal",
       "positional_encoding",
       {{"learned", false}},
       {{7, 5}},
       [](const Tensors& x, const Tensors&) {
         const at::Tensor position = at::arange(7, at::kFloat).unsqueeze(1);
         const at::Tensor angles =
             position / at::pow(10000, at::tensor({0.0F, 0.0F, 2.0F, 2.0F, 4.0F}) / 5).unsqueeze(0);
         const at::Tensor even = at::tensor({1.0F, 0.0F, 1.0F, 0.0F, 1.0F});
         return x[0] + at::sin(angles) * even + at::cos(angles) * (1 - even);
       }},
      {"ClassToken",
       "class_token",
       {},
       {tokens},
       [](const Tensors& x, const Tensors& p) {
         return at::cat({at::zeros({x[0].size(0), 1, 12}) + p[0], x[0]}, 1);
       }},
      {"LastTokens",
       "last_tokens",
       {{"tokens", int64_t{3}}},
       {tokens},
       [](const Tensors& x, const Tensors&) { return x[0].slice(1, 4); }},
      {"TransposeTokens",
       "transpose_tokens",
       {},
       {tokens},
       [](const Tensors& x, const Tensors&) { return at::stack(x[0].unbind(2), 1); }},
      {"ChannelShuffleOfTokens",
       "channel_shuffle",
       {{"groups", int64_t{3}}},
       {{5, 6}},
       [](const Tensors& x, const Tensors&) {
         Tensors features;
         for (const int64_t f : {0, 2, 4, 1, 3, 5}) features.push_back(x[0].narrow(2, f, 1));
         return at::cat(features, 2);
       }},
      {"LayerScaleTokens",
       "layer_scale",
       {{"init", 0.5}},
       {tokens},
       [](const Tensors& x, const Tensors& p) {
         return at::einsum("ntf,f->ntf", {x[0], p[0]});
       }},
      {"SelectToken",
       "select_token",
       {{"index", int64_t{-2}}},
       {tokens},
       [](const Tensors& x, const Tensors&) { return x[0].narrow(1, 5, 1).squeeze(1); }},
      {"GlobalAvgPoolTokens",
       "global_avg_pool",
       {},
       {tokens},
       [](const Tensors& x, const Tensors&) { return x[0].sum(1) / 7; }},
      {"FlattenTokens",
       "flatten",
       {},
       {tokens},
       [](const Tensors& x, const Tensors&) {
         return x[0].reshape({-1, 84});
       }},
      {"ZeroTokens", "zero", {}, {tokens}, [](const Tensors& x, const Tensors&) { return x[0] * 0; }},
      {"GeluTokens", "gelu", {}, {tokens}, [](const Tensors& x, const Tensors&) { return at::gelu(x[0]); }},
      {"AddTokens",
       "add",
       {},
       {tokens, tokens},
       [](const Tensors& x, const Tensors&) { return x[0] + x[1]; }},
      {"MultiplyTokens",
       "multiply",
       {},
       {tokens, {12}},
       [](const Tensors& x, const Tensors&) { return x[0] * x[1].unsqueeze(1); }},
      {"ConcatTokens",
       "concat",
       {},
       {tokens, {7, 3}},
       [](const Tensors& x, const Tensors&) {
         return at::cat({x[0], x[1]}, 2);
       }},
      {"FirstChannelsOfTokens",
       "first_channels",
       {{"channels", int64_t{5}}},
       {tokens},
       [](const Tensors& x, const Tensors&) { return x[0].narrow(2, 0, 5); }},
      {"LastChannelsOfTokens",
       "last_channels",
       {{"channels", int64_t{5}}},
       {tokens},
       [](const Tensors& x, const Tensors&) { return x[0].narrow(2, 7, 5); }},
  };
}

}  // namespace canopy::trainer
