#include "search_spaces/compared_word.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace canopy::search_space {

Status CheckComparedWord(const Decision& decision, const std::string& word) {
  if (decision.value_kind() != ValueKind::kWord) return {};
  std::vector<std::string> words;
  for (const Value& choice : decision.choices) words.push_back(std::get<std::string>(choice));
  if (std::count(words.begin(), words.end(), word)) return {};
  return InvalidArgument("expected one of " + Join(words, ", ") + " to compare '" + decision.name +
                         "' with, found '" + word + "'" + DidYouMean(word, words));
}

}  // namespace canopy::search_space
