// Where the state of a shard's partitions rests, so that the log need not be kept from its
// beginning nor all of the state in memory: rows, sorted by their bytes. See docs/storage.md for
// what the rows are, and when they are written.
//
// All calls on the thread of one shard. Rows of one store are shared by the shards of a node; no
// two shards write the same.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/row_batch.h"

namespace even {

class RowStore {
 public:
  // Calls that are under way when it is destroyed are waited for; their outcome is not delivered.
  virtual ~RowStore() = default;

  // Reads a row; nothing when it is not there. Blocks. Errors name the file and say that it is
  // damaged or cannot be read.
  virtual Result<std::optional<std::string>> get(std::string_view row) = 0;
  // Calls visit(row, value) for the rows from `first` on and before `end`, ascending, while it
  // returns true. Sees the store as it was at the call. Blocks.
  virtual Result<> scan(std::string_view first, std::string_view end,
                        const std::function<bool(std::string_view, std::string_view)>& visit) = 0;
  // Reads rows without blocking: done(values), in the order of `rows`, is called later on the
  // shard's thread. Sees the store as it is at some moment in between.
  using Fetched = Result<std::vector<std::optional<std::string>>>;
  virtual void fetch(std::vector<std::string> rows, std::function<void(Fetched)> done) = 0;
  // The same of the rows from `first` on and before `end`, ascending: as many as have `max_bytes`,
  // but one if there is any. What is read so is not kept in memory.
  struct Row {
    std::string name;
    std::string value;
  };
  using FetchedRange = Result<std::vector<Row>>;
  virtual void fetch_range(std::string first, std::string end, std::size_t max_bytes,
                           std::function<void(FetchedRange)> done) = 0;

  // A pass: changes that are taken in all together or not at all, whatever happens. write() any
  // number of times, the rows of puts and removals ascending over all of them and each row changed
  // at most once, then commit(): once done(success) has been called, on the shard's thread, the
  // changes are durable and readers see them. After done(error) nothing has changed; but until a
  // later pass of any shard has succeeded, a restart may find the changes taken in all the same,
  // all together. One pass at a time.
  virtual void write(RowBatch changes) = 0;
  virtual void commit(std::function<void(Result<>)> done) = 0;
  // Sees to it, some time, that rows from `first` on and before `end` take no more room than what
  // has been put last. Other calls do not wait for it.
  virtual void merge(std::string first, std::string end) = 0;
  // Forgets what write() was given.
  virtual void abandon() = 0;
  // Bytes that write() was given and that are still in memory.
  virtual std::size_t backlog() const = 0;
};

}  // namespace even
