#include "node/restore.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "cluster/cluster_map.h"
#include "env/posix_disk.h"
#include "node/reshard.h"
#include "store/rocks_database.h"

namespace even {
namespace {

namespace fs = std::filesystem;

Result<Identity> new_identity(const RestoreRequest& request, const BackupEntry& backup) {
  Result<Identity> identity = decode_identity(backup.label.note);
  if (!identity) {
    return fail(fmt::format("backup {} in {} does not say whose data it holds: {}", backup.id,
                            request.backups, identity.error().message));
  }
  if (identity->format != kDataFormat) {
    return fail(fmt::format("backup {} in {} has data of format {}, this version of Even reads {}",
                            backup.id, request.backups, identity->format, kDataFormat));
  }
  identity->line = 0;  // what made the backup may have gone on
  identity->run = 0;
  if (request.cluster) identity->cluster = *request.cluster;
  if (request.node) identity->node = *request.node;
  if (request.number) identity->number = *request.number;
  if (identity->cluster.find_first_of("\r\n") != std::string::npos) {
    return fail("a cluster's id is one line");
  }
  if (!cluster::valid_node_name(identity->node)) {
    return fail(fmt::format("'{}' is no name for a node: it has {}", identity->node,
                            cluster::kNodeNameRule));
  }
  return identity;
}

Result<> check_empty(const std::string& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (!fs::exists(status)) return {};
  if (!fs::is_directory(status)) return fail(directory + " is not a directory");
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name == "lost+found") continue;
    return fail(
        fmt::format("{} is not empty: '{}' is in it. Data are restored into an empty directory or "
                    "one that does not exist",
                    directory, name));
  }
  if (error) return fail(fmt::format("cannot read {}: {}", directory, error.message()));
  return {};
}

Result<> mark(Disk& disk) {
  auto file = disk.open_append(std::string(kRestoreMark), 0);
  if (!file) return std::unexpected(file.error());
  Result<> marked = (*file)->sync_now();
  if (marked) marked = disk.sync_directory();
  return marked;
}

Result<> fill(const RestoreRequest& request, const Restored& restored, Disk& disk,
              const CopyProgress& progress) {
  const std::string directory = request.data + "/store";
  if (const auto copied = restore_backup(request.backups, restored.backup, directory, progress);
      !copied) {
    return copied;
  }
  {
    const auto store = RocksDatabase::open(directory);
    if (!store) return std::unexpected(store.error());
    if (const auto forgotten = forget_positions(**store); !forgotten) return forgotten;
  }
  if (const auto written = write_identity(disk, restored.identity); !written) return written;
  if (const auto unmarked = disk.remove(std::string(kRestoreMark)); !unmarked) return unmarked;
  return disk.sync_directory();
}

// Leaves what was there before: nothing.
void clear(const std::string& directory) {
  std::error_code ignored;
  for (const char* name : {"store", "identity", "identity.new", "LOCK", kRestoreMark.data()}) {
    fs::remove_all(fs::path(directory) / name, ignored);
  }
}

}  // namespace

Result<Restored> restore_data(const RestoreRequest& request, const CopyProgress& progress) {
  auto backup = find_backup(request.backups, request.id);
  if (!backup) return std::unexpected(backup.error());
  auto identity = new_identity(request, *backup);
  if (!identity) return std::unexpected(identity.error());
  Restored restored{std::move(*backup), std::move(*identity)};
  if (const auto empty = check_empty(request.data); !empty) return std::unexpected(empty.error());

  const auto lock = lock_directory(request.data);
  if (!lock) return std::unexpected(lock.error());
  auto disk = PosixDisk::open(request.data, [](const PosixDisk::Task&) {});
  if (!disk) return std::unexpected(disk.error());
  Result<> done = mark(**disk);
  if (done) done = fill(request, restored, **disk, progress);
  if (!done) {
    clear(request.data);
    return std::unexpected(done.error());
  }
  return restored;
}

}  // namespace even
