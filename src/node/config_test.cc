#include "node/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "node/preflight.h"

namespace even {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A file in the test's temporary directory, gone at the end of the test.
class TempFile {
 public:
  explicit TempFile(const std::string& text) {
    path_ = ::testing::TempDir() + "even_config_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".toml";
    std::ofstream(path_) << text;
  }
  ~TempFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<Config> load_text(const std::string& text, std::vector<std::string> overrides = {}) {
  TempFile file(text);
  return Config::load(file.path(), overrides);
}

Result<Config> load_set(std::vector<std::string> overrides) {
  return Config::load(std::nullopt, overrides);
}

std::string error_of(const Result<Config>& result) {
  return result ? "(no error)" : result.error().message;
}

std::string read_example() {
  std::ifstream in(EVEN_SOURCE_DIR "/docs/even.example.toml");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The example with its options uncommented: lines "#key = value" and "#[[cluster.node]]".
std::string uncomment(const std::string& text, bool with_nodes) {
  std::istringstream in(text);
  std::string out;
  bool in_nodes = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#[[")) in_nodes = true;
    if (line.starts_with("[")) in_nodes = false;
    bool option = line.starts_with("#[[") || std::regex_search(line, std::regex("^#[a-z_]+ = "));
    out += (option && (with_nodes || !in_nodes) ? line.substr(1) : line) + "\n";
  }
  return out;
}

void expect_same(const Config& a, const Config& b) {
  EXPECT_EQ(a.node.name, b.node.name);
  EXPECT_EQ(a.node.data, b.node.data);
  EXPECT_EQ(a.node.shards, b.node.shards);
  EXPECT_EQ(a.node.log_level, b.node.log_level);
  EXPECT_EQ(a.client.bind, b.client.bind);
  EXPECT_EQ(a.client.port, b.client.port);
  EXPECT_EQ(a.client.password, b.client.password);
  EXPECT_EQ(a.client.override_default, b.client.override_default);
  EXPECT_EQ(a.client.acl_file, b.client.acl_file);
  EXPECT_EQ(a.client.max_clients, b.client.max_clients);
  EXPECT_EQ(a.client.max_request_bytes, b.client.max_request_bytes);
  EXPECT_EQ(a.client.query_buffer_bytes, b.client.query_buffer_bytes);
  EXPECT_EQ(a.client.output_buffer_bytes, b.client.output_buffer_bytes);
  EXPECT_EQ(a.peer.bind, b.peer.bind);
  EXPECT_EQ(a.peer.port, b.peer.port);
  EXPECT_EQ(a.http.bind, b.http.bind);
  EXPECT_EQ(a.http.port, b.http.port);
  EXPECT_EQ(a.tls.client.enabled(), b.tls.client.enabled());
  EXPECT_EQ(a.tls.peer.enabled(), b.tls.peer.enabled());
  EXPECT_EQ(a.tls.http.enabled(), b.tls.http.enabled());
  EXPECT_EQ(a.tls.kafka.enabled(), b.tls.kafka.enabled());
  EXPECT_EQ(a.log.fsync, b.log.fsync);
  EXPECT_EQ(a.log.segment_bytes, b.log.segment_bytes);
  EXPECT_EQ(a.store.pass_bytes, b.store.pass_bytes);
  EXPECT_EQ(a.store.cache_bytes, b.store.cache_bytes);
  EXPECT_EQ(a.memory.max_memory, b.memory.max_memory);
  EXPECT_EQ(a.memory.policy, b.memory.policy);
  EXPECT_EQ(a.log.retain_bytes, b.log.retain_bytes);
  EXPECT_EQ(a.replication.window_bytes, b.replication.window_bytes);
  EXPECT_EQ(a.replication.report_ms, b.replication.report_ms);
  EXPECT_EQ(a.expiry.wait_ms, b.expiry.wait_ms);
  EXPECT_EQ(a.clock.max_drift_ms, b.clock.max_drift_ms);
  EXPECT_EQ(a.cluster, b.cluster);
  EXPECT_EQ(a.faults.enabled, b.faults.enabled);
  EXPECT_EQ(a.faults.lose_unsynced_writes, b.faults.lose_unsynced_writes);
}

constexpr std::string_view kThreeNodes = R"(
[node]
name = "n2"
[peer]
port = 7102
[cluster]
id = "c1"
replicas = 2
[[cluster.node]]
name = "n1"
number = 1
host = "127.0.0.1"
peer_port = 7101
[[cluster.node]]
name = "n2"
number = 2
host = "127.0.0.1"
peer_port = 7102
client_port = 7002
http_port = 7202
[[cluster.node]]
name = "n3"
number = 3
host = "127.0.0.1"
peer_port = 7103
)";

TEST(Config, WithNothingGivenIsASingleNodeOnTheRedisPort) {
  auto config = load_set({});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->node.name, "even");
  EXPECT_EQ(config->node.data, ".");
  EXPECT_THAT(config->client.bind, ElementsAre("127.0.0.1"));
  EXPECT_EQ(config->client.port, 6379);
  EXPECT_EQ(config->peer.port, 0);
  EXPECT_EQ(config->http.port, 0);
  EXPECT_FALSE(config->faults.enabled);
  ASSERT_EQ(config->cluster.nodes.size(), 1u);
  EXPECT_EQ(config->self().number, 1);
  EXPECT_EQ(config->self().client_port, 6379);
  EXPECT_EQ(config->cluster.replicas, 1);
  EXPECT_EQ(config->cluster.partitions, 256);
}

