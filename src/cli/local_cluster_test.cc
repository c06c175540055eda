#include "cli/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "node/config.h"

namespace even::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

// A directory of its own for each test, with a name that has to be quoted.
class LocalClusterTest : public ::testing::Test {
 protected:
  LocalClusterTest() {
    std::string pattern = ::testing::TempDir() + "even \"up\" XXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~LocalClusterTest() override { fs::remove_all(dir_); }

  Config load(const LocalNode& node) {
    auto config = Config::load(node.config().string(), {});
    EXPECT_TRUE(config) << config.error().message;
    return config.value_or(Config{});
  }

  fs::path dir_;
};

TEST_F(LocalClusterTest, HasNoNodesUntilItIsWritten) {
  LocalCluster cluster(dir_ / "new");
  EXPECT_TRUE(cluster.nodes().empty());
  EXPECT_FALSE(fs::exists(dir_ / "new"));
}

TEST_F(LocalClusterTest, WritesConfigurationsThatTheServerAccepts) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(4, kDefaultPortBase));
  ASSERT_EQ(cluster.nodes().size(), 4u);
  Config first = load(cluster.nodes()[0]);
  Config third = load(cluster.nodes()[2]);
  EXPECT_EQ(third.node.name, "n3");
  EXPECT_EQ(third.node.data, (dir_ / "n3" / "data").string());
  EXPECT_EQ(third.client.port, 7003);
  EXPECT_EQ(third.peer.port, 7103);
  EXPECT_EQ(third.http.port, 7203);
  EXPECT_TRUE(third.faults.enabled);
  EXPECT_EQ(third.cluster, first.cluster);
  EXPECT_EQ(third.cluster.nodes.size(), 4u);
  EXPECT_EQ(third.cluster.replicas, 3);
  EXPECT_EQ(third.self().peer_port, 7103);
}

TEST_F(LocalClusterTest, NodesLoseUnsyncedWritesWhereThatIsAskedFor) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(1, kDefaultPortBase, true));
  EXPECT_TRUE(load(cluster.nodes()[0]).faults.lose_unsynced_writes);
  ASSERT_TRUE(cluster.write(1, kDefaultPortBase));
  EXPECT_FALSE(load(cluster.nodes()[0]).faults.lose_unsynced_writes);
}

TEST_F(LocalClusterTest, KeepsItsIdUntilItIsRemoved) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(1, kDefaultPortBase));
  std::string id = load(cluster.nodes()[0]).cluster.id;
  ASSERT_TRUE(cluster.write(1, kDefaultPortBase));
  EXPECT_EQ(load(cluster.nodes()[0]).cluster.id, id);
  ASSERT_TRUE(cluster.remove());
  EXPECT_TRUE(cluster.nodes().empty());
  ASSERT_TRUE(cluster.write(1, kDefaultPortBase));
  EXPECT_NE(load(cluster.nodes()[0]).cluster.id, id);
}

TEST_F(LocalClusterTest, KeepsItsPortsUntilItIsRemoved) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  EXPECT_EQ(cluster.port_base(), kDefaultPortBase);
  ASSERT_TRUE(cluster.write(2, 12000));
  EXPECT_EQ(load(cluster.nodes()[1]).client.port, 12002);
  EXPECT_EQ(load(cluster.nodes()[1]).self().peer_port, 12102);
  EXPECT_EQ(load(cluster.nodes()[1]).http.port, 12202);
  EXPECT_EQ(LocalCluster(dir_).port_base(), 12000);
  EXPECT_EQ(LocalCluster(dir_).nodes()[1].http_port(), 12202);
  ASSERT_TRUE(cluster.remove());
  EXPECT_EQ(cluster.port_base(), kDefaultPortBase);
}

