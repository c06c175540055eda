#include "verify/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/test_histories.h"

namespace even::verify {
namespace {

using testing::HasSubstr;

std::string error_of(Model model, const std::string& lines) {
  std::istringstream in(lines);
  const Result<History> history = read_history(in, model);
  return history ? "" : history.error().message;
}

TEST(History, EveryMistakeNamesItsLine) {
  const std::string good = event(1, "invoke", "write", "1");
  const struct {
    std::string lines;
    const char* error;
  } cases[] = {
      {good + "{", "line 2: this is not JSON"},
      {good + "[1]", "line 2: an event is a JSON object"},
      {R"({"type": "invoke"})", "line 1: \"process\" is missing"},
      {R"({"process": "nemesis", "type": "info", "f": "kill"})", "line 1: \"process\" is missing"},
      {R"({"process": 1, "f": "read"})", "line 1: \"type\" is missing"},
      {event(1, "done", "read", "1"),
       "line 1: \"type\" is \"done\"; it is invoke, ok, fail or info"},
      {event(1, "invoke", "append", "1"),
       "line 1: \"f\" is \"append\"; the model register has read, write, cas"},
      {event(1, "ok", "read", "1"), "line 1: process 1 has no operation under way"},
      {good + event(1, "invoke", "read", "1"),
       "line 2: process 1 has an operation under way since line 1"},
      {good + event(1, "ok", "read", "1"), "line 2: \"f\" is read, but"},
      {good + event(1, "ok", "write", "1", "y"), "line 2: \"key\" is y, but"},
      {good + event(1, "ok", "write", "2"),
       "line 2: the \"value\" is another one than that of line 1"},
      {good + "\n" + event(1, "info", "write", "1") + event(1, "invoke", "read", "null"),
       "line 4: process 1 comes back after an operation that ended with info"},
      {R"({"process": 1, "type": "invoke", "f": "write", "key": "x"})",
       "line 1: \"value\" is missing"},
      {R"({"process": 1, "type": "invoke", "f": "read"})", "line 1: an invocation needs a \"key\""},
      {event(1, "invoke", "cas", "1"), "line 1: the \"value\" of cas is [old, new]"},
  };
  for (const auto& it : cases) {
    EXPECT_THAT(error_of(Model::kRegister, it.lines), HasSubstr(it.error)) << it.lines;
  }
}

TEST(History, ValuesMayBeNestedButNotToDeath) {
  const auto nested = [](std::size_t depth) {
    return event(1, "invoke", "write", std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_EQ(error_of(Model::kRegister, nested(kMostNesting - 1)), "");
  EXPECT_THAT(error_of(Model::kRegister, nested(1'000'000)),
              HasSubstr("line 1: arrays and objects"));
  EXPECT_EQ(error_of(Model::kRegister,
                     event(1, "invoke", "write", '"' + std::string(1000, '[') + "\\\"{\"")),
            "");
}

TEST(History, ResultsThatMakeNoSenseAreRefused) {
  const auto result = [](Model model, std::string_view f, std::string_view argument,
                         std::string_view value) {
    return error_of(model, event(1, "invoke", f, argument) + event(1, "ok", f, value));
  };
  EXPECT_THAT(result(Model::kAppend, "read", "null", "1"),
              HasSubstr("line 2: a read returns a string"));
  EXPECT_THAT(result(Model::kAppend, "append", "1", "1"),
              HasSubstr("line 1: \"value\" is to be a string"));
  EXPECT_THAT(result(Model::kCounter, "read", "null", "\"1\""),
              HasSubstr("line 2: a read returns an integer"));
  EXPECT_THAT(result(Model::kCounter, "add", "1.5", "1"),
              HasSubstr("line 1: the \"value\" of add"));
  EXPECT_THAT(result(Model::kCounter, "add", "18446744073709551615", "1"),
              HasSubstr("line 1: the \"value\" of add"));
  EXPECT_THAT(result(Model::kCounter, "add", "1", "[1, true]"),
              HasSubstr("line 2: the result makes no sense"));
  EXPECT_THAT(result(Model::kSet, "read", "null", "[1, 1]"),
              HasSubstr("line 2: a read returns an element twice"));
  EXPECT_THAT(result(Model::kSet, "contains", "1", "true"),
              HasSubstr("line 2: contains that is ok"));
}

TEST(History, OnlyWhatMayHaveHappenedIsKept) {
  const History history = parse_history(
      Model::kRegister,
      event(1, "invoke", "write", "1") + event(1, "fail", "write", "1") +  // did nothing
          event(1, "invoke", "cas", "[1, 2]") +                            // found another value
          event(2, "invoke", "read", "null") + event(1, "fail", "cas", "[1, 2]") +
          R"({"process": 1, "type": "invoke", "f": "cas", "key": "x", "value": [1, 3]})"
          "\n"
          R"({"process": 1, "type": "fail", "f": "cas", "error": "UNAVAILABLE"})"
          "\n" +
          event(2, "info", "read", "null") +  // tells nothing
          event(1, "invoke", "write", "4"));  // does not end
  ASSERT_EQ(history.operations.size(), 2u);
  EXPECT_EQ(history.certainly_not_done, 2u);
  EXPECT_EQ(history.operations[0].outcome, Outcome::kMismatch);
  EXPECT_EQ(history.operations[0].invoked, 3u);
  EXPECT_EQ(history.operations[0].completed, 5u);
  EXPECT_TRUE(history.operations[1].open());
  EXPECT_EQ(history.operations[1].completed, kNever);
}

TEST(History, ValuesAreToldApartByWhatTheyAreNotByHowTheyAreWritten) {
  const History history =
      parse_history(Model::kRegister, event(1, "invoke", "write", R"({"b": [1,2],  "a": null})") +
                                          event(1, "ok", "write", R"({"a":null,"b":[1, 2]})") +
                                          event(2, "invoke", "write", "1") +
                                          event(3, "invoke", "write", "\"1\""));
  ASSERT_EQ(history.operations.size(), 3u);
  EXPECT_EQ(operation_text(history, history.operations[0]), R"(write {"a":null,"b":[1,2]})");
  EXPECT_NE(history.operations[1].a, history.operations[2].a);
}

TEST(History, LongValuesAreCutInTheMiddleForPeople) {
  EXPECT_EQ(shortened("short"), "short");
  const std::string text = shortened(std::string(50, 'a') + std::string(50, 'b'));
  EXPECT_THAT(text, testing::StartsWith("aaaaa"));
  EXPECT_THAT(text, testing::EndsWith("bbbbb"));
  EXPECT_THAT(text, HasSubstr("a…b"));
  EXPECT_LT(text.size(), 50u);
}

}  // namespace
}  // namespace even::verify
