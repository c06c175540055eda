// The scripts of etcd's raft library about quorums and changes of membership, to the letter.
#include <gtest/gtest.h>

#include <map>

#include "consensus/test_describe.h"
#include "consensus/test_script.h"

namespace even::consensus {
namespace {

Members numbers(const ScriptCase& script_case, std::string_view key) {
  Members found;
  if (const ScriptArgument* argument = script_case.find(key)) {
    for (const std::string& value : argument->values) {
      if (value != "zero") found.push_back(std::stoull(value));
    }
  }
  return found;
}

// The inputs are given in the order in which members are first named.
std::map<MemberId, std::string> by_member(const ScriptCase& script_case, std::string_view key) {
  Members members = numbers(script_case, "cfg");
  for (const MemberId member : numbers(script_case, "cfgj")) members.push_back(member);
  std::map<MemberId, std::string> given;
  std::size_t next = 0;
  const ScriptArgument* argument = script_case.find(key);
  for (const MemberId member : members) {
    if (given.contains(member)) continue;
    given[member] =
        argument != nullptr && next < argument->values.size() ? argument->values[next++] : "_";
  }
  return given;
}

Members sorted(Members members) {
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  return members;
}

// A bar for each voter: how many others it is ahead of.
std::string picture(const std::map<MemberId, std::string>& given) {
  if (given.empty()) return "<empty majority quorum>";
  const auto index = [&](MemberId member) {
    const std::string& text = given.at(member);
    return text == "_" ? Index{0} : std::stoull(text);
  };
  const std::size_t n = given.size();
  std::string text = std::string(n, ' ') + "    idx\n";
  for (const auto& [member, value] : given) {
    std::size_t ahead = 0;
    for (const auto& [other, ignored] : given) ahead += index(other) < index(member) ? 1 : 0;
    text += value == "_" ? "?" + std::string(n, ' ')
                         : std::string(ahead, 'x') + ">" + std::string(n - ahead, ' ');
    text += fmt::format(" {:5}    (id={})\n", index(member), member);
  }
  return text;
}

std::string describe(Index index) {
  return index == std::numeric_limits<Index>::max() ? "∞" : fmt::format("{}", index);
}

std::string run_quorum(const ScriptCase& script_case) {
  const Members voters = sorted(numbers(script_case, "cfg"));
  const Members outgoing = sorted(numbers(script_case, "cfgj"));
  if (script_case.command == "committed") {
    const auto given = by_member(script_case, "idx");
    const auto acknowledged = [&](MemberId member) {
      const std::string& text = given.at(member);
      return text == "_" ? Index{0} : Index{std::stoull(text)};
    };
    const Index index = joint_index(voters, outgoing, acknowledged);
    EXPECT_EQ(index, joint_index(outgoing, voters, acknowledged));
    if (outgoing.empty()) {
      EXPECT_EQ(index, joint_index(voters, voters, acknowledged));
      EXPECT_EQ(index, majority_index(voters, acknowledged));
    }
    return picture(given) + describe(index) + "\n";
  }
  const auto given = by_member(script_case, "votes");
  const auto vote = [&](MemberId member) -> std::optional<bool> {
    const std::string& text = given.at(member);
    if (text == "_") return std::nullopt;
    return text == "y";
  };
  static constexpr const char* kResults[] = {"VotePending", "VoteWon", "VoteLost"};
  const VoteResult result = joint_vote(voters, outgoing, vote);
  EXPECT_EQ(result, joint_vote(outgoing, voters, vote));
  return fmt::format("{}\n", kResults[static_cast<int>(result)]);
}

// The words that the scripts have for it.
const char* words(ChangeRefusal refusal) {
  switch (refusal) {
    case ChangeRefusal::kAlreadyJoint:
      return "config is already joint";
    case ChangeRefusal::kNoVotersToJoin:
      return "can't make a zero-voter config joint";
    case ChangeRefusal::kNotJoint:
      return "can't leave a non-joint config";
    case ChangeRefusal::kSimpleInJoint:
      return "can't apply simple config change in joint config";
    case ChangeRefusal::kTooManyVoters:
      return "more than one voter changed without entering joint config";
    case ChangeRefusal::kRemovesAllVoters:
      return "removed all voters";
  }
  return "";
}

TEST(Conformance, QuorumsDecideAsTheScriptsSay) {
  EVEN_SKIP_WITHOUT_CONFORMANCE(folder, "quorum");
  int cases = 0;
  for (const auto& path : scripts_in(*folder)) {
    for (const ScriptCase& script_case : read_script(path)) {
      EXPECT_EQ(run_quorum(script_case), script_case.expected)
          << path.filename().string() << ":" << script_case.line;
      ++cases;
    }
  }
  EXPECT_GT(cases, 100);
}

TEST(Conformance, MembershipChangesAsTheScriptsSay) {
  EVEN_SKIP_WITHOUT_CONFORMANCE(folder, "confchange");
  int cases = 0;
  for (const auto& path : scripts_in(*folder)) {
    Membership membership;
    Index last = 0;
    for (const ScriptCase& script_case : read_script(path)) {
      const std::vector<Change> changes = parse_changes(script_case.input);
      Membership::Changed changed;
      if (script_case.command == "simple") {
        changed = membership.simple(changes, last);
      } else if (script_case.command == "enter-joint") {
        changed = membership.enter_joint(changes, script_case.value("autoleave", "false") == "true",
                                         last);
      } else {
        ASSERT_EQ(script_case.command, "leave-joint");
        changed = membership.leave_joint();
      }
      std::string printed;
      if (changed) {
        membership = *changed;
        printed = consensus::describe(membership.configuration) + "\n" +
                  consensus::describe(membership.progress, membership.configuration, {});
      } else {
        printed = fmt::format("{}\n", words(changed.error()));
      }
      EXPECT_EQ(printed, script_case.expected)
          << path.filename().string() << ":" << script_case.line;
      ++last;
      ++cases;
    }
  }
  EXPECT_GT(cases, 40);
}

}  // namespace
}  // namespace even::consensus
