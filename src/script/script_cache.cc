#include "script/script_cache.h"

#include <openssl/sha.h>

#include <utility>

#include "engine/text.h"

namespace even {

std::string sha1_hex(std::string_view bytes) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * sizeof digest);
  for (const unsigned char byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

void Script::note_execution(bool left) const {
  if (left) {
    leaves.store(true, std::memory_order_relaxed);
  } else if (executions_within.load(std::memory_order_relaxed) < kTrusted) {
    executions_within.fetch_add(1, std::memory_order_relaxed);
  }
}

ScriptCache::ScriptCache(ShardId shards)
    : shards_(shards), executions_(std::make_unique<Execution[]>(shards)) {}

ScriptPointer ScriptCache::find(std::string_view sha) const {
  std::string lower(sha);
  for (char& c : lower) c = to_lower(c);
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(lower);
  return found == known_.end() ? nullptr : found->second.script;
}

void ScriptCache::add(const ScriptPointer& script, bool kept) {
  const std::lock_guard lock(mutex_);
  Known& known = known_[script->sha];
  const bool fresh = known.script == nullptr;
  if (fresh) {
    known.script = script;
    bytes_ += script->text.size();
    if (!kept) passing_.push_back(script->sha);
  }
  known.kept = known.kept || kept;
  while (passing_.size() > kMostPassing) {
    const auto oldest = known_.find(passing_.front());
    passing_.pop_front();
    if (oldest == known_.end() || oldest->second.kept) continue;
    bytes_ -= oldest->second.script->text.size();
    known_.erase(oldest);
  }
}

void ScriptCache::flush() {
  const std::lock_guard lock(mutex_);
  known_.clear();
  passing_.clear();
  bytes_ = 0;
  generation_.fetch_add(1, std::memory_order_relaxed);
}

std::size_t ScriptCache::size() const {
  const std::lock_guard lock(mutex_);
  return known_.size();
}
std::size_t ScriptCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::string ScriptCache::kill() {
  bool any = false;
  bool wrote = false;
  bool strong = false;
  for (ShardId shard = 0; shard < shards_; ++shard) {
    Execution& execution = executions_[shard];
    const std::int64_t began = execution.began_us.load();
    if (began == 0) continue;
    any = true;
    if (execution.strong) {
      strong = true;
    } else if (execution.wrote) {
      wrote = true;
    } else {
      execution.kill_begun.store(began);
    }
  }
  if (wrote) {
    return "UNKILLABLE Sorry the script already executed write commands against the dataset. You "
           "can either wait the script termination or kill the server in a hard way using the "
           "SHUTDOWN NOSAVE command.";
  }
  if (strong) {
    return "UNKILLABLE a script in a strong keyspace is executed by all replicas and ends by its "
           "budget";
  }
  return any ? "OK" : "NOTBUSY No scripts in execution right now.";
}

}  // namespace even
