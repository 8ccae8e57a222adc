# The fuzzers' seeds as ordinary tests; included by tests/CMakeLists.txt.
include(${CMAKE_CURRENT_LIST_DIR}/functions.cmake)
set(LEAT_FUZZ_MODE REPLAY)
include(${CMAKE_CURRENT_LIST_DIR}/targets.cmake)
