# One library out of the rooms, and what `cmake --install` gives: the public headers, libleat.a, libleat.so,
# find_package(leat) and leat.pc, and the leat command. Sanitized builds are not for installing.
set(LEAT_LIBRARY_ROOMS base netns pkt wire link ip inet tcp udp socket stack diag)
set(objects)
set(archives)
foreach(room ${LEAT_LIBRARY_ROOMS})
  get_target_property(type leat_${room} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")  # a room without sources is an INTERFACE library
    list(APPEND objects $<TARGET_OBJECTS:leat_${room}>)
    list(APPEND archives leat_${room})
  endif()
endforeach()
add_custom_target(rooms DEPENDS ${archives})  # what `./dev symbols` needs

if(LEAT_SANITIZE OR NOT objects)
  return()
endif()

# Imported targets belong to the folder that found them; leatConfig.cmake finds the same ones under the same names.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
pkg_check_modules(SODIUM REQUIRED QUIET IMPORTED_TARGET libsodium)
pkg_check_modules(URCU REQUIRED QUIET IMPORTED_TARGET liburcu-qsbr)
pkg_check_modules(PCAP REQUIRED QUIET IMPORTED_TARGET libpcap)

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The command's target is named leat; the file name is what users see.
add_library(leat_archive STATIC ${objects})
add_library(leat_shared SHARED ${objects})
foreach(library leat_archive leat_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME leat LINKER_LANGUAGE CXX)
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${library} INTERFACE cxx_std_23)
endforeach()
set_target_properties(leat_archive PROPERTIES EXPORT_NAME leat)
set_target_properties(leat_shared PROPERTIES EXPORT_NAME leat_shared VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR})
set(dependencies PkgConfig::SODIUM PkgConfig::URCU PkgConfig::PCAP fmt::fmt Threads::Threads)
target_link_libraries(leat_archive INTERFACE ${dependencies})
target_link_libraries(leat_shared PRIVATE ${dependencies})

install(TARGETS leat_archive leat_shared EXPORT leatTargets)
if(TARGET leat)
  install(TARGETS leat RUNTIME)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/leat TYPE INCLUDE FILES_MATCHING PATTERN "*.h")

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/leat)
install(EXPORT leatTargets NAMESPACE leat:: DESTINATION ${config_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/leatConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/leatConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/leatConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/leatConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/leatConfigVersion.cmake
  DESTINATION ${config_dir})

file(RELATIVE_PATH LEAT_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/leat.pc.in ${CMAKE_CURRENT_BINARY_DIR}/leat.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/leat.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
