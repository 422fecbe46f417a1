#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "canopy/v1/search_space.pb.h"
#include "search_spaces/blocks/block.h"
#include "search_spaces/blocks/definitions.h"
#include "search_spaces/decision.h"
#include "search_spaces/file_operators.h"

namespace canopy::search_space {

// What names mean at a place of a space file.
class Scope {
 public:
  Scope() = default;
  // A scope within `parent`, whose decisions begin with `name` and an underscore (not where it is empty).
  Scope(Scope& parent, const std::string& name);
  Scope(Scope&&) = default;

  // Everything within is active only where `condition` holds, too. Names in it are whole decision names.
  void AddCondition(Expression condition) { conditions_.push_back(std::move(condition)); }
  // A repeat's number.
  void SetConstant(const std::string& name, Value value) { constants_[name] = std::move(value); }

 private:
  friend class Expander;
  // What a use gives the name of a parameter: a decision, or an expression over whole names of decisions.
  struct Parameter {
    int decision = -1;
    std::optional<Expression> expression;
    std::vector<int> names;  // decisions that it uses
  };
  Scope* parent_ = nullptr;
  std::string prefix_;
  int instance_ = 0;  // the same for copies and uses that share their decisions
  std::map<std::string, Parameter> parameters_;
  std::map<std::string, int> decisions_;  // by their names without the prefix
  std::map<std::string, Value> constants_;
  std::vector<Expression> conditions_;
};

// Turns a space file into its decisions and its network: declares decisions in the file's order, gives them
// their names and conditions, and expands repeats. Bounds everything before it allocates it.
class Expander {
 public:
  static constexpr int kMaxDecisions = 1500;
  static constexpr int kMaxChoices = 1024;
  static constexpr int64_t kMaxBlocks = 65536;
  // Weighs expressions by their length; 21 of 4 KiB, or 28,000 of 20 bytes.
  static constexpr size_t kMaxExpressionWork = 1'500'000;

  // `root` is the scope of the file's own decisions; all outlive the expander.
  Expander(std::string file, const Definitions& definitions, const FileOperators& operators, Scope& root)
      : file_(std::move(file)), definitions_(definitions), operators_(operators), root_(&root) {}

  // Expands a block of any kind. `scope` outlives the call only.
  StatusOr<std::unique_ptr<Block>> Expand(const v1::Block& block, Scope& scope);

  // Declares the decision that `value` writes out and returns its index; `name` is its name where it has
  // none itself.
  StatusOr<int> Declare(const v1::SpaceValue& value, const std::string& name, DecisionRole role,
                        Scope& scope);
  Status DeclareAll(const google::protobuf::RepeatedPtrField<v1::NamedSpaceValue>& values, DecisionRole role,
                    Scope& scope);
  // Declares a decision between `choices`.
  StatusOr<int> DeclareChoice(const v1::Position& position, const std::string& name,
                              const std::vector<Value>& choices, Scope& scope);
  // A value of an attribute: constants, decisions declared on the spot, references and expressions. `words`
  // are those that the attribute takes, for messages.
  StatusOr<ValueSource> Resolve(const v1::SpaceValue& value, const std::string& name, Scope& scope,
                                std::span<const std::string_view> words = {});
  // A boolean expression over decisions, by their whole names; constants are put in.
  StatusOr<Expression> ResolveCondition(const std::string& text, const v1::Position& position,
                                        const Scope& scope);
  // Its value where it is constant, nullopt where it depends on decisions.
  StatusOr<std::optional<bool>> ConstantCondition(const Expression& condition,
                                                  const v1::Position& position) const;

  // The operator of that name, which the network has now; nullptr where there is none.
  const Operator* UseOperator(const std::string& name);
  // Those of the file's own operators that the network has, by name.
  const std::set<std::string>& own_operators() const { return own_operators_; }
  // The block that `use` names.
  StatusOr<const v1::BlockDefinition*> FindBlock(const v1::UseBlock& use) const {
    return definitions_.Find(use, file_);
  }
  // What names mean within the block that `use` puts into `caller`.
  Scope ScopeOfUse(const v1::UseBlock& use, const v1::BlockDefinition& definition, Scope& caller);
  // Gives a parameter of the scope `to` a value written in the scope `from`: a constant, a decision, or an
  // expression of them.
  Status SetParameter(const std::string& name, const v1::SpaceValue& value, Scope& from, Scope& to);

  // What Lowering::values and ValueSource need for each of its names.
  std::vector<int> Slots(const Expression& expression) const;

