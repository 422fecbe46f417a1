#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "search_spaces/graph.h"

namespace canopy::search_space {

// A node's colour says what it computes and what is made of it, as far as it was refined: nodes that may
// stand for each other have equal colours, in whatever order a graph has its nodes.
using Color = uint64_t;
using Colors = std::vector<Color>;

// A simplified graph as its canonical form sees it: nodes with labels (operator and attributes, or shape of
// what has no input) and edges. REQUIRES that the graph outlives it.
class LabeledGraph {
 public:
  explicit LabeledGraph(const NetworkGraph& graph);

  int size() const { return static_cast<int>(graph_.nodes.size()); }
  int output() const { return graph_.output; }
  // None of a zero whose input is needed anyway: it takes only a shape from it.
  std::span<const int> inputs(int node) const {
    return std::span(inputs_).subspan(begin_[node], begin_[node + 1] - begin_[node]);
  }
  // Its inputs may not be exchanged.
  bool ordered(int node) const { return ordered_[node]; }
  // The label's number, from 0 by first appearance.
  int label(int node) const { return label_[node]; }
  // Of each label.
  std::vector<std::string> LabelTexts() const;
  // Of the labels alone.
  Colors InitialColors() const { return initial_; }

  // Orders exchangeable inputs by colour. False where two different nodes of one colour are among them:
  // their order says nothing.
  bool OrderInputs(const Colors& colors);

 private:
  void NumberLabels();
  bool SameLabel(int a, int b) const;
  bool HasInputs(int node) const { return begin_[node] != begin_[node + 1]; }

  const NetworkGraph& graph_;
  std::vector<int> inputs_;    // of all nodes
  std::vector<size_t> begin_;  // where a node's begin
  std::vector<char> ordered_;
  std::vector<int> label_;
  std::vector<int> first_with_label_;
  Colors initial_;
};

// From what a node computes.
void RefineUpward(const LabeledGraph& graph, Colors& colors);
// Colour refinement (Weisfeiler and Leman), up and down the graph until it separates no more. REQUIRES
// colours refined upward.
void Refine(const LabeledGraph& graph, Colors& colors);

// A refined colouring in ranks, and the parts that nodes of repeated colours form among themselves: part 0
// is all nodes of a colour of their own.
struct Partition {
  std::vector<int> rank;                  // of each node's colour
  std::vector<std::vector<int>> members;  // of each rank
  std::vector<int> part;                  // of each node
  int parts = 1;
};

// Sets nodes apart until no part has a colour twice: of the nodes of such a colour the one that leaves the
// least colouring. Graphs so symmetric that this takes too long keep their order of nodes. REQUIRES refined
// colours.
Partition Separate(const LabeledGraph& graph, Colors colors);

}  // namespace canopy::search_space
