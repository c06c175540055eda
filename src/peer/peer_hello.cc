#include "peer/peer_hello.h"

#include <fmt/format.h>

#include <msgpack.hpp>
#include <tuple>

namespace even {
namespace {

// Reads element after element of an array, remembering whether all of them were what they should
// be.
class ArrayReader {
 public:
  explicit ArrayReader(const msgpack::object_array& array) : array_(array) {}

  template <typename T>
  ArrayReader& read(T& value) {
    if (next_ >= array_.size) {
      good_ = false;
      return *this;
    }
    const msgpack::object& element = array_.ptr[next_++];
    if constexpr (std::is_same_v<T, std::string>) {
      good_ = good_ && element.type == msgpack::type::STR;
      if (good_) value.assign(element.via.str.ptr, element.via.str.size);
    } else {
      good_ = good_ && element.type == msgpack::type::POSITIVE_INTEGER &&
              element.via.u64 <= std::numeric_limits<T>::max();
      if (good_) value = static_cast<T>(element.via.u64);
    }
    return *this;
  }
  bool good() const { return good_; }

 private:
  const msgpack::object_array& array_;
  std::uint32_t next_ = 0;
  bool good_ = true;
};

// Unpacks one array that takes all of `bytes`, and calls read(array).
template <typename Read>
auto with_array(std::string_view bytes, std::string_view what, Read read)
    -> decltype(read(std::declval<const msgpack::object_array&>())) {
  try {
    std::size_t offset = 0;
    const msgpack::object_handle handle =
        msgpack::unpack(bytes.data(), bytes.size(), offset, nullptr, nullptr,
                        msgpack::unpack_limit(16, 0, 4096, 4096, 0, 2));
    if (offset != bytes.size() || handle->type != msgpack::type::ARRAY) {
      return fail(fmt::format("not a {}: not one array", what));
    }
    return read(handle->via.array);
  } catch (const std::exception&) {
    return fail(fmt::format("not a {}: not MessagePack, or too long", what));
  }
}

}  // namespace

std::string encode_hello(const Hello& hello) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, std::tuple(std::string(kPeerMagic), hello.protocol, hello.cluster_id,
                                   hello.node_name, hello.node, hello.partitions, hello.map_version,
                                   hello.shard, hello.shards, hello.replica.value, hello.layout));
  return std::string(buffer.data(), buffer.size());
}

Result<Hello> decode_hello(std::string_view bytes) {
  return with_array(bytes, "hello", [](const msgpack::object_array& array) -> Result<Hello> {
    Hello hello;
    std::string magic;
    ArrayReader reader(array);
    if (!reader.read(magic).good() || magic != kPeerMagic) {
      return fail("not a hello: the other side is not a node of Even");
    }
    if (!reader.read(hello.protocol).good()) return fail("a hello without a protocol version");
    if (hello.protocol != kPeerProtocol) return hello;
    reader.read(hello.cluster_id)
        .read(hello.node_name)
        .read(hello.node)
        .read(hello.partitions)
        .read(hello.map_version)
        .read(hello.shard)
        .read(hello.shards)
        .read(hello.replica.value)
        .read(hello.layout);
    if (!reader.good() || array.size != 11) {
      return fail(fmt::format("a malformed hello of protocol version {}", hello.protocol));
    }
    return hello;
  });
}

std::string encode_welcome() {
  return std::string(
      1, static_cast<char>(kInflatesRecords | kGrowsTopics | kLooksUpFirst | kKnowsQuotas |
                           kMarksUsers | kClosesGroups | kMeansKeyspaces));
}

// More than a byte is of later versions.
std::uint8_t decode_welcome(std::string_view bytes) {
  return bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes.front());
}

std::string encode_refusal(std::string_view reason) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, std::tuple(std::string(reason.substr(0, 1000))));
  return std::string(buffer.data(), buffer.size());
}

Result<std::string> decode_refusal(std::string_view bytes) {
  return with_array(bytes, "refusal",
                    [](const msgpack::object_array& array) -> Result<std::string> {
                      std::string reason;
                      if (!ArrayReader(array).read(reason).good())
                        return fail("a malformed refusal");
                      // It goes into a log line: one line, printable.
                      for (char& c : reason) {
                        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
                      }
                      return reason;
                    });
}

Result<> check_hello(const Hello& theirs, const Hello& mine, const cluster::ClusterMap& map) {
  if (theirs.protocol != mine.protocol) {
    return fail(
        fmt::format("this node speaks version {} of the peer protocol, the other version "
                    "{}: run the same version of Even on both",
                    mine.protocol, theirs.protocol));
  }
  if (theirs.cluster_id != mine.cluster_id) {
    return fail(
        fmt::format("this node is of cluster '{}', the other of '{}': check cluster.id and "
                    "the addresses of the nodes",
                    mine.cluster_id, theirs.cluster_id));
  }
  if (theirs.partitions != mine.partitions) {
    return fail(
        fmt::format("this node has {} partitions, the other {}: cluster.partitions must be "
                    "the same on all nodes",
                    mine.partitions, theirs.partitions));
  }
  if (theirs.node == mine.node) {
    return fail(
        fmt::format("the other node '{}' has number {}, which is this node's own ('{}'): "
                    "numbers must differ",
                    theirs.node_name, theirs.node, mine.node_name));
  }
  const cluster::Node* known = map.find(theirs.node);
  if (known == nullptr || known->name != theirs.node_name) {
    return fail(
        fmt::format("node '{}' with number {} is not in this node's cluster map: check the "
                    "[[cluster.node]] entries of '{}'",
                    theirs.node_name, theirs.node, mine.node_name));
  }
  if (theirs.layout != mine.layout) {
    return fail(
        fmt::format("the cluster map of node '{}' differs: cluster.replicas and the names and "
                    "numbers of all nodes must be the same on all nodes",
                    theirs.node_name));
  }
  if (theirs.shards != mine.shards) {
    return fail(
        fmt::format("this node has {} shards, the other {}: node.shards must be the same on "
                    "all nodes in this version",
                    mine.shards, theirs.shards));
  }
  if (theirs.shard != mine.shard) {
    return fail(fmt::format("a link of shard {} arrived at shard {}", theirs.shard, mine.shard));
  }
  if (theirs.replica.node() != theirs.node || theirs.replica.value == mine.replica.value) {
    return fail(fmt::format("the replica id {} cannot be one of node {}",
                            theirs.replica.to_string(), theirs.node));
  }
  return {};
}

}  // namespace even