  // OK for an empty name or one that is lower_snake.
  Status CheckName(const std::string& name, const v1::Position& position) const;
  // OK for the name of an operator that merges.
  Status CheckMerge(const std::string& merge, const v1::Position& position) const;
  Status Error(const v1::Position& position, std::string_view message) const {
    return ErrorAt(file_, position, message);
  }
  // OK where the file's blocks, `copies` times `body` among them, stay below kMaxBlocks.
  Status CheckExpansion(const v1::Block& body, int64_t copies, const v1::Position& position) const;

  const std::vector<Decision>& decisions() const { return decisions_; }
  // OK where every decision but those of the recipe is named by a value or a condition.
  Status CheckAllUsed() const;
  int64_t blocks() const { return blocks_; }
  std::vector<Decision> TakeDecisions() { return std::move(decisions_); }

 private:
  // The decision or constant that a name stands for in `scope`.
  struct Meaning {
    int decision = -1;
    const Value* constant = nullptr;
    const Scope::Parameter* parameter = nullptr;
  };
  // While it lives, what is used is noted in `names` alone.
  class Deferred {
   public:
    Deferred(Expander& expander, std::vector<int>& names) : expander_(expander) {
      expander.deferred_ = &names;
    }
    ~Deferred() { expander_.deferred_ = nullptr; }

   private:
    Expander& expander_;
  };
  void MarkUsed(int decision) {
    if (deferred_) {
      deferred_->push_back(decision);
    } else {
      used_[decision] = true;
    }
  }
  std::optional<Meaning> Find(const std::string& name, const Scope& scope) const;
  std::vector<ValueKind> KindsOf(const std::vector<int>& slots) const;
  std::vector<std::string> NamesIn(const Scope& scope) const;
  // OK where each word that the expression compares a decision with is one of its choices; direct[i] is the
  // decision that names()[i] is, or -1. REQUIRES an expression of Parse.
  Status CheckComparedWords(const Expression& expression, const v1::Position& position,
                            std::vector<int> direct);
  // OK where all expressions of the file, each copy's counted, stay within what can be computed quickly.
  Status ChargeExpression(size_t bytes, const v1::Position& position);
  StatusOr<Expression> Parse(const std::string& text, const v1::Position& position);
  StatusOr<int> Add(Decision decision, const std::string& name, const v1::Position& position, Scope& scope);
  StatusOr<Expression> ResolveNames(const std::string& text, const v1::Position& position, const Scope& scope,
                                    const std::vector<std::string>& free_names,
                                    std::optional<std::span<const std::string_view>> words = std::nullopt);

  std::string file_;
  const Definitions& definitions_;
  const FileOperators& operators_;
  Scope* root_;
  std::set<std::string> own_operators_;
  std::map<std::pair<int, const v1::Position*>, int> use_instances_;
  std::vector<Decision> decisions_;
  std::map<std::string, int> by_name_;
  std::vector<const v1::Position*> places_;  // of each decision's declaration
  std::vector<int> instances_;               // Scope::instance_ of each decision's declaration
  std::vector<bool> used_;                   // whether anything names it
  std::vector<int>* deferred_ = nullptr;     // see Deferred
  int64_t blocks_ = 0;
  size_t expression_work_ = 0;
  std::map<std::string, Expression> parsed_;  // of the file, by their text: copies have the same ones
  std::set<std::pair<const std::string*, std::vector<int>>> checked_;  // see CheckComparedWords
};

// One a kind of block; `position` is the block's.
StatusOr<std::unique_ptr<Block>> ExpandOperator(const v1::OperatorBlock&, const v1::Position&, Expander&,
                                                Scope&);
StatusOr<std::unique_ptr<Block>> ExpandSequence(const v1::SequenceBlock&, const v1::Position&, Expander&,
                                                Scope&);
StatusOr<std::unique_ptr<Block>> ExpandOneOf(const v1::OneOfBlock&, const v1::Position&, Expander&, Scope&);
StatusOr<std::unique_ptr<Block>> ExpandRepeat(const v1::RepeatBlock&, const v1::Position&, Expander&, Scope&);
StatusOr<std::unique_ptr<Block>> ExpandResidual(const v1::ResidualBlock&, const v1::Position&, Expander&,
                                                Scope&);
StatusOr<std::unique_ptr<Block>> ExpandOptional(const v1::OptionalBlock&, const v1::Position&, Expander&,
                                                Scope&);
StatusOr<std::unique_ptr<Block>> ExpandBranches(const v1::BranchesBlock&, const v1::Position&, Expander&,
                                                Scope&);
StatusOr<std::unique_ptr<Block>> ExpandUse(const v1::UseBlock&, const v1::Position&, Expander&, Scope&);
StatusOr<std::unique_ptr<Block>> ExpandCell(const v1::CellBlock&, const v1::Position&, Expander&, Scope&);

}  // namespace canopy::search_space