TEST(Config, ReadsAClusterAndFindsItself) {
  auto config = load_text(std::string(kThreeNodes));
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->cluster.nodes.size(), 3u);
  EXPECT_EQ(config->cluster.replicas, 2);
  EXPECT_EQ(config->self(), (cluster::Node{.name = "n2",
                                           .number = 2,
                                           .host = "127.0.0.1",
                                           .peer_port = 7102,
                                           .client_port = 7002,
                                           .http_port = 7202}));
}

TEST(Config, AsksForThreeReplicas) {
  std::string text(kThreeNodes);
  text.erase(text.find("replicas = 2\n"), 13);
  text += "[[cluster.node]]\nname = \"n4\"\nnumber = 4\nhost = \"h\"\npeer_port = 1\n";
  auto config = load_text(text);
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->cluster.replicas, 3);
}

TEST(Config, CapsReplicasAtTheNumberOfNodes) {
  auto config = load_text(std::string(kThreeNodes), {"cluster.replicas=5"});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->cluster.replicas, 3);
}

TEST(Config, ExampleAsItStandsGivesTheDefaults) {
  auto example = load_text(read_example());
  ASSERT_TRUE(example) << error_of(example);
  expect_same(*example, *load_set({}));
}

TEST(Config, ExampleUncommentedGivesTheDefaults) {
  auto example = load_text(uncomment(read_example(), false));
  ASSERT_TRUE(example) << error_of(example);
  expect_same(*example, *load_set({}));
}

TEST(Config, ExampleShowsEveryKeyThatIsKnownAndNoOther) {
  std::set<std::string> shown;
  std::istringstream in(uncomment(read_example(), true));
  std::string section;
  std::smatch match;
  for (std::string line; std::getline(in, line);) {
    if (std::regex_match(line, match, std::regex(R"(\[+([a-z.]+)\]+)"))) section = match[1];
    if (std::regex_search(line, match, std::regex("^([a-z_]+) = "))) {
      shown.insert(section + "." + match[1].str());
    }
  }
  std::vector<std::string> known = Config::known_keys();
  EXPECT_EQ(shown, std::set<std::string>(known.begin(), known.end()));
}

TEST(Config, ExampleWithItsClusterNodeIsAValidOne) {
  auto config = load_text(uncomment(read_example(), true), {"node.name=n1"});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->self().peer_port, 7101);
}

TEST(Config, OverridesWinOverTheFileAndLaterOnesOverEarlier) {
  auto config = load_text("[client]\nport = 1\n", {"client.port=2", "client.port=3"});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->client.port, 3);
}

