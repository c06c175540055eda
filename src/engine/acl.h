// Users and what they may do: the rules of Redis 7's access control lists (ACL SETUSER), and the
// decision about a request. See docs/operations.md, "Users".
//
// A user is a plain value; those that a node serves by are const, and shared by its threads.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/command_entry.h"
#include "engine/scram.h"

namespace even {

inline constexpr std::string_view kDefaultUser = "default";

// Why a request is refused. Of several, the user is told of the one with the greatest value.
struct AclDenial {
  enum class Reason : std::uint8_t {
    kCommand = 1,
    kKey = 2,
    kAuth = 3,
    kChannel = 4,
    kPattern = 5
  };
  Reason reason = Reason::kCommand;
  std::string object;  // the command's name, the key, the channel, or SORT's option

  // What a client is told of a request of its own, a script of a call, and ACL DRYRUN.
  std::string reply() const;
  std::string reply_to_script() const;
  std::string reply_to_dry_run() const;
};

// What becomes of a rule about a command or a category of a name that this version does not have.
// It may be kept, without effect: what is left of rules is then the same text in all versions.
enum class UnknownNames : std::uint8_t { kRefused, kKept };

// One set of commands, keys and channels. A request is allowed by a user if one of the user's
// selectors allows all of it.
class AclSelector {
 public:
  // One rule, as "+get" or "~key*". The error says what is wrong with it.
  Result<> apply(std::string_view rule, UnknownNames unknown = UnknownNames::kRefused);
  // What a request is refused for; nothing: it is allowed.
  std::optional<AclDenial> check(const CommandEntry& entry, const Command& row, Args args) const;
  // Whether it allows the command, and reading any key.
  bool may_read_all(const CommandEntry& entry) const;
  bool may_all() const { return all_commands_ && commands_.all() && all_keys_ && all_channels_; }
  bool may_use_channel(std::string_view channel, bool is_pattern) const;

  // As ACL LIST and ACL GETUSER show them.
  std::string describe() const;
  std::string commands() const;
  std::string keys() const;
  std::string channels() const;

  bool operator==(const AclSelector&) const = default;

 private:
  static constexpr std::size_t kMostEntries = 1024;
  struct KeyPattern {
    std::string pattern;
    bool read = false;
    bool write = false;
    bool operator==(const KeyPattern&) const = default;
  };

  Result<> add_key_pattern(std::string_view rule);
  Result<> add_channel(std::string_view pattern);
  Result<> change_command(std::string_view name, bool allowed);
  void allow_first_word(std::string_view name);
  Result<> change_category(std::string_view category, bool allowed);
  void set_all_commands(bool allowed);
  void set(const CommandEntry& entry, bool allowed);
  void note_rule(bool allowed, std::string_view name);
  bool may_execute(const CommandEntry& entry, Args args) const;
  bool may_touch(std::string_view key, std::string_view flags) const;

  std::bitset<kMostEntries> commands_;  // by what entry_id() gives
  bool all_commands_ = false;           // also those that later versions will have
  std::map<std::size_t, std::vector<std::string>> first_words_;  // by command
  std::vector<std::string> command_rules_;  // behind +@all or -@all, in the order of their coming
  bool all_keys_ = false;
  std::vector<KeyPattern> keys_;
  bool all_channels_ = false;
  std::vector<std::string> channels_;
};

class AclUser {
 public:
  // As ACL SETUSER makes a new one: it is off and may do nothing.
  explicit AclUser(std::string name) : name_(std::move(name)), selectors_(1) {}
  // Who may do everything; an empty password: without one.
  static AclUser with_all_rights(std::string name, std::string_view password);
  // From what rights(), definition() or stored() has written.
  static Result<AclUser> parse(std::string_view name, std::string_view definition,
                               UnknownNames unknown = UnknownNames::kRefused);

  // One rule; one that begins with "(" is all of a selector. Beside those of ACL SETUSER there are
  // scram_rule() and kCreatedRule, which no client may give: is_inner_rule().
  Result<> apply(std::string_view rule, UnknownNames unknown = UnknownNames::kRefused);

  const std::string& name() const { return name_; }
  bool enabled() const { return enabled_; }
  // The version of the cluster's table that has brought it; 0: that is not known. Two users of one
  // name and different ones are not the same.
  std::uint64_t created() const { return created_; }
  // Whether rules have it created now (kCreatedRule): then that is to be settled.
  bool is_new() const { return created_ == kNow; }
  void set_created(std::uint64_t version) { created_ = version; }
  bool needs_no_password() const { return no_password_; }
  const std::vector<std::string>& password_hashes() const { return passwords_; }
  bool password_matches(std::string_view password) const;
  // Of those passwords that were given as such, not as hashes; in the order of their coming.
  const std::vector<scram::Credentials>& scram_credentials() const { return scram_; }
  // Those that `before` has, of passwords that this has as well.
  void keep_scram_of(const AclUser& before);
  std::span<const AclSelector> selectors() const { return selectors_; }  // the first is the root
  // "on", "nopass" and so on.
  std::vector<std::string_view> flags() const;
  // Its rules in the form of ACL LIST, with hashes of passwords or without.
  std::string definition() const { return describe(Secrets::kHashes); }
  std::string rights() const { return describe(Secrets::kNone); }
  // What is kept of it: never shown.
  std::string stored() const { return describe(Secrets::kAll); }

