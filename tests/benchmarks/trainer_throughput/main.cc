// Images per second and core of Canopy's trainer beside a plain PyTorch loop over the same network, taken
// in turns in one run, because other work on the machine changes both. docs/performance.md has figures.

#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "tests/benchmarks/trainer_throughput/cell_network.h"
#include "worker/data/batch.h"
#include "worker/data/split.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/process_memory.h"
#include "worker/trainer/training.h"

namespace canopy::benchmarks {
namespace {

using trainer_protocol::Job;
using trainer_protocol::NumericMode;

struct Options {
  int64_t batch = 128;
  int64_t steps = 24;
  int64_t rounds = 5;
  std::string mode = "bf16";
  std::string python = "/usr/bin/python3";
  std::string script = CANOPY_PLAIN_LOOP;
  bool alone = false;
};

class SilentMonitor final : public trainer::JobMonitor {
 public:
  Status Send(const trainer_protocol::TrainerMessage&) override { return absl::OkStatus(); }
  Status CheckStop() override { return absl::OkStatus(); }
};

// Noise of Fashion-MNIST's shape: speed doesn't depend on what the images show.
data::ImageSet NoiseImages() {
  data::ImageSet images{.count = 8192, .channels = 1, .height = 28, .width = 28, .class_count = 10};
  Rng rng(1);
  for (int64_t i = 0; i < images.count * images.image_bytes(); ++i)
    images.pixels.push_back(static_cast<uint8_t>(rng.Below(256)));
  for (int64_t i = 0; i < images.count; ++i) images.labels.push_back(static_cast<uint8_t>(rng.Below(10)));
  return images;
}

StatusOr<double> TrainerImagesPerSecond(const Options& options, const data::ImageSet& images,
                                        int64_t& params) {
  CANOPY_ASSIGN_OR_RETURN(const auto graph, CellNetwork(1, 28, 10));
  const auto type = options.mode == "bf16" ? at::kBFloat16 : at::kFloat;
  CANOPY_ASSIGN_OR_RETURN(const auto network, trainer::GraphModule::Build(graph, type, 1));
  params = network->store().count();
  CANOPY_ASSIGN_OR_RETURN(const auto split, data::SplitBySeed(images.count, 1, 1024));
  const auto normalization = data::ComputeNormalization(images, split.train);
  Job job{.purpose = trainer_protocol::Purpose::kProxy, .epochs = 1000};
  job.recipe.learning_rate = 0.05;
  job.recipe.weight_decay = 5e-4;
  job.recipe.batch_size = options.batch;
  job.recipe.random_crop = 2;
  job.recipe.random_flip = true;
  SilentMonitor monitor;
  trainer::TrainingSummary summary;
  for (const int64_t steps : {int64_t{4}, options.steps}) {  // the first run is the warm-up
    job.max_steps = steps;
    CANOPY_ASSIGN_OR_RETURN(summary, trainer::Train(job, {images, split, normalization}, *network, monitor));
  }
  return summary.images_per_second;
}

StatusOr<double> PlainImagesPerSecond(const Options& options, int64_t params) {
  const std::string command = "OMP_NUM_THREADS=1 '" + options.python + "' '" + options.script + "' --batch " +
                              std::to_string(options.batch) + " --steps " + std::to_string(options.steps);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string output;
  char buffer[4096];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) output += buffer;
  const auto json = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return Unavailable("the plain PyTorch loop printed no result; it needs Python's torch (python3-torch): " +
                       command);
  if (json.value("params", int64_t{0}) != params)
    return Internal("the two networks differ: " + output + " against " + std::to_string(params) +
                    " parameters");
  return json.value("images_per_second", 0.0);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Status Compare(const Options& options) {
  const data::ImageSet images = NoiseImages();
  std::vector<double> trainer_rates;
  std::vector<double> plain_rates;
  std::vector<double> ratios;
  std::printf("images per second on one core, batch %lld, %s\n%8s %10s %10s %8s\n",
              static_cast<long long>(options.batch), options.mode.c_str(), "round", "trainer", "plain",
              "ratio");
  for (int64_t round = 1; round <= options.rounds; ++round) {
    int64_t params = 0;
    CANOPY_ASSIGN_OR_RETURN(const double trainer_rate, TrainerImagesPerSecond(options, images, params));
    trainer_rates.push_back(trainer_rate);
    if (options.alone) {
      std::printf("%8lld %10.0f\n", static_cast<long long>(round), trainer_rate);
      continue;
    }
    CANOPY_ASSIGN_OR_RETURN(const double plain_rate, PlainImagesPerSecond(options, params));
    plain_rates.push_back(plain_rate);
    ratios.push_back(trainer_rate / plain_rate);
    std::printf("%8lld %10.0f %10.0f %8.2f\n", static_cast<long long>(round), trainer_rate, plain_rate,
                ratios.back());
    std::fflush(stdout);
  }
  if (options.alone) {
    std::printf("%8s %10.0f\n", "median", Median(trainer_rates));
  } else {
    std::printf("%8s %10.0f %10.0f %8.2f\n", "median", Median(trainer_rates), Median(plain_rates),
                Median(ratios));
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Compares the trainer's throughput with a plain PyTorch loop.", "trainer_throughput");
  Options options;
  app.add_option("--batch", options.batch, "Images per step")->check(CLI::PositiveNumber);
  app.add_option("--steps", options.steps, "Timed steps of each measurement")->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "Measurements of each side, in turns")
      ->check(CLI::PositiveNumber);
  app.add_option("--mode", options.mode, "The trainer's numeric mode")
      ->check(CLI::IsMember({"bf16", "fp32"}));
  app.add_option("--python", options.python, "A Python with torch");
  app.add_flag("--alone", options.alone, "Measure the trainer only");
  CLI11_PARSE(app, argc, argv);
  trainer::KeepFreedMemory();
  at::set_num_threads(1);
  const Status status = Compare(options);
  if (!status.ok()) std::cerr << Message(status) << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace canopy::benchmarks

int main(int argc, char** argv) { return canopy::benchmarks::Main(argc, argv); }
