# leat_fuzz(name LIBS …): the fuzzer of fuzz/<name>.cpp with its seeds in fuzz/corpus/<name>/.
# LEAT_FUZZ_MODE FUZZ: the program fuzz_<name>, a libFuzzer (clang). REPLAY: the test fuzz_replay_<name>, which feeds the
# seeds once, under any compiler. The list of fuzzers is targets.cmake, read in both modes.
function(leat_fuzz name)
  cmake_parse_arguments(F "" "" "LIBS" ${ARGN})
  if(LEAT_FUZZ_MODE STREQUAL "FUZZ")
    set(target fuzz_${name})
    add_executable(${target} ${CMAKE_SOURCE_DIR}/fuzz/${name}.cpp)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    set(target replay_${name})
    add_executable(${target} ${CMAKE_SOURCE_DIR}/fuzz/${name}.cpp ${CMAKE_SOURCE_DIR}/fuzz/replay_main.cpp)
    add_test(NAME fuzz_replay_${name} COMMAND ${target} ${CMAKE_SOURCE_DIR}/fuzz/corpus/${name})
    set_tests_properties(fuzz_replay_${name} PROPERTIES TIMEOUT 300)
  endif()
  target_link_libraries(${target} PRIVATE leat_flags ${F_LIBS})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/fuzz)
endfunction()
