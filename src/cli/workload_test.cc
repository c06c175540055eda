#include "cli/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace even::cli {
namespace {

using nlohmann::json;
using verify::Model;

PlannedOperation planned(std::string f, json value, bool only_reads = false) {
  return {.f = std::move(f),
          .key = "k",
          .value = std::move(value),
          .words = {},
          .only_reads = only_reads};
}

CompletedOperation completed(Model model, const PlannedOperation& operation,
                             std::string_view reply) {
  const Workload workload({.model = model});
  Workload::Mind mind;
  return workload.complete(operation, reply, mind);
}

TEST(Workload, RepliesBecomeWhatTheHistoryCallsThem) {
  const struct {
    Model model;
    PlannedOperation operation;
    std::string_view reply;
    std::string_view type;
    json value;
  } cases[] = {
      {Model::kRegister, planned("read", nullptr, true), "$-1\r\n", "ok", nullptr},
      {Model::kRegister, planned("read", nullptr, true), "$2\r\n17\r\n", "ok", 17},
      {Model::kRegister, planned("read", nullptr, true), "$1\r\nx\r\n", "ok", "x"},
      {Model::kRegister, planned("write", 3), "+OK\r\n", "ok", 3},
      {Model::kRegister, planned("cas", {1, 2}), "+OK\r\n", "ok", {1, 2}},
      {Model::kRegister, planned("cas", {1, 2}), ":1\r\n", "ok", {1, 2}},
      {Model::kRegister, planned("cas", {1, 2}), "$-1\r\n", "fail", {1, 2}},
      {Model::kRegister, planned("cas", {1, 2}), ":0\r\n", "fail", {1, 2}},
      {Model::kAppend, planned("read", nullptr, true), "$-1\r\n", "ok", ""},
      {Model::kAppend, planned("read", nullptr, true), "$3\r\n[7]\r\n", "ok", "[7]"},
      {Model::kAppend, planned("append", "[7]"), ":3\r\n", "ok", "[7]"},
      {Model::kCounter, planned("read", nullptr, true), "$-1\r\n", "ok", 0},
      {Model::kCounter, planned("read", nullptr, true), "$1\r\n5\r\n", "ok", 5},
      {Model::kCounter, planned("add", 3), ":8\r\n", "ok", {3, 8}},
      {Model::kSet, planned("read", nullptr, true), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "ok", {1, 2}},
      {Model::kSet, planned("read", nullptr, true), "*0\r\n", "ok", json::array()},
      {Model::kSet, planned("contains", 4, true), ":1\r\n", "ok", {4, true}},
      {Model::kSet, planned("contains", 4, true), ":0\r\n", "ok", {4, false}},
      {Model::kSet, planned("add", 4), ":1\r\n", "ok", 4},
      {Model::kSet, planned("remove", 4), ":0\r\n", "ok", 4},
  };
  for (const auto& it : cases) {
    const CompletedOperation is = completed(it.model, it.operation, it.reply);
    EXPECT_EQ(is.type, it.type) << it.operation.f << " " << it.reply;
    EXPECT_EQ(is.value, it.value) << it.operation.f << " " << it.reply;
    EXPECT_EQ(is.error, "");
  }
}

TEST(Workload, AWriteFailedOnlyIfItCertainlyDidNothing) {
  for (const char* error :
       {"UNAVAILABLE needs 2 of 3 replicas, 1 reachable", "CONSISTENCY no", "READONLY x",
        "OTHERNODE x", "CLUSTERDOWN x", "LOADING x", "ERR unknown command 'foo'"}) {
    const std::string reply = std::string("-") + error + "\r\n";
    const auto is = completed(Model::kRegister, planned("write", 1), reply);
    EXPECT_EQ(is.type, "fail") << error;
    EXPECT_EQ(is.error, error);
  }
  for (const char* error : {"UNCERTAIN it was sent", "PARTIAL 1 of 2", "TRYAGAIN the link was lost",
                            "UNAVAILABLEISH x", "ERR something went wrong", "WHATEVER"}) {
    const std::string reply = std::string("-") + error + "\r\n";
    EXPECT_EQ(completed(Model::kRegister, planned("write", 1), reply).type, "info") << error;
    // A read did nothing, whatever happened to it.
    EXPECT_EQ(completed(Model::kRegister, planned("read", nullptr, true), reply).type, "fail");
  }
  EXPECT_EQ(completed(Model::kCounter, planned("add", 1), "+what\r\n").type, "info");
}

TEST(Workload, EveryValueIsWrittenOnceAndKeysTakeTurns) {
  for (const Model model : {Model::kRegister, Model::kAppend, Model::kSet}) {
    Workload workload(
        {.model = model, .cas = CasCommand::kIfeq, .prefix = "p:", .keys = 2, .per_key = 50});
    Workload::Mind mind;
    std::set<std::string> written;
    std::set<std::string> keys;
    int writes = 0;
    int cas = 0;
    for (int i = 0; i < 1000; ++i) {
      const PlannedOperation operation = workload.next(mind);
      keys.insert(operation.key);
      EXPECT_THAT(operation.key, testing::StartsWith("p:"));
      ASSERT_EQ(operation.words.size() > 2 || operation.f == "read", true);
      if (operation.f == "write" || operation.f == "append" || operation.f == "add") {
        ++writes;
        written.insert(operation.value.dump());
      } else if (operation.f == "cas") {
        ++writes;
        ++cas;
        written.insert(operation.value[1].dump());
        EXPECT_EQ(operation.words,
                  cas_words(CasCommand::kIfeq, operation.key, "99", operation.value[1].dump()));
      } else if (operation.f == "read" && model == Model::kRegister) {
        workload.complete(operation, "$2\r\n99\r\n", mind);
      }
    }
    EXPECT_GT(writes, 100);
    EXPECT_EQ(written.size(), static_cast<std::size_t>(writes));
    EXPECT_EQ(keys.size(), 20u);
    EXPECT_EQ(cas > 0, model == Model::kRegister);
  }
}

}  // namespace
}  // namespace even::cli
