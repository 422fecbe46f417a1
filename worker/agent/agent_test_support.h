#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/check.h"
#include "canopy/v1/worker_service.pb.h"

namespace canopy::agent {

// A folder that lives as long as the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "canopy-agent-XXXXXX").string();
    CANOPY_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A lease of a candidate that the fake trainer takes, on the dataset "images".
inline v1::Lease TestLease(int64_t attempt_id, const std::string& candidate = "a") {
  v1::Lease lease;
  lease.set_attempt_id(attempt_id);
  lease.set_trial_id(attempt_id + 100);
  lease.set_fence(attempt_id + 1000);
  lease.set_purpose(v1::PURPOSE_SEARCH);
  lease.set_decisions_json(R"({"candidate":")" + candidate + "\"}");
  lease.set_graph_json("{}");
  lease.set_recipe_json(R"({"optimizer":"sgd","learning_rate":0.1,"batch_size":32})");
  lease.set_epochs(1);
  lease.set_initialization_seed(1);
  lease.set_data_order_seed(2);
  lease.set_augmentation_seed(3);
  lease.set_numeric_mode("fp32");
  lease.set_dataset("images");
  lease.set_dataset_digest("d1-d2");
  lease.set_classes(10);
  lease.set_validation_count(100);
  lease.set_cores(1);
  lease.set_database_id("db");
  lease.set_incarnation(1);
  return lease;
}

}  // namespace canopy::agent