TEST(Config, OverridesNeedNoQuotesAroundStrings) {
  auto config = load_set({"log.fsync=always", "client.password=12345", "node.data=/tmp/a b=c",
                          "client.bind=0.0.0.0", "log.segment_bytes=8MiB", "node.name=\"x\""});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->log.fsync, Fsync::kAlways);
  EXPECT_EQ(config->client.password, "12345");
  EXPECT_EQ(config->node.data, "/tmp/a b=c");
  EXPECT_THAT(config->client.bind, ElementsAre("0.0.0.0"));
  EXPECT_EQ(config->log.segment_bytes, 8u << 20);
  EXPECT_EQ(config->node.name, "x");
}

// Else whoever it is could do everything.
TEST(Config, TheDefaultUserIsNotOverriddenWithoutAPassword) {
  EXPECT_THAT(error_of(load_set({"client.override_default=true"})),
              HasSubstr("client.override_default: gives the user default all rights"));
  auto config = load_set({"client.override_default=true", "client.password=x"});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_TRUE(config->client.override_default);
}

TEST(Config, OverridesMayGiveTheNodesInline) {
  auto config = load_set(
      {"cluster.id=c", "peer.port=7",
       R"(cluster.node=[{name="even",number=4,host="h",peer_port=7},{name="b",number=5,host="i",peer_port=8}])"});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->self().number, 4);
  EXPECT_EQ(config->cluster.nodes.size(), 2u);
}

TEST(Config, ErrorsNameFileLineKeyAndWhatIsAllowed) {
  TempFile file("# one\n[client]\n\nport = 70000\n");
  auto config = Config::load(file.path(), {});
  EXPECT_EQ(error_of(config),
            file.path() +
                ":4: client.port: 70000 is not allowed, but a whole number from 0 to 65535 "
                "(a port; 0 turns the service off) is");
}

TEST(Config, AllErrorsAreReportedAtOnce) {
  auto config =
      load_text("[client]\nport = \"x\"\n[log]\nfsync = \"sometimes\"\n", {"node.shards=-1"});
  EXPECT_THAT(error_of(config), HasSubstr(".toml:2: client.port: 'x'"));
  EXPECT_THAT(error_of(config),
              HasSubstr(".toml:4: log.fsync: 'sometimes' is not allowed, but one of "
                        "\"always\", \"everysec\", \"no\" is"));
  EXPECT_THAT(error_of(config), HasSubstr("--set node.shards=-1: node.shards: -1"));
}

TEST(Config, UnknownKeysAndSectionsAreErrors) {
  EXPECT_THAT(error_of(load_text("[client]\nprot = 1\n")),
              HasSubstr(".toml:2: client.prot: no such key; [client] has bind, port, password"));
  EXPECT_THAT(error_of(load_text("[clients]\nport = 1\n")),
              HasSubstr("there are check, client, clock"));
  EXPECT_THAT(error_of(load_text("port = 1\n")), HasSubstr(".toml:1: port: no such section"));
  EXPECT_THAT(error_of(load_text("\n[nod]\n")), HasSubstr(".toml:2: nod: no such section"));
  EXPECT_THAT(error_of(load_text("client = 3\n")),
              HasSubstr(".toml:1: client: is a section: [client], with bind, port"));
  EXPECT_THAT(error_of(load_text("[[cluster.node]]\nport = 1\n")),
              HasSubstr(".toml:2: cluster.node.port: no such key"));
  EXPECT_THAT(error_of(load_set({"client.prot=1"})),
              HasSubstr("--set client.prot=1: client.prot: no such key"));
  EXPECT_THAT(error_of(load_set({"client=1"})), HasSubstr("section.key=value"));
}

TEST(Config, ErrorsOfSyntaxNameTheLine) {
  EXPECT_THAT(error_of(load_text("[client]\nport 1\n")), HasSubstr(".toml:2: "));
}

TEST(Config, AMissingFileIsAnErrorThatNamesIt) {
  auto config = Config::load("/nonexistent/even.toml", {});
  EXPECT_THAT(error_of(config), HasSubstr("/nonexistent/even.toml: "));
}

