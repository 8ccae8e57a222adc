# Half of the time of most files goes to parsing the standard library's headers (and GoogleTest's): with LEAT_PCH each
# group of targets with the same flags parses them once. Every file still includes what it uses: the presets without it
# (fuzz, bench, tuned) see to that.
option(LEAT_PCH "precompiled headers" OFF)

set(leat_std_headers <algorithm> <array> <atomic> <bit> <cstdint> <cstring> <expected> <functional> <memory> <optional>
  <span> <string> <string_view> <utility> <vector>)
set(leat_pch_core ${leat_std_headers})
set(leat_pch_host ${leat_std_headers} <fmt/format.h> <map> <sstream>)
set(leat_pch_program ${leat_pch_host}) # apart: -fPIE, where libraries have -fPIC
set(leat_pch_test ${leat_std_headers} <gmock/gmock.h> <gtest/gtest.h> <map> <set>)

# leat_precompile(TARGET GROUP): GROUP is core, host, program or test. The first target of a group makes what the
# others use.
function(leat_precompile target group)
  if(NOT LEAT_PCH)
    return()
  endif()
  get_property(first GLOBAL PROPERTY LEAT_PCH_${group})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${leat_pch_${group}})
    set_property(GLOBAL PROPERTY LEAT_PCH_${group} ${target})
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess) # for ccache
  endif()
endfunction()
