# One function per kind of thing that the tree builds, so that a module's CMakeLists.txt is one line.

add_library(even_flags INTERFACE)
target_compile_options(even_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
                                            # GCC 12 reports false positives in optional and absl containers.
                                            $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_include_directories(even_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
# Boost arrives only to serve Asio, Beast and msgpack; the last one is told not to pull in more of it.
target_compile_definitions(even_flags INTERFACE EVEN_VERSION="${PROJECT_VERSION}"
                                                MSGPACK_NO_BOOST BOOST_ASIO_NO_DEPRECATED
                                                BOOST_ERROR_CODE_HEADER_ONLY)
if(EVEN_SANITIZE)
  target_compile_options(even_flags INTERFACE -fsanitize=${EVEN_SANITIZE} -fno-omit-frame-pointer
                                              -fno-sanitize-recover=all)
  if(EVEN_SANITIZE MATCHES "thread")
    # ThreadSanitizer does not know Asio's memory fences; the locks beside them order everything it needs.
    target_compile_definitions(even_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
  target_link_options(even_flags INTERFACE -fsanitize=${EVEN_SANITIZE})
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

# Everything that CTest runs, for builds that need no other program.
if(EVEN_TESTS)
  add_custom_target(unit_tests)
endif()

# even_module(name [dependencies...]): library even_<name> of all *.cc here but *_test.cc, *_fuzz.cc and
# *_main.cc, and, when there are *_test.cc files, a test program <name>_test that CTest runs. Fuzz
# targets are programs where EVEN_FUZZ is on; elsewhere they are only compiled, so that a change that
# breaks them does not go unnoticed.
function(even_module name)
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|main)\\.cc$")
  if(sources)
    add_library(even_${name} STATIC ${sources})
    target_link_libraries(even_${name} PUBLIC even_flags ${ARGN})
  else()
    add_library(even_${name} INTERFACE)
    target_link_libraries(even_${name} INTERFACE even_flags ${ARGN})
  endif()
  if(tests AND EVEN_TESTS)
    add_executable(${name}_test ${tests})
    target_compile_definitions(${name}_test PRIVATE EVEN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    target_link_libraries(${name}_test PRIVATE even_${name} GTest::gtest GTest::gtest_main GTest::gmock rapidcheck)
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
  endif()
endfunction()