TEST_F(LocalClusterTest, RemovesDataButNoFileOfSomebodyElse) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(2, kDefaultPortBase));
  std::ofstream(cluster.nodes()[0].data() / "log") << "x";
  std::ofstream(dir_ / "n1" / "notes") << "x";
  ASSERT_TRUE(cluster.remove());
  EXPECT_FALSE(fs::exists(dir_ / "n1" / "data"));
  EXPECT_TRUE(fs::exists(dir_ / "n1" / "notes"));
  EXPECT_FALSE(fs::exists(dir_ / "n2"));
}

TEST_F(LocalClusterTest, IsChangedByOneCommandAtATime) {
  LocalCluster first(dir_);
  ASSERT_TRUE(first.lock());
  LocalCluster second(dir_);
  Result<> locked = second.lock();
  ASSERT_FALSE(locked);
  EXPECT_THAT(locked.error().message, HasSubstr("another `even` is at work"));
}

TEST_F(LocalClusterTest, TakesNoOtherProcessForItsServer) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(1, kDefaultPortBase));
  const LocalNode& node = cluster.nodes()[0];
  EXPECT_FALSE(node.server());
  std::ofstream(node.pid_file()) << getpid() << '\n';  // alive, but not an evend
  EXPECT_FALSE(node.server());
  std::ofstream(node.pid_file()) << "garbage\n";
  EXPECT_FALSE(node.server());
}

// Stands in for evend: a shell of that name, which waits for somebody to open a pipe that nobody
// opens.
Result<Process> start_stand_in(const fs::path& dir, const LocalNode& node) {
  fs::path program = dir / "evend";
  fs::copy_file("/bin/bash", program, fs::copy_options::skip_existing);
  mkfifo((node.config().string() + ".pipe").c_str(), 0600);
  return start_server(
      program,
      {"-c", "echo started; read x < \"$2.pipe\"", "evend", "--config", node.config().string()},
      node.log(), node.pid_file());
}

TEST_F(LocalClusterTest, RecognizesAServerByItsConfiguration) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(2, kDefaultPortBase));
  const LocalNode& node = cluster.nodes()[0];
  Result<Process> server = start_stand_in(dir_, node);
  ASSERT_TRUE(server) << server.error().message;

  ASSERT_TRUE(node.server());
  EXPECT_EQ(node.server()->pid(), server->pid());
  EXPECT_THAT(running_configurations(), Contains(node.config()));
  const LocalNode& other = cluster.nodes()[1];
  std::ofstream(other.pid_file()) << server->pid() << '\n';
  EXPECT_FALSE(other.server());
  // A build replaces the program while it runs.
  fs::remove(dir_ / "evend");
  EXPECT_TRUE(node.server());

  EXPECT_TRUE(server->terminate());
  EXPECT_TRUE(server->wait(std::chrono::seconds(10)));
  EXPECT_FALSE(node.server());
}

TEST_F(LocalClusterTest, StopsAllNodesEvenPausedOnes) {
  LocalCluster cluster(dir_);
  ASSERT_TRUE(cluster.lock());
  ASSERT_TRUE(cluster.write(3, kDefaultPortBase));
  Result<Process> first = start_stand_in(dir_, cluster.nodes()[0]);
  Result<Process> second = start_stand_in(dir_, cluster.nodes()[1]);
  ASSERT_TRUE(first && second);
  kill(second->pid(), SIGSTOP);
  EXPECT_TRUE(stop_nodes(cluster.nodes()));
  EXPECT_TRUE(first->wait(std::chrono::milliseconds(0)));
  EXPECT_TRUE(second->wait(std::chrono::milliseconds(0)));
  EXPECT_FALSE(fs::exists(cluster.nodes()[0].pid_file()));
}

TEST_F(LocalClusterTest, SaysWhyAProgramCannotBeStarted) {
  Result<Process> server = start_server(dir_ / "missing", {}, dir_ / "log", dir_ / "pid");
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().message, HasSubstr("missing: No such file or directory"));
  EXPECT_FALSE(fs::exists(dir_ / "pid"));
}

}  // namespace
}  // namespace even::cli