  // Whether nothing at all is refused, so that nothing has to be checked.
  bool may_all() const { return may_all_; }
  // What a request is refused for; nothing: it is allowed. Its arity has been checked.
  std::optional<AclDenial> check(Args args) const;
  bool may_use_channel(std::string_view channel, bool is_pattern) const;

  bool operator==(const AclUser&) const = default;

 private:
  enum class Secrets : std::uint8_t { kNone, kHashes, kAll };
  std::string describe(Secrets secrets) const;
  Result<> apply_to_user(std::string_view rule, bool& known);
  Result<> add_selector(std::string_view rules, UnknownNames unknown);
  void reset();

  static constexpr std::uint64_t kNow = std::uint64_t(-1);

  std::string name_;
  std::uint64_t created_ = 0;
  bool enabled_ = false;
  bool no_password_ = false;
  enum class Sanitize : std::uint8_t { kUnsaid, kYes, kNo };
  Sanitize sanitize_ = Sanitize::kUnsaid;  // taken note of: payloads are always checked
  std::vector<std::string> passwords_;     // SHA-256, hexadecimal, in the order of their coming
  std::vector<scram::Credentials> scram_;  // each of one of these
  std::vector<AclSelector> selectors_;
  bool may_all_ = false;
};
using AclUserPointer = std::shared_ptr<const AclUser>;

// The words of ACL SETUSER or of a line of an ACL file, those of a selector made one. The error is
// as Redis words it.
Result<std::vector<std::string>> merge_selectors(Args words);

// The users of a cluster, but for `default` where nobody has changed it.
class AclUsers {
 public:
  AclUsers() = default;
  // Definitions by name. Of those that cannot be read, `unreadable` has the names; they are users
  // that may do nothing.
  explicit AclUsers(std::span<const std::pair<std::string, std::string>> definitions);
  // Those of a node that does not know who there is, for this reason: nobody may log in.
  static AclUsers unknown(std::string why) {
    AclUsers users;
    users.why_unknown_ = std::move(why);
    return users;
  }
  // Empty: they are known.
  const std::string& why_unknown() const { return why_unknown_; }

  AclUserPointer find(std::string_view name) const;
  const std::map<std::string, AclUserPointer, std::less<>>& all() const { return users_; }
  const std::vector<std::string>& unreadable() const { return unreadable_; }

 private:
  std::map<std::string, AclUserPointer, std::less<>> users_;
  std::vector<std::string> unreadable_;
  std::string why_unknown_;
};

bool valid_user_name(std::string_view name);
// 64 hexadecimal digits in lower case.
std::string password_hash(std::string_view password);
// Rules of passwords with their hashes in place of the passwords: what may be kept.
std::string without_password(std::string_view rule);
// The rule that goes behind one of a password that is given as such (">password"), by which the
// user can log in with SCRAM as well. All passwords of a user share its salt, since a client is
// told that before it is known which of them it has. Error: there are no random numbers.
Result<std::string> scram_rule(const AclUser& user, std::string_view password);
// Among the rules of a user, or of what is kept of it: it is created by the change that has it,
// unless there is one of its name already.
inline constexpr std::string_view kCreatedRule = "^";
// Whether it is one of those that no client may give.
bool is_inner_rule(std::string_view rule);
// Commands, without a "@", of a category; nothing: there is none of this name.
std::optional<std::vector<std::string>> commands_of_category(std::string_view category);

// --- A script that a user runs whose commands have to be checked, wherever it is executed:
//
//   even.as rights eval script numkeys [key...] [arg...]
//
// `rights`: the name, a space, and AclUser::rights(). Not in the command table: clients do not name
// it.

inline constexpr std::string_view kAsUserName = "even.as";
inline constexpr std::size_t kAsUserWords = 2;  // before those of the script's command
extern const Command kAsUserCommand;
extern const Command kAsUserReadOnlyCommand;
// Null if it is not that, or not one of a script.
const Command* find_as_user_command(Args words);
// The row for a script's command.
const Command& as_user_row(const Command& command);
inline bool is_as_user(const Command& command) {
  return &command == &kAsUserCommand || &command == &kAsUserReadOnlyCommand;
}
// The words without those two; other commands' as they are.
inline Args words_of_script(const Command& command, Args args) {
  return is_as_user(command) ? args.subspan(kAsUserWords) : args;
}
std::string rights_of(const AclUser& user);
// The user that it names; error: it is none.
Result<AclUser> user_of_rights(std::string_view rights);

}  // namespace even