TEST(Config, TheNodeMustBeInItsCluster) {
  EXPECT_THAT(error_of(load_text(std::string(kThreeNodes), {"node.name=n4"})),
              HasSubstr("node.name: 'n4' is not in the cluster, whose nodes are n1, n2, n3"));
}

TEST(Config, AClusterNeedsAnIdAndAPeerPort) {
  EXPECT_THAT(error_of(load_text(std::string(kThreeNodes), {"cluster.id="})),
              HasSubstr("id is empty"));
  EXPECT_THAT(error_of(load_text(std::string(kThreeNodes), {"peer.port=0"})),
              HasSubstr("peer.port: 0 is not allowed in a cluster of 3 nodes"));
}

TEST(Config, TlsNeedsBothCertificateAndKey) {
  EXPECT_THAT(error_of(load_set({"tls.peer_cert=a.pem"})),
              HasSubstr("tls.peer_cert and tls.peer_key"));
  EXPECT_THAT(error_of(load_set({"tls.http_ca=a.pem"})), HasSubstr("tls.http_ca: needs"));
  EXPECT_THAT(error_of(load_set({"tls.kafka_cert=a.pem"})),
              HasSubstr("tls.kafka_cert and tls.kafka_key"));
  auto config = load_set({"tls.client_cert=a.pem", "tls.client_key=b.pem"});
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_TRUE(config->tls.client.enabled());
  EXPECT_FALSE(config->tls.peer.enabled());
}

TEST(Config, ErrorsOfTheClusterPointAtTheLineThatIsWrong) {
  std::string text(kThreeNodes);  // its first line is empty
  const auto with = [&](std::string_view old, std::string_view changed) {
    std::string copy = text;
    copy.replace(copy.find(old), old.size(), changed);
    return error_of(load_text(copy));
  };
  EXPECT_THAT(with("name = \"n1\"", "name = \"n2\""),
              HasSubstr(".toml:15: [cluster] node name 'n2' is used twice"));
  EXPECT_THAT(with("number = 3", "number = 1"),
              HasSubstr(".toml:23: [cluster] node 'n3' has number 1, which another node has"));
  EXPECT_THAT(with("id = \"c1\"", "id = \"\""), HasSubstr(".toml:7: [cluster] id is empty"));
  EXPECT_THAT(with("id = \"c1\"\n", ""), HasSubstr(".toml:6: [cluster] id is empty"));
  EXPECT_THAT(with("name = \"n2\"\n[peer]", "name = \"n4\"\n[peer]"),
              HasSubstr(".toml:3: node.name: 'n4' is not in the cluster"));
  EXPECT_THAT(with("port = 7102\n", ""), HasSubstr(".toml:4: peer.port: 0 is not allowed"));
  // What is missing is missing in its entry.
  EXPECT_THAT(with("number = 2\nhost = \"127.0.0.1\"\n", "number = 2\n"),
              HasSubstr(".toml:14: [cluster] node 'n2' has no host"));
  // The place of an override is its text.
  EXPECT_THAT(error_of(load_text(text, {"cluster.id="})),
              HasSubstr("--set cluster.id=: [cluster]"));
}

TEST(Config, TlsWithOnlyOneOfCertificateAndKeyIsAnErrorAtItsLine) {
  EXPECT_THAT(error_of(load_text("[tls]\nclient_key = \"\"\nclient_cert = \"a.pem\"\n")),
              HasSubstr(".toml:3: tls.client_cert and tls.client_key: both or neither"));
  EXPECT_THAT(error_of(load_text("[tls]\npeer_key = \"a.pem\"\n")),
              HasSubstr(".toml:2: tls.peer_cert and tls.peer_key: both or neither"));
  EXPECT_THAT(error_of(load_text("[tls]\n\nhttp_ca = \"a.pem\"\n")),
              HasSubstr(".toml:3: tls.http_ca: needs tls.http_cert and tls.http_key"));
}

