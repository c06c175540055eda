# One function per kind of thing that the tree builds, so that a module's CMakeLists.txt is one line.

add_library(even_flags INTERFACE)
target_compile_options(even_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
                                            # GCC 12 reports false positives in optional, string and absl
                                            # containers. -fpch-preprocess: what ccache knows a precompiled header by.
                                            "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow;-Wno-stringop-overread;-fpch-preprocess>")
target_include_directories(even_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
# Boost arrives only to serve Asio, Beast and msgpack; the last one is told not to pull in more of it.
target_compile_definitions(even_flags INTERFACE EVEN_VERSION="${PROJECT_VERSION}"
                                                MSGPACK_NO_BOOST BOOST_ASIO_NO_DEPRECATED
                                                BOOST_ERROR_CODE_HEADER_ONLY)
# Their macros have to be the same in all code that shares a precompiled header.
target_link_libraries(even_flags INTERFACE fmt::fmt spdlog::spdlog msgpackc-cxx)
if(EVEN_SANITIZE)
  target_compile_options(even_flags INTERFACE -fsanitize=${EVEN_SANITIZE} -fno-omit-frame-pointer
                                              -fno-sanitize-recover=all)
  if(EVEN_SANITIZE MATCHES "undefined" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Undefined behaviour ends the program where it is, and the address sanitizer says where that was. Messages that
    # tell what kind it was would make compiling take a quarter longer.
    target_compile_options(even_flags INTERFACE -fsanitize-undefined-trap-on-error)
  endif()
  if(EVEN_SANITIZE MATCHES "thread")
    # ThreadSanitizer does not know Asio's memory fences; the locks beside them order everything it needs.
    target_compile_definitions(even_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
  target_link_options(even_flags INTERFACE -fsanitize=${EVEN_SANITIZE})
endif()

if(CMAKE_UNITY_BUILD)
  # Several .cc files are one translation unit then, which their anonymous namespaces are no part of.
  target_compile_options(even_flags INTERFACE "$<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>")
endif()

find_program(EVEN_MOLD mold)
if(EVEN_MOLD)
  target_link_options(even_flags INTERFACE -fuse-ld=mold)
endif()
find_program(EVEN_CCACHE ccache)
if(EVEN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${EVEN_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${EVEN_CCACHE})
endif()

# Headers that nearly every file reads are read once. even_precompile(name parts [headers...]): a
# precompiled header of `headers`, compiled as everything that links `parts`, which is what its users link at least.
file(WRITE ${CMAKE_BINARY_DIR}/precompiled.cc "")
function(even_precompile name parts)
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/precompiled.cc)
  target_link_libraries(${name} PRIVATE even_flags absl::btree absl::flat_hash_map absl::flat_hash_set
                                        absl::inlined_vector ${parts})
  target_precompile_headers(${name} PRIVATE ${EVEN_COMMON_HEADERS} ${ARGN})
endfunction()
set(EVEN_COMMON_HEADERS
    <algorithm> <array> <bit> <charconv> <compare> <cstdint> <cstring> <deque> <expected> <functional> <limits> <map>
    <memory> <optional> <set> <span> <string> <string_view> <utility> <variant> <vector>
    <absl/container/btree_map.h> <absl/container/btree_set.h> <absl/container/flat_hash_map.h>
    <absl/container/flat_hash_set.h> <absl/container/inlined_vector.h> <fmt/format.h>)
even_precompile(even_core_headers "")
even_precompile(even_network_headers "OpenSSL::SSL;Threads::Threads"
                <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp> <boost/asio/post.hpp> <boost/asio/ssl.hpp>
                <boost/asio/steady_timer.hpp> <boost/asio/write.hpp> <spdlog/spdlog.h>)
# With sanitizers these modules are run by their unit tests alone, not by the simulator: compiling takes far longer than
# running them.
if(EVEN_SANITIZE MATCHES "address")
  set(EVEN_NETWORK_OPTIONS -O0)
endif()
target_compile_options(even_network_headers PRIVATE ${EVEN_NETWORK_OPTIONS})
if(EVEN_TESTS)
  even_precompile(even_test_headers "GTest::gtest;GTest::gmock;rapidcheck"
                  <gmock/gmock.h> <gtest/gtest.h> <rapidcheck.h> <rapidcheck/gtest.h>)
  # What tests check is built like what is shipped; their own code, most of it templates of libraries, is run once
  # and takes longer to optimise than that. Half of the time of building them with sanitizers.
  set(EVEN_TEST_OPTIONS -O1)
  if(EVEN_SANITIZE)
    set(EVEN_TEST_OPTIONS -O0)
  endif()
  target_compile_options(even_test_headers PRIVATE ${EVEN_TEST_OPTIONS})
endif()

# Everything that CTest runs, for builds that need no other program.
if(EVEN_TESTS)
  add_custom_target(unit_tests)
endif()

# even_module(name [NETWORK] dependencies...): library even_<name> of all *.cc here but *_test.cc, *_fuzz.cc and
# *_main.cc, and, when there are *_test.cc files, a test program <name>_test that CTest runs. Fuzz
# targets are programs where EVEN_FUZZ is on; elsewhere they are only compiled, so that a change that
# breaks them does not go unnoticed.
function(even_module name)
  cmake_parse_arguments(PARSE_ARGV 1 EVEN "NETWORK" "" "")
  set(headers even_core_headers)
  if(EVEN_NETWORK)
    set(headers even_network_headers)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS *.cc */*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|main)\\.cc$")
  if(sources)
    add_library(even_${name} STATIC ${sources})
    target_link_libraries(even_${name} PUBLIC even_flags ${EVEN_UNPARSED_ARGUMENTS})
    target_precompile_headers(even_${name} REUSE_FROM ${headers})
    if(EVEN_NETWORK)
      target_compile_options(even_${name} PRIVATE ${EVEN_NETWORK_OPTIONS})
    endif()
  else()
    add_library(even_${name} INTERFACE)
    target_link_libraries(even_${name} INTERFACE even_flags ${EVEN_UNPARSED_ARGUMENTS})
  endif()
  if(tests AND EVEN_TESTS)
    add_executable(${name}_test ${tests})
    target_compile_definitions(${name}_test PRIVATE EVEN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    target_link_libraries(${name}_test PRIVATE even_${name} GTest::gtest GTest::gtest_main GTest::gmock rapidcheck)
    target_compile_options(${name}_test PRIVATE ${EVEN_TEST_OPTIONS})
    target_precompile_headers(${name}_test REUSE_FROM even_test_headers)
    add_dependencies(unit_tests ${name}_test)
    add_test(NAME ${name} COMMAND ${name}_test --gtest_brief=1)
  endif()
  file(GLOB fuzzers CONFIGURE_DEPENDS *_fuzz.cc)
  if(EVEN_FUZZ)
    foreach(fuzzer ${fuzzers})
      get_filename_component(target ${fuzzer} NAME_WE)
      add_executable(${target} ${fuzzer})
      target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      target_link_libraries(${target} PRIVATE even_${name})
    endforeach()
  elseif(fuzzers AND EVEN_TESTS)
    add_library(even_${name}_fuzz OBJECT ${fuzzers})
    target_link_libraries(even_${name}_fuzz PRIVATE even_${name})
    # Each has the same entry point.
    set_target_properties(even_${name}_fuzz PROPERTIES UNITY_BUILD OFF)
    add_dependencies(unit_tests even_${name}_fuzz)
  endif()
endfunction()

# even_mutants(name HEADERS headers SOURCES sources... MODULES modules...): a program of these sources and those of these
# modules with the deliberate bugs of base/mutant.h compiled in; `headers`: the precompiled ones of even_core_headers or
# even_network_headers. Unity builds take four files of one module at a time.
function(even_mutants name)
  cmake_parse_arguments(PARSE_ARGV 1 EVEN "" "HEADERS" "SOURCES;MODULES")
  add_executable(${name} EXCLUDE_FROM_ALL ${EVEN_SOURCES})
  foreach(module ${EVEN_MODULES})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${module}/*.cc ${CMAKE_SOURCE_DIR}/src/${module}/*/*.cc)
    list(FILTER sources EXCLUDE REGEX "_(test|fuzz|main)\\.cc$")
    set(number 0)
    foreach(source ${sources})
      math(EXPR group "${number} / 4")
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${module}_${group})
      math(EXPR number "${number} + 1")
    endforeach()
    target_sources(${name} PRIVATE ${sources})
  endforeach()
  set_target_properties(${name} PROPERTIES UNITY_BUILD_MODE GROUP)
  target_compile_definitions(${name} PRIVATE EVEN_MUTANTS)
  target_link_libraries(${name} PRIVATE even_flags PkgConfig::XXHASH absl::btree absl::flat_hash_map absl::flat_hash_set
                                        absl::inlined_vector)
  target_precompile_headers(${name} REUSE_FROM ${EVEN_HEADERS})
endfunction()
