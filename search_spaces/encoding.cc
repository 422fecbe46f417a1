#include "search_spaces/encoding.h"

#include <utility>

#include "base/strings.h"
#include "search_spaces/graph_encoding.h"
#include "search_spaces/simplify.h"

namespace canopy::search_space {
namespace {

constexpr int kMaxOption = 65536;

class NumericEncoding final : public Encoding {
 public:
  explicit NumericEncoding(SearchSpace space) : space_(std::move(space)) {}

  std::vector<std::string> columns() const override {
    std::vector<std::string> columns;
    for (const Decision& decision : space_.decisions()) {
      if (decision.kind == DecisionKind::kCategorical) {
        for (const Value& value : decision.choices)
          columns.push_back(decision.name + "=" + DisplayText(value));
        continue;
      }
      if (!decision.conditions.empty()) columns.push_back(decision.name + "_active");
      columns.push_back(decision.name);
    }
    return columns;
  }

  StatusOr<std::vector<double>> Encode(const Candidate& candidate) const override {
    const std::vector<const Value*> values = space_.ValuesOf(candidate);
    std::vector<double> code;
    for (size_t i = 0; i < values.size(); ++i) {
      const Decision& decision = space_.decisions()[i];
      if (decision.kind == DecisionKind::kCategorical) {
        const size_t at = code.size();
        code.resize(at + decision.choices.size());
        if (values[i]) code[at + decision.OrdinalOf(*values[i])] = 1;
        continue;
      }
      if (!decision.conditions.empty()) code.push_back(values[i] ? 1 : 0);
      code.push_back(values[i] ? decision.PositionOf(*values[i]) : 0);
    }
    return code;
  }

 private:
  const SearchSpace space_;
};

// What sees the simplified network alone.
class GraphEncoding : public Encoding {
 public:
  GraphEncoding(SearchSpace space, TaskShape task) : space_(std::move(space)), task_(std::move(task)) {}

  StatusOr<std::vector<double>> Encode(const Candidate& candidate) const override {
    CANOPY_ASSIGN_OR_RETURN(NetworkGraph written, space_.Lower(candidate, task_));
    return EncodeGraph(Simplify(std::move(written)));
  }

 protected:
  virtual StatusOr<std::vector<double>> EncodeGraph(const NetworkGraph& simplified) const = 0;

 private:
  const SearchSpace space_;
  const TaskShape task_;
};

class AdjacencyEncoding final : public GraphEncoding {
 public:
  AdjacencyEncoding(const SearchSpace& space, const TaskShape& task, int max_nodes)
      : GraphEncoding(space, task), max_nodes_(max_nodes) {}
  std::vector<std::string> columns() const override { return AdjacencyColumns(max_nodes_); }

 protected:
  StatusOr<std::vector<double>> EncodeGraph(const NetworkGraph& simplified) const override {
    return EncodeAdjacency(simplified, max_nodes_);
  }

 private:
  const int max_nodes_;
};

class PathEncoding final : public GraphEncoding {
 public:
  PathEncoding(const SearchSpace& space, const TaskShape& task, int buckets)
      : GraphEncoding(space, task), buckets_(buckets) {}
  std::vector<std::string> columns() const override {
    std::vector<std::string> columns;
    for (int i = 0; i < buckets_; ++i) columns.push_back("paths_" + std::to_string(i));
    return columns;
  }

 protected:
  StatusOr<std::vector<double>> EncodeGraph(const NetworkGraph& simplified) const override {
    return EncodePaths(simplified, buckets_);
  }

 private:
  const int buckets_;
};

}  // namespace

std::vector<std::string> EncodingKinds() { return {"numeric", "adjacency", "path"}; }

StatusOr<std::unique_ptr<Encoding>> MakeEncoding(std::string_view kind, const SearchSpace& space,
                                                 const TaskShape& task, const Encoding::Options& options) {
  for (const auto& [name, value] :
       {std::pair("max_nodes", options.max_nodes), std::pair("buckets", options.buckets)}) {
    if (value < 1 || value > kMaxOption) {
      return InvalidArgument(std::string(name) + ": expected an integer from 1 to " +
                             FormatCount(kMaxOption) + ", found " + std::to_string(value));
    }
  }
  if (kind == "numeric") return std::unique_ptr<Encoding>(std::make_unique<NumericEncoding>(space));
  if (kind == "adjacency")
    return std::unique_ptr<Encoding>(std::make_unique<AdjacencyEncoding>(space, task, options.max_nodes));
  if (kind == "path")
    return std::unique_ptr<Encoding>(std::make_unique<PathEncoding>(space, task, options.buckets));
  return InvalidArgument("expected an encoding, one of " + Join(EncodingKinds(), ", ") + ", found '" +
                         std::string(kind) + "'" + DidYouMean(kind, EncodingKinds()));
}

}  // namespace canopy::search_space