TEST(Config, TheQueryBufferHoldsARequestOfThePermittedSize) {
  EXPECT_THAT(
      error_of(load_text("[client]\nquery_buffer_bytes = \"512MiB\"\n")),
      HasSubstr(".toml:2: client.query_buffer_bytes: 536870912 is too small to hold a request "
                "with an argument of client.max_request_bytes (536870912): set it to "
                "536936448 or more, or client.max_request_bytes to less"));
  EXPECT_THAT(error_of(load_set({"client.max_request_bytes=1GiB"})),
              HasSubstr("--set client.max_request_bytes=1GiB: client.query_buffer_bytes"));
  EXPECT_TRUE(load_set({"client.max_request_bytes=1GiB", "client.query_buffer_bytes=2GiB"}));
  EXPECT_TRUE(load_set({"client.max_request_bytes=1MiB", "client.query_buffer_bytes=2MiB"}));
}

TEST(Config, TheSlowLogTakesAllCommandsOrNone) {
  EXPECT_EQ(load_set({"slowlog.log_slower_than_us=-1"})->slow_log.log_slower_than_us, -1);
  EXPECT_EQ(load_set({"slowlog.log_slower_than_us=0"})->slow_log.log_slower_than_us, 0);
  EXPECT_THAT(error_of(load_set({"slowlog.log_slower_than_us=-2"})), HasSubstr("from -1 to"));
}

TEST(Config, KnowsWhereEachOptionWasGiven) {
  TempFile file("[client]\nport = 1\npassword = \"x\"\n");
  const std::vector<std::string> overrides = {"client.port=2"};
  auto config = Config::load(file.path(), overrides);
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_EQ(config->at({"client.port"}), "--set client.port=2: ");
  EXPECT_EQ(config->at({"client.bind", "client.password"}), file.path() + ":3: ");
  EXPECT_EQ(config->at({"client.bind"}), "");
}

TEST(Preflight, NoticesAddressesThatAreNone) {
  TempFile file(
      "[client]\nbind = \"127.0.0.1:6379\"\n[peer]\nbind = [\"::1\", \"no host\"]\nport = 7\n"
      "[http]\nbind = \"300.1.1.1\"\n");
  auto config = Config::load(file.path(), {});
  ASSERT_TRUE(config) << error_of(config);
  const Result<> checked = preflight(*config);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message,
              HasSubstr(file.path() + ":2: client.bind: '127.0.0.1:6379' is not an address"));
  EXPECT_THAT(checked.error().message,
              HasSubstr(file.path() + ":4: peer.bind: 'no host' is not an address"));
  EXPECT_THAT(checked.error().message, Not(HasSubstr("http.bind")));  // off: its port is 0
  EXPECT_TRUE(preflight(*load_set({})));
}

TEST(Preflight, NoticesTlsFilesThatCannotBeUsed) {
  TempFile file(
      "[tls]\nclient_cert = \"/nonexistent/c.pem\"\nclient_key = \"/nonexistent/k.pem\"\n" +
      std::string("peer_cert = \"/\"\npeer_key = \"/\"\n"));
  auto config = Config::load(file.path(), {});
  ASSERT_TRUE(config) << error_of(config);
  const Result<> checked = preflight(*config);
  ASSERT_FALSE(checked);
  const std::string& message = checked.error().message;
  EXPECT_THAT(message,
              HasSubstr(file.path() + ":2: tls.client_cert: cannot use /nonexistent/c.pem: "
                                      "No such file or directory"));
  EXPECT_THAT(message, HasSubstr(file.path() + ":4: tls.peer_cert: cannot use /: "));
  EXPECT_EQ(std::ranges::count(message, '\n'), 1) << message;
}

TEST(ParseSize, TakesNumbersWithAndWithoutUnits) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("123"), 123u);
  EXPECT_EQ(parse_size("123B"), 123u);
  EXPECT_EQ(parse_size("2KiB"), 2048u);
  EXPECT_EQ(parse_size("64 mib"), uint64_t{64} << 20);
  EXPECT_EQ(parse_size("1TiB"), uint64_t{1} << 40);
}

TEST(ParseSize, RefusesEverythingElse) {
  for (std::string_view text : {"", "MiB", "1MB", "1.5MiB", "-1", "1  MiB", "1MiB ",
                                "18446744073709551616", "99999999TiB"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace even
