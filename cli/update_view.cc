#include "cli/update_view.h"

#include <ostream>
#include <string>

#include "base/strings.h"
#include "cli/table.h"

namespace canopy::cli {
namespace {

std::string Trials(int64_t count) { return FormatCount(count) + (count == 1 ? " trial" : " trials"); }

void PrintTrials(const v1::CampaignUpdate& update, std::ostream& out) {
  out << "space version " << update.old_space_version() << " -> " << update.space_version() << ": "
      << Trials(update.trials_carried()) << " carried over, " << FormatCount(update.trials_set_aside())
      << " set aside\n";
  for (const v1::SetAsideReason& reason : update.reasons())
    out << "  "
        << Printable(Trials(reason.trials()) + ", such as " + reason.example() + ": " + reason.reason())
        << '\n';
  if (update.trials_running_on() > 0)
    out << "  " << Trials(update.trials_running_on())
        << " of these run on to their end and count for no ranking\n";
  if (update.trials_cancelled() > 0)
    out << "  " << Trials(update.trials_cancelled()) << " of these waited for a worker: cancelled\n";
}

}  // namespace

void PrintUpdate(const v1::LaunchReply& reply, bool dry_run, std::ostream& out, int width) {
  const v1::CampaignUpdate& update = reply.update();
  if (update.changes_size() == 0) {
    out << "Nothing to change: " << Printable(reply.name()) << " has these files\n";
    return;
  }
  out << (dry_run ? "Would change " : "Changed ") << Printable(reply.name()) << '\n';
  Table table({{"what"}, {"before"}, {"after"}});
  const auto cell = [](const std::string& text) { return text.empty() ? Cell() : Cell(text); };
  for (const v1::Change& change : update.changes())
    table.AddRow({change.what(), cell(change.before()), cell(change.after())});
  table.Print(out, Format::kTable, width);
  if (update.space_version() != update.old_space_version()) PrintTrials(update, out);
}

}  // namespace canopy::cli
