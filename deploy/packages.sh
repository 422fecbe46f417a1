# shellcheck shell=bash disable=SC2034
# The Debian packages that Canopy needs, the same names in Debian 12 and 13. Sourced by setup.sh;
# docs/dependencies.md says what each library is for.

# What it takes to build and run the two programs.
program_packages=(
  cmake g++ git ninja-build pkg-config
  libabsl-dev libcli11-dev libcpp-httplib-dev libgrpc++-dev libprotobuf-dev libspdlog-dev libsqlite3-dev
  libssl-dev libyaml-cpp-dev nlohmann-json3-dev protobuf-compiler protobuf-compiler-grpc zlib1g-dev
)

# Left out when another LibTorch is given with --libtorch.
torch_packages=(libtorch-dev)

# Fashion-MNIST, in /usr/share/datasets/fashion-mnist.
dataset_packages=(dataset-fashion-mnist)

# What the tests need besides, and what makes building them again fast.
test_packages=(ccache libbenchmark-dev libgmock-dev libgtest-dev lld python3)
