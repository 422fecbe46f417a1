# Packages; docs/dependencies.md lists their versions and licences.

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_path(CANOPY_HTTPLIB_INCLUDE_DIR httplib.h REQUIRED)
find_library(CANOPY_HTTPLIB_LIBRARY cpp-httplib REQUIRED)
add_library(Canopy::httplib UNKNOWN IMPORTED)
set_target_properties(Canopy::httplib PROPERTIES
  IMPORTED_LOCATION "${CANOPY_HTTPLIB_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${CANOPY_HTTPLIB_INCLUDE_DIR}"
  # As the library was built: its classes' layout depends on it.
  INTERFACE_COMPILE_DEFINITIONS "CPPHTTPLIB_OPENSSL_SUPPORT;CPPHTTPLIB_ZLIB_SUPPORT;CPPHTTPLIB_BROTLI_SUPPORT"
  INTERFACE_LINK_LIBRARIES "OpenSSL::SSL;OpenSSL::Crypto;Threads::Threads")
find_program(CANOPY_GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# Sanitizer builds leave LibTorch out: no target with it runs under one.
if(NOT CANOPY_SANITIZER)
  find_package(CanopyTorch REQUIRED)
endif()

if(CANOPY_TESTS)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
endif()
