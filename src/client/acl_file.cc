#include "client/acl_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/acl.h"

namespace even {
namespace {

Result<std::pair<std::string, std::string>> parse_line(std::string_view line) {
  const std::vector<std::string_view> words = split_words(line);
  if (words.size() < 2 || words[0] != "user") {
    return fail("should start with user keyword followed by the username");
  }
  const Result<std::vector<std::string>> rules = merge_selectors(Args(words).subspan(2));
  if (!rules) return std::unexpected(rules.error());
  AclUser user{std::string(words[1])};
  for (const std::string& rule : *rules) {
    Result<> applied = is_inner_rule(rule) ? fail("Syntax error") : user.apply(rule);
    if (!applied) {
      return fail(fmt::format("{}", applied.error().message));
    }
  }
  return std::pair(user.name(), user.definition());
}

class File {
 public:
  explicit File(const std::string& name)
      : fd_(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool write(std::string_view text) const {
    while (fd_ >= 0 && !text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno != EINTR) return false;
      text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    return fd_ >= 0 && ::fsync(fd_) == 0;
  }

 private:
  const int fd_;
};

void sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Result<cluster::Definitions> parse_acl_file(std::string_view name, std::string_view text) {
  cluster::Definitions users;
  std::string errors;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (line.empty() || line.starts_with('#')) continue;
    auto user = parse_line(line);
    const bool known =
        user && std::ranges::find(users, user->first,
                                  &std::pair<std::string, std::string>::first) != users.end();
    if (known) user = fail("there is a user of this name already");
    if (user) {
      users.push_back(std::move(*user));
    } else {
      errors += fmt::format("{}:{}: {}. ", name, number, user.error().message);
    }
  }
  if (errors.empty()) return users;
  return fail(errors +
              "WARNING: ACL errors detected, no change to the previously active ACL rules "
              "was performed");
}

Result<std::string> read_acl_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    return fail(
        fmt::format("Error loading ACLs, opening file '{}': {}", name, std::strerror(errno)));
  }
  return text;
}

Result<> write_acl_file(const std::string& name, std::string_view text) {
  const std::string unfinished = fmt::format("{}.{}.tmp", name, ::getpid());
  const bool written = File(unfinished).write(text);
  if (!written || std::rename(unfinished.c_str(), name.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    ::unlink(unfinished.c_str());
    return fail(fmt::format("the ACL file '{}' cannot be written: {}", name, why));
  }
  sync_directory(std::filesystem::path(name).parent_path());
  return {};
}

}  // namespace even
