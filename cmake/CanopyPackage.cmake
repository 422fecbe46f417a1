# What `cmake --install` and `cpack -G DEB` put on a machine: the programs, the built-in search spaces, the
# quickstart's campaign, what operators of one's own are built with, the documentation and the licence.

# Sanitizer builds have no trainer, and nothing to install.
if(NOT TARGET canopy OR NOT TARGET canopy-trainer)
  return()
endif()

include(GNUInstallDirs)

install(TARGETS canopy canopy-trainer RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(CANOPY_LIBTORCH)
  # An unpacked LibTorch lies outside the loader's folders.
  set_property(TARGET canopy-trainer PROPERTY INSTALL_RPATH_USE_LINK_PATH TRUE)
endif()

# The layout of the source tree, because the campaign names its space by a relative path.
install(DIRECTORY search_spaces/catalog DESTINATION "${CMAKE_INSTALL_DATADIR}/canopy/search_spaces"
        FILES_MATCHING PATTERN "*.yaml")
install(DIRECTORY deploy/quickstart DESTINATION "${CMAKE_INSTALL_DATADIR}/canopy/deploy"
        FILES_MATCHING PATTERN "*.yaml")
# find_package(Canopy).
include(CMakePackageConfigHelpers)
set(canopy_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Canopy")
configure_package_config_file(
  cmake/CanopyConfig.cmake.in "${PROJECT_BINARY_DIR}/CanopyConfig.cmake"
  INSTALL_DESTINATION "${canopy_cmake_dir}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/CanopyConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/CanopyConfig.cmake" "${PROJECT_BINARY_DIR}/CanopyConfigVersion.cmake"
              cmake/FindCanopyTorch.cmake
        DESTINATION "${canopy_cmake_dir}")
install(FILES worker/trainer/operator_plugin.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/canopy")

install(FILES README.md ARCHITECTURE.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(DIRECTORY docs/ DESTINATION "${CMAKE_INSTALL_DOCDIR}" FILES_MATCHING PATTERN "*.md")
install(DIRECTORY docs/examples DESTINATION "${CMAKE_INSTALL_DOCDIR}" USE_SOURCE_PERMISSIONS)
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}" RENAME copyright)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The Canopy authors")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
# Needs dpkg-dev; finds the packages of the libraries that the programs link.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "dataset-fashion-mnist, sqlite3")
include(CPack)
