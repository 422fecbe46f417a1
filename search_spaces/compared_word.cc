#include "search_spaces/compared_word.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace canopy::search_space {

Status CheckComparedWord(const Decision& decision, const std::string& word) {
  if (decision.value_kind() != ValueKind::kWord) return {};
  const auto is_word = [&](const Value& choice) { return std::get<std::string>(choice) == word; };
  if (std::any_of(decision.choices.begin(), decision.choices.end(), is_word)) return {};
  std::vector<std::string> words;
  for (const Value& choice : decision.choices) words.push_back(std::get<std::string>(choice));
  return InvalidArgument("expected one of " + Join(words, ", ") + " to compare '" + decision.name +
                         "' with, found '" + word + "'" + DidYouMean(word, words));
}

}  // namespace canopy::search_space
