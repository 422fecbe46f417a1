// Replays every campaign of a database through fresh proposers: `replay_check DATABASE`. Ends with status 1
// and the first difference where the log has other proposals.
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "controller/engine/replay.h"
#include "storage/reader.h"

namespace canopy {
namespace {

Status CheckAll(const std::string& path) {
  constexpr int64_t kPage = 100;
  CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<storage::Reader> reader, storage::Reader::Open(path));
  for (int64_t after_id = 0;;) {
    CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::CampaignRow> campaigns,
                            reader->Campaigns(after_id, kPage));
    for (const storage::CampaignRow& campaign : campaigns) {
      const int64_t id = campaign.campaign.id;
      const StatusOr<engine::ReplayedProposals> replayed = engine::ReplayProposals(path, id);
      CANOPY_RETURN_IF_ERROR(WithContext(replayed.status(), "campaign " + campaign.campaign.name));
      std::cout << campaign.campaign.name << ": " << replayed->proposals << " proposals replayed\n";
      after_id = id;
    }
    if (static_cast<int64_t>(campaigns.size()) < kPage) return absl::OkStatus();
  }
}

}  // namespace
}  // namespace canopy

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: replay_check DATABASE\n";
    return 2;
  }
  const canopy::Status status = canopy::CheckAll(argv[1]);
  if (status.ok()) return 0;
  std::cerr << canopy::Message(status) << '\n';
  return 1;
}
