#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// What makes {tokens, features} of other things, and of them again.

// Token numbers {tokens} to a learned vector each of `features`, {tokens, features}: the network's input,
// whose values are then integers from 0 to `vocabulary` - 1, and nothing but embeddings reads it.
const Operator* Embedding();
// {C, H, W} to one token of `features` for each `patch` x `patch` square, row by row: a convolution with a
// stride of its kernel.
const Operator* PatchEmbedding();
// Adds to each token what tells its position: a learned vector, or sines and cosines of rising wave lengths
// (Vaswani et al. 2017) where `learned` is false.
const Operator* PositionalEncoding();
// {tokens, features} with a learned token in front.
const Operator* ClassToken();
// {T, F} to {F, T}: what comes next mixes tokens, as the MLP-Mixer does (Tolstikhin et al. 2021).
const Operator* TransposeTokens();
// The last `tokens` of {tokens, features}: how far a language model looks back.
const Operator* LastTokens();
// {tokens, features} to the {features} of token `index`; from the end where it is negative.
const Operator* SelectToken();

}  // namespace canopy::search_space
