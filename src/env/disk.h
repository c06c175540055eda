// The file system as the core sees it: append-only files, whole-file reads, directory operations.
// Calls block, except those that are given a function to call when they have been done, later: a
// shard goes on serving while the disk works (group commit). One Disk is rooted at a data
// directory; names are plain file names in it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace even {

class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // Appends at the end. On error (disk full, I/O error) the end stays where it was, and a prefix of
  // `bytes` may lie behind it.
  virtual Result<> append(std::string_view bytes) = 0;
  // The same of many bytes without waiting for it: calls `done` on the thread that owns the file,
  // but not once the file has been destroyed. At most one is under way at a time, and until then
  // nothing else is called but syncs, which need not cover it, and finish_append().
  virtual void append(std::shared_ptr<const std::string> bytes,
                      std::function<void(Result<>)> done) = 0;
  // Waits for the one that is under way and returns its outcome; `done` is not called any more.
  virtual Result<> finish_append() = 0;
  // Cuts the file to `size` bytes, which is its end from then on: undoes a failed append, and gives
  // back what was reserved or filled behind it.
  virtual Result<> truncate(std::uint64_t size) = 0;
  // Makes sure that the file can grow to `size` bytes without running out of room; its size does
  // not change. A hint: file systems that cannot say succeed.
  virtual Result<> reserve(std::uint64_t size) = 0;
  // Fills the file with zeroes behind its end, until it has `size` bytes. The end does not move:
  // what is appended later takes the place of the zeroes and changes neither the file's size nor
  // its blocks, so that a sync writes the bytes alone. A hint: when it fails, the file grows as it
  // would have.
  virtual void zero_ahead(std::uint64_t size) = 0;
  // Makes everything appended before the call durable, then calls `done` on the thread that owns
  // the file. `done` is not called once the file has been destroyed. At most one sync is under way
  // at a time. After an error nothing is known of the bytes that were not durable before, now and
  // for good: a later sync that succeeds says nothing about them.
  virtual void sync(std::function<void(Result<>)> done) = 0;
  // The same, blocking. For start, stop, the change of segments, and where the disk is quick.
  virtual Result<> sync_now() = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  // Names of the files in the directory, sorted.
  virtual Result<std::vector<std::string>> list() = 0;
  // Creates or opens for appending at `size` (the file is cut to it; pass 0 for a new file).
  virtual Result<std::unique_ptr<AppendFile>> open_append(const std::string& name,
                                                          std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size(const std::string& name) = 0;
  // Reads up to `length` bytes at `offset`; fewer at the end of the file.
  virtual Result<std::string> read(const std::string& name, std::uint64_t offset,
                                   std::uint64_t length) = 0;
  // Atomically replaces `to`. Durable only after sync_directory.
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<> remove(const std::string& name) = 0;
  virtual Result<> sync_directory() = 0;
  // The same without waiting for it. `done` is called on the thread that owns the disk, but not
  // once that has been destroyed.
  virtual void sync_directory(std::function<void(Result<>)> done) = 0;
};

}  // namespace even
