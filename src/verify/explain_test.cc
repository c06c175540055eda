#include "verify/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "verify/test_histories.h"

namespace even::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Explain, TheReadThatCannotBeIsShownWithWhatItCouldHaveReturned) {
  const History history = parse_history(
      Model::kRegister, whole(1, "write", "1", "1") + whole(2, "write", "2", "2") +
                            event(3, "invoke", "write", "3") + whole(4, "read", "null", "1"));
  const Explanation explanation = explain(split_by_key(history).front());
  EXPECT_EQ(explanation.culprit, 3u);
  EXPECT_EQ(explanation.before, 1u);
  EXPECT_THAT(explanation.possible, ElementsAre("2", "3"));
  EXPECT_EQ(sentence(explanation),
            "Given the others, process 4's read returned 1, and could only have returned 2 or 3.");
  const std::string text = explanation_text(explanation);
  EXPECT_THAT(text, HasSubstr("these 4 operations have no order"));
  EXPECT_THAT(text, HasSubstr("At first the register holds null."));
  EXPECT_THAT(text, HasSubstr("├ read → 1 ─┤ ✗"));
  EXPECT_THAT(text, HasSubstr("from line 5 on, no end yet"));
}

TEST(Explain, CompareAndSetsAndElementsHaveWordsOfTheirOwn) {
  const History cas = parse_history(Model::kRegister, whole(1, "write", "1", "1") +
                                                          event(2, "invoke", "cas", "[1, 2]") +
                                                          event(2, "fail", "cas", "[1, 2]"));
  EXPECT_EQ(sentence(explain(split_by_key(cas).front())),
            "Given the others, process 2's cas found another value than 1, and could only have "
            "found 1.");
  const History set = parse_history(
      Model::kSet, whole(1, "add", "7", "7") + whole(2, "contains", "7", "[7, false]"));
  EXPECT_EQ(sentence(explain(split_by_key(set).front())),
            "Given the others, process 2's contains 7 returned no, and could only have returned "
            "yes.");
}

TEST(Explain, OfALongViolationTheEndIsShown) {
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += whole(1, "add", "1", "1");
  lines += whole(2, "read", "null", "99");
  const History history = parse_history(Model::kCounter, lines);
  const Explanation explanation = explain(split_by_key(history).front());
  EXPECT_EQ(explanation.hidden, 41u);
  EXPECT_EQ(explanation.culprit, 59u);
  EXPECT_THAT(explanation_text(explanation), HasSubstr("41 earlier operations are not shown"));
  EXPECT_THAT(explanation_svg(explanation), HasSubstr("41 earlier operations are not shown"));
}

TEST(Explain, LabelsFitBetweenBeginningAndEndAndTimeGoesFromLeftToRight) {
  Generator generator{.clients = 5, .operations = 30};
  const History history = parse_history(Model::kRegister, generator.make(3));
  const auto& operations = history.operations;
  const Layout layout = lay_out(operations, std::vector<double>(operations.size(), 50), 10);
  for (std::size_t i = 0; i < operations.size(); ++i) {
    EXPECT_GE(layout.spans[i].end - layout.spans[i].begin, 50);
    EXPECT_LE(layout.spans[i].end, layout.width);
    EXPECT_EQ(layout.processes[layout.spans[i].lane], operations[i].process);
    for (std::size_t j = 0; j < operations.size(); ++j) {
      if (operations[i].completed < operations[j].invoked) {
        EXPECT_LT(layout.spans[i].end, layout.spans[j].begin);
      }
    }
  }
}

TEST(Explain, NothingInAValueBreaksThePicture) {
  const History history =
      parse_history(Model::kAppend, whole(1, "append", R"("<&>\u0001\"")", R"("<&>\u0001\"")") +
                                        whole(2, "read", "null", "\"\""));
  Explanation explanation = explain(split_by_key(history).front());
  const std::string svg = explanation_svg(explanation);
  EXPECT_THAT(svg, HasSubstr("&lt;&amp;&gt;"));
  EXPECT_THAT(svg, Not(HasSubstr("<&>")));
  EXPECT_THAT(svg, Not(HasSubstr("\x01")));
}

}  // namespace
}  // namespace even::verify
