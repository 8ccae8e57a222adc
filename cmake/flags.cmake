# Warnings are errors; the sanitizers come from the preset; mold and ccache are used where they are installed.
add_library(leat_flags INTERFACE)
target_compile_options(leat_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror -Wno-missing-field-initializers
  "$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor;-Wno-invalid-offsetof>"
  -fno-strict-aliasing -fno-semantic-interposition)
if(CMAKE_BUILD_TYPE STREQUAL "Debug" OR LEAT_SANITIZE)
  target_compile_options(leat_flags INTERFACE -fno-omit-frame-pointer)
endif()
# "rep stos" takes longer to begin than most of what is zeroed here takes to be zeroed.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(leat_flags INTERFACE
    -mmemset-strategy=vector_loop:512:noalign,libcall:-1:noalign
    -mmemcpy-strategy=vector_loop:512:noalign,libcall:-1:noalign)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  # -O1 keeps the sanitized tests fast enough for two cores. Tests and programs around the stack (LEAT_IS_AROUND) take
  # half the time to compile without.
  target_compile_options(leat_flags INTERFACE $<IF:$<BOOL:$<TARGET_PROPERTY:LEAT_IS_AROUND>>,-O0,-O1> -g1)
endif()
# What only reads a command line: CLI11 takes ten seconds a file to optimize, for nothing.
function(leat_do_not_optimize)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -O0 SKIP_PRECOMPILE_HEADERS ON)
endfunction()
if(LEAT_SANITIZE)
  # vptr needs RTTI, which the core is built without.
  target_compile_options(leat_flags INTERFACE -fsanitize=${LEAT_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all)
  target_link_options(leat_flags INTERFACE -fsanitize=${LEAT_SANITIZE})
  # Each access through a pointer is checked in the core only, neither in host rooms (LEAT_IS_HOST) nor around: half
  # the time to compile. A null pointer is ASan's anyway.
  if(LEAT_SANITIZE MATCHES "undefined")
    set(outside $<OR:$<BOOL:$<TARGET_PROPERTY:LEAT_IS_HOST>>,$<BOOL:$<TARGET_PROPERTY:LEAT_IS_AROUND>>>)
    target_compile_options(leat_flags INTERFACE $<${outside}:-fno-sanitize=null,alignment,object-size>)
  endif()
endif()

if(LEAT_NATIVE)
  target_compile_options(leat_flags INTERFACE -march=native)
endif()
if(LEAT_LTO)
  target_compile_options(leat_flags INTERFACE -flto=auto -fno-fat-lto-objects)
  target_link_options(leat_flags INTERFACE -flto=auto)
  set(CMAKE_AR ${CMAKE_CXX_COMPILER_AR})
  set(CMAKE_RANLIB ${CMAKE_CXX_COMPILER_RANLIB})
endif()

# What the benches did decides what is laid out and inlined; `./dev tuned` does all three steps. What they did not touch
# is compiled as ever (partial training).
set(LEAT_PROFILE OFF CACHE STRING "record: programs write what they did into build/profile; use: compile by it")
set(leat_profile_dir ${PROJECT_SOURCE_DIR}/build/profile)
if(LEAT_PROFILE STREQUAL "record")
  target_compile_options(leat_flags INTERFACE
    -fprofile-generate -fprofile-update=prefer-atomic -fprofile-dir=${leat_profile_dir})
  target_link_options(leat_flags INTERFACE -fprofile-generate)
elseif(LEAT_PROFILE STREQUAL "use")
  target_compile_options(leat_flags INTERFACE -fprofile-use -fprofile-dir=${leat_profile_dir} -fprofile-correction
    -fprofile-partial-training -Wno-missing-profile -Wno-coverage-mismatch)
elseif(LEAT_PROFILE)
  message(FATAL_ERROR "LEAT_PROFILE is '${LEAT_PROFILE}'; expected OFF, record or use")
endif()

# The core raises no exceptions (design decision 11).
add_library(leat_core_flags INTERFACE)
target_link_libraries(leat_core_flags INTERFACE leat_flags)
target_compile_options(leat_core_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)

find_program(LEAT_CCACHE ccache)
if(LEAT_CCACHE)
  # What ccache wants to be told before it looks at files with a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_DEPEND=1 ${LEAT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${LEAT_CCACHE})
endif()
find_program(LEAT_MOLD mold)
if(LEAT_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
