// Whole runs of groups as the scripts of etcd's raft library describe them: who leads and in which
// term, what is sent, delivered, appended, committed and refused. The words of its log do not
// count.
#include <gtest/gtest.h>

#include <cctype>

#include "consensus/test_interaction.h"

namespace even::consensus {
namespace {

// Scripts about what the core does not have, and why.
struct LeftOut {
  const char* script;
  const char* why;
};
constexpr LeftOut kLeftOut[] = {
    {"confchange_disable_validation.txt",
     "a change of configuration is never proposed while another one is not applied: see "
     "Interaction.ASecondChangeIsRefusedWhileTheFirstIsNotApplied"},
    {"confchange_v1_remove_leader.txt",
     "a leader that is removed always steps down: see confchange_v1_remove_leader_stepdown.txt"},
    {"forget_leader_read_only_lease_based.txt",
     "clocks are not trusted with reads, so a leader can always be forgotten: see "
     "Interaction.AFollowerForgetsItsLeaderAndReadsStayRight"},
};

std::string trimmed(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(' ');
  return begin == std::string_view::npos ? "" : std::string(line.substr(begin));
}

std::string without_version(std::string line) {
  for (std::size_t at; (at = line.find("EntryConfChangeV2")) != std::string::npos;) {
    line.erase(at + std::string_view("EntryConfChange").size(), 2);
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

bool is_message(std::string_view line) {
  const std::size_t arrow = line.find("->");
  return arrow != std::string_view::npos && line.find(" Msg") != std::string_view::npos;
}

// Between members, not from one to itself or its disk.
bool is_between_members(std::string_view line) {
  const std::size_t arrow = line.find("->");
  const std::size_t end = line.find(' ', arrow);
  const std::string_view from = line.substr(0, arrow);
  const std::string_view to = line.substr(arrow + 2, end - arrow - 2);
  return from != to && from.find("Thread") == std::string_view::npos &&
         to.find("Thread") == std::string_view::npos &&
         line.find(" MsgProp ") == std::string_view::npos;
}

// What a script expects of a command, in the same form.
Happened expectation(const ScriptCase& c) {
  Happened expected;
  enum class In { kNothing, kReady, kDelivery, kThread } in = In::kNothing;
  std::vector<std::string>* entries = nullptr;
  MemberId member =
      c.arguments.empty() || c.arguments[0].key.empty() || std::isdigit(c.arguments[0].key[0]) == 0
          ? kNoMember
          : std::stoull(c.arguments[0].key);
  if (c.command == "process-ready") in = In::kReady;
  if (c.command == "deliver-msgs") in = In::kDelivery;
  if (c.command.ends_with("-thread")) in = In::kThread;
  const std::vector<std::string> lines = split(c.expected, "\n");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string line = trimmed(lines[i]);
    if (line.starts_with("> ")) {
      member = std::stoull(line.substr(2));
      in = line.ends_with("Ready")                ? In::kReady
           : line.ends_with("receiving messages") ? In::kDelivery
                                                  : In::kThread;
      entries = nullptr;
      continue;
    }
    if (line.find("raft: cannot step as peer not found") == 0) ++expected.strangers;
    if (line.ends_with("Responses:[")) {
      while (++i < lines.size() && trimmed(lines[i]) != "]") {
      }
    }
    if (in == In::kThread) continue;
    if (line == "Entries:") entries = &expected.appended[member];
    if (line == "CommittedEntries:") entries = &expected.committed[member];
    if (line == "Messages:") entries = nullptr;
    if (is_message(line)) {
      if (line.ends_with("Entries:[")) {
        std::string separator;
        while (trimmed(lines[++i]) != "]") {
          line += separator + without_version(trimmed(lines[i]));
          separator = " ";
        }
        line += "]";
      }
      if (i + 1 < lines.size() && trimmed(lines[i + 1]).starts_with("Snapshot: ")) {
        line += " " + trimmed(lines[++i]);
      }
      line = without_version(line);
      if (line.starts_with("dropped: ")) {
        line.erase(0, std::string_view("dropped: ").size());
        expected.dropped.push_back(line);
      } else if (!is_between_members(line)) {
        continue;
      } else {
        (in == In::kDelivery ? expected.delivered : expected.sent).push_back(line);
      }
    } else if (entries != nullptr && std::isdigit(line[0]) != 0 &&
               line.find(" Entry") != std::string::npos) {
      entries->push_back(without_version(line));
    }
  }
  for (auto* by_member : {&expected.appended, &expected.committed}) {
    std::erase_if(*by_member, [](const auto& row) { return row.second.empty(); });
  }
  expected.sort();
  return expected;
}

// Our leader leaves a joint configuration in the step that applies it, so that this entry may share
// a message with the one before it: with "Entries:[1/4 EntryConfChange v2 1/5 EntryConfChange]" for
// "Entries:[1/4 EntryConfChange v2]" nothing else is different.
void forget_leaving(std::vector<std::string>& lines) {
  for (std::string& line : lines) {
    constexpr std::string_view kLeaving = " EntryConfChange]";
    if (!line.ends_with(kLeaving)) continue;
    const std::size_t at = line.rfind(' ', line.size() - kLeaving.size() - 1);
    const std::size_t list = line.find("Entries:[");
    if (at > list) line = line.substr(0, at) + "]";
  }
}

bool prints(const std::string& command) {
  return command == "raft-state" || command == "raft-log" || command == "status" ||
         command == "compact";
}

void run_script(const std::filesystem::path& path) {
  Interaction interaction;
  bool quiet = false;
  for (const ScriptCase& c : read_script(path)) {
    SCOPED_TRACE(fmt::format("{}:{} {}", path.filename().string(), c.line, c.command));
    Happened happened = interaction.run(c);
    if (c.command == "log-level") {
      quiet = c.arguments[0].key == "none";
      continue;
    }
    const bool refused = c.expected.find("proposal dropped") != std::string::npos ||
                         c.expected.find("ignoring conf change") != std::string::npos;
    if (quiet || c.value("log-level", "") == "none") continue;
    EXPECT_EQ(happened.refused, refused);
    if (prints(c.command)) {
      std::string expected;
      for (const std::string& line : split(c.expected, "\n")) {
        expected += without_version(line) + "\n";
      }
      EXPECT_EQ(happened.printed, expected);
      continue;
    }
    if (c.command == "send-snapshot") continue;
    Happened expected = expectation(c);
    for (Happened* each : {&happened, &expected}) {
      forget_leaving(each->sent);
      forget_leaving(each->delivered);
    }
    EXPECT_EQ(happened.delivered, expected.delivered);
    EXPECT_EQ(happened.dropped, expected.dropped);
    if (!interaction.asynchronous()) {
      EXPECT_EQ(happened.sent, expected.sent);
    }
    EXPECT_EQ(happened.appended, expected.appended);
    EXPECT_EQ(happened.strangers, expected.strangers);
    // Entries that become durable and committed at a time are handed out one step later than there.
    if (c.command == "stabilize") {
      EXPECT_EQ(happened.committed, expected.committed);
    }
  }
}

TEST(Interaction, GroupsRunAsTheScriptsSay) {
  EVEN_SKIP_WITHOUT_CONFORMANCE(folder, "interaction");
  int scripts = 0;
  for (const auto& path : scripts_in(*folder)) {
    const std::string name = path.filename().string();
    const bool left_out = std::any_of(std::begin(kLeftOut), std::end(kLeftOut),
                                      [&](const LeftOut& row) { return row.script == name; });
    if (left_out) continue;
    ++scripts;
    run_script(path);
  }
  EXPECT_GT(scripts, 20);
}

// For what kLeftOut leaves out.
ScriptCase command(const std::string& line, const std::string& input = {}) {
  ScriptCase c;
  parse_command(line, c);
  c.input = input;
  return c;
}

TEST(Interaction, ASecondChangeIsRefusedWhileTheFirstIsNotApplied) {
  Interaction interaction;
  interaction.run(command("add-nodes 1 voters=(1) index=2 max-committed-size-per-ready=1"));
  interaction.run(command("campaign 1"));
  interaction.run(command("stabilize"));
  interaction.run(command("propose 1 foo"));
  EXPECT_FALSE(
      interaction.run(command("propose-conf-change 1 transition=explicit", "l2 l3")).refused);
  interaction.run(command("process-ready 1"));
  // The first one is committed, but the entry before it is handed out alone.
  EXPECT_EQ(interaction.run(command("process-ready 1")).committed[1],
            std::vector<std::string>{"1/4 EntryNormal \"foo\""});
  EXPECT_EQ(interaction.raft(1).log().committed(), 5U);
  EXPECT_EQ(interaction.raft(1).propose_configuration({}).error(), Refusal::kChangePending);
  EXPECT_FALSE(interaction.raft(1).configuration().joint());
  interaction.run(command("stabilize"));
  EXPECT_TRUE(interaction.raft(1).configuration().joint());
  EXPECT_FALSE(interaction.run(command("propose-conf-change 1")).refused);
  interaction.run(command("stabilize"));
  EXPECT_FALSE(interaction.raft(1).configuration().joint());
  EXPECT_EQ(interaction.raft(1).configuration().learners, (Members{2, 3}));
}

TEST(Interaction, ALeaderThatIsRemovedStepsDownWhenItAppliesThat) {
  Interaction interaction;
  interaction.run(command("add-nodes 3 voters=(1,2,3) index=2"));
  interaction.run(command("campaign 1"));
  interaction.run(command("stabilize"));
  interaction.run(command("propose-conf-change 1 v1=true", "r1"));
  interaction.run(command("propose 1 foo"));
  EXPECT_EQ(interaction.raft(1).role(), Role::kLeader);
  interaction.run(command("stabilize"));
  EXPECT_EQ(interaction.raft(1).role(), Role::kFollower);
  EXPECT_EQ(interaction.raft(1).leader(), kNoMember);
  // It has told the others of the commitment before.
  EXPECT_EQ(interaction.raft(2).log().applied(), 5U);
  EXPECT_EQ(interaction.raft(2).configuration().voters, (Members{2, 3}));
  EXPECT_TRUE(interaction.run(command("propose 1 bar")).refused);
  interaction.run(command("campaign 1"));
  EXPECT_EQ(interaction.raft(1).role(), Role::kFollower);
  interaction.run(command("campaign 2"));
  interaction.run(command("stabilize"));
  EXPECT_EQ(interaction.raft(2).role(), Role::kLeader);
}

TEST(Interaction, AFollowerForgetsItsLeaderAndReadsStayRight) {
  Interaction interaction;
  interaction.run(command("add-nodes 3 voters=(1,2,3) index=10 checkquorum=true"));
  interaction.run(command("campaign 1"));
  interaction.run(command("stabilize"));
  interaction.run(command("forget-leader 2"));
  EXPECT_EQ(interaction.raft(2).leader(), kNoMember);
  EXPECT_EQ(interaction.raft(1).role(), Role::kLeader);
  // It votes for another one now, and the leader of before answers no read.
  interaction.run(command("campaign 3"));
  interaction.run(command("process-ready 3"));
  interaction.run(command("deliver-msgs 2"));
  interaction.run(command("process-ready 2"));
  interaction.run(command("deliver-msgs 3"));
  EXPECT_EQ(interaction.raft(3).role(), Role::kLeader);
  ASSERT_TRUE(interaction.raft(1).read_index(7));
  interaction.run(command("process-ready 1"));
  interaction.run(command("stabilize 2 3"));
  EXPECT_EQ(interaction.raft(1).waiting_reads(), 1U);
  interaction.run(command("deliver-msgs 1"));
  EXPECT_EQ(interaction.raft(1).role(), Role::kFollower);
  EXPECT_EQ(interaction.raft(1).take().refused_reads, std::vector<std::uint64_t>{7});
}

}  // namespace
}  // namespace even::consensus
