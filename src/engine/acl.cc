#include "engine/acl.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "engine/glob.h"
#include "engine/text.h"

namespace even {
namespace {

constexpr std::string_view kSyntax = "Syntax error";
constexpr std::string_view kUnknownName = "Unknown command or category name in ACL";
constexpr std::size_t kHashDigits = 64;
// No rule of Redis begins so.
constexpr char kScramRule = '$';
constexpr char kCreatedMark = kCreatedRule[0];

bool has_spaces(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return c == ' ' || c == '\0' || (c >= '\t' && c <= '\r'); });
}

std::string in_lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

// Commands and subcommands are numbered, for bits. No number outlives the process.
class EntryIds {
 public:
  EntryIds() {
    for (const Command* command : all_commands()) {
      ids_.emplace(command, ids_.size());
      for (const Subcommand& subcommand : command->subcommands) {
        ids_.emplace(&subcommand, ids_.size());
      }
    }
  }
  std::size_t of(const CommandEntry& entry) const {
    const void* key =
        entry.subcommand != nullptr ? static_cast<const void*>(entry.subcommand) : &entry.command;
    const auto found = ids_.find(key);
    EVEN_CHECK(found != ids_.end(), "a command of the table");
    return found->second;
  }
  std::size_t size() const { return ids_.size(); }

 private:
  absl::flat_hash_map<const void*, std::size_t> ids_;
};

const EntryIds& entry_ids() {
  static const EntryIds ids;
  return ids;
}

// Calls visit(entry) for each command and subcommand.
template <typename Visit>
void for_each_entry(Visit visit) {
  for (const Command* command : all_commands()) {
    visit(CommandEntry{*command});
    for (const Subcommand& subcommand : command->subcommands) {
      visit(CommandEntry{*command, &subcommand});
    }
  }
}

bool is_of_category(const CommandEntry& entry, std::string_view category) {
  const std::vector<std::string_view> all = entry.categories();
  return std::ranges::find(all, category) != all.end();
}

// "@read", as it is in the list of categories; empty: there is none such.
std::string_view known_category(std::string_view name) {
  for (const std::string_view category : kCategories) {
    if (equals_ignore_case(name, category.substr(1))) return category;
  }
  return {};
}

struct ChannelWords {
  Args words;
  bool patterns = false;
};

ChannelWords channels_of(const Command& command, Args args) {
  const std::string_view name = command.name;
  if (args.size() < 2) return {};
  if (name == "publish" || name == "spublish") return {args.subspan(1, 1)};
  if (name == "subscribe" || name == "ssubscribe") return {args.subspan(1)};
  if (name == "psubscribe") return {args.subspan(1), true};
  return {};
}

// The option of SORT that reaches keys which are not among its words; empty: there is none.
std::string_view reaching_option(const Command& command, Args args) {
  if (command.name != "sort" && command.name != "sort_ro") return {};
  for (std::size_t i = 2; i < args.size(); ++i) {
    const bool more = i + 1 < args.size();
    if (equals_ignore_case(args[i], "limit")) {
      i += 2;
    } else if (equals_ignore_case(args[i], "by") && more) {
      if (args[++i].find('*') != std::string_view::npos) return "BY";
    } else if (equals_ignore_case(args[i], "get") && more) {
      return "GET";
    } else if (equals_ignore_case(args[i], "store")) {
      ++i;
    }
  }
  return {};
}

}  // namespace

// --- Denials

std::string AclDenial::reply() const {
  switch (reason) {
    case Reason::kKey:
      return "NOPERM this user has no permissions to access one of the keys used as arguments";
    case Reason::kChannel:
      return "NOPERM this user has no permissions to access one of the channels used as arguments";
    case Reason::kPattern:
      return fmt::format("ERR {} option of SORT denied due to insufficient ACL permissions.",
                         object);
    default:
      return fmt::format("NOPERM this user has no permissions to run the '{}' command", object);
  }
}

std::string AclDenial::reply_to_script() const {
  switch (reason) {
    case Reason::kKey:
      return "ERR The user executing the script can't access at least one of the keys mentioned in "
             "the command arguments";
    case Reason::kChannel:
      return "ERR The user executing the script can't publish to the channel mentioned in the "
             "command";
    case Reason::kPattern:
      return reply();
    default:
      return "ERR The user executing the script can't run this command or subcommand";
  }
}

std::string AclDenial::reply_to_dry_run() const {
  switch (reason) {
    case Reason::kKey:
      return fmt::format("This user has no permissions to access the '{}' key", quotable(object));
    case Reason::kChannel:
      return fmt::format("This user has no permissions to access the '{}' channel",
                         quotable(object));
    case Reason::kPattern:
      return fmt::format("This user has no permissions to access all keys, which {} may", object);
    default:
      return fmt::format("This user has no permissions to run the '{}' command", object);
  }
}

// --- Rules of a selector

Result<> AclSelector::apply(std::string_view rule, UnknownNames unknown) {
  const auto is = [rule](std::string_view name) { return equals_ignore_case(rule, name); };
  if (is("allkeys") || rule == "~*") {
    all_keys_ = true;
    keys_.clear();
  } else if (is("resetkeys")) {
    all_keys_ = false;
    keys_.clear();
  } else if (is("allchannels") || rule == "&*") {
    all_channels_ = true;
    channels_.clear();
  } else if (is("resetchannels")) {
    all_channels_ = false;
    channels_.clear();
  } else if (is("allcommands") || is("+@all")) {
    set_all_commands(true);
  } else if (is("nocommands") || is("-@all")) {
    set_all_commands(false);
  } else if (rule.starts_with('~') || rule.starts_with('%')) {
    return add_key_pattern(rule);
  } else if (rule.starts_with('&')) {
    return add_channel(rule.substr(1));
  } else if (rule.starts_with('+') || rule.starts_with('-')) {
    const bool allowed = rule[0] == '+';
    Result<> changed = rule.substr(1).starts_with('@') ? change_category(rule.substr(2), allowed)
                                                       : change_command(rule.substr(1), allowed);
    if (changed || unknown == UnknownNames::kRefused) return changed;
    note_rule(allowed, in_lower_case(rule.substr(1)));
  } else {
    return fail(std::string(kSyntax));
  }
  return {};
}

Result<> AclSelector::add_key_pattern(std::string_view rule) {
  if (all_keys_) {
    return fail(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not "
        "have any effect. Try 'resetkeys' to start with an empty list of patterns");
  }
  KeyPattern pattern{.read = rule[0] == '~', .write = rule[0] == '~'};
  std::size_t begin = 1;
  if (rule[0] == '%') {
    for (; begin < rule.size() && rule[begin] != '~'; ++begin) {
      bool& right = to_lower(rule[begin]) == 'r' ? pattern.read : pattern.write;
      if ((to_lower(rule[begin]) != 'r' && to_lower(rule[begin]) != 'w') || right) {
        return fail(std::string(kSyntax));
      }
      right = true;
    }
    if (!pattern.read && !pattern.write) return fail(std::string(kSyntax));
    begin = std::min(begin + 1, rule.size());
  }
  pattern.pattern = rule.substr(begin);
  if (has_spaces(pattern.pattern)) return fail(std::string(kSyntax));
  const auto same = std::ranges::find(keys_, pattern.pattern, &KeyPattern::pattern);
  if (same == keys_.end()) {
    keys_.push_back(std::move(pattern));
  } else {
    same->read = same->read || pattern.read;
    same->write = same->write || pattern.write;
  }
  return {};
}

Result<> AclSelector::add_channel(std::string_view pattern) {
  if (all_channels_) {
    return fail(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does "
        "not have any effect. Try 'resetchannels' to start with an empty list of channels");
  }
  if (has_spaces(pattern)) return fail(std::string(kSyntax));
  if (std::ranges::find(channels_, pattern) == channels_.end()) channels_.emplace_back(pattern);
  return {};
}

void AclSelector::set_all_commands(bool allowed) {
  EVEN_CHECK(entry_ids().size() <= kMostEntries, "there is a bit for each command");
  allowed ? commands_.set() : commands_.reset();
  all_commands_ = allowed;
  first_words_.clear();
  command_rules_.clear();
}

// With what it contains, as in Redis.
void AclSelector::set(const CommandEntry& entry, bool allowed) {
  const std::size_t id = entry_ids().of(entry);
  commands_[id] = allowed;
  first_words_.erase(id);
  if (entry.subcommand != nullptr) return;
  for (const Subcommand& subcommand : entry.command.subcommands) {
    commands_[entry_ids().of({entry.command, &subcommand})] = allowed;
  }
}

// Takes the place of rules about the same, which have no effect any more.
void AclSelector::note_rule(bool allowed, std::string_view name) {
  std::erase_if(command_rules_, [name](std::string_view rule) {
    rule.remove_prefix(1);
    return rule.starts_with(name) && (rule.size() == name.size() || rule[name.size()] == '|');
  });
  command_rules_.push_back((allowed ? "+" : "-") + std::string(name));
}

Result<> AclSelector::change_command(std::string_view name, bool allowed) {
  const std::size_t bar = name.rfind('|');
  const bool whole = bar == std::string_view::npos;
  const std::optional<CommandEntry> container =
      whole ? std::nullopt : find_command_entry(name.substr(0, bar));
  if (allowed && !whole) {
    if (!container) return fail(std::string(kUnknownName));
    if (container->subcommand != nullptr) {
      return fail("Allowing first-arg of a subcommand is not supported");
    }
    if (bar + 1 == name.size()) return fail(std::string(kSyntax));
    if (container->command.subcommands.empty()) {
      allow_first_word(name);
      return {};
    }
  }
  const std::optional<CommandEntry> entry = find_command_entry(name);
  if (!entry) return fail(std::string(kUnknownName));
  set(*entry, allowed);
  note_rule(allowed, entry->name());
  return {};
}

// "+select|0": of a command without subcommands, requests whose first word behind it is this one.
void AclSelector::allow_first_word(std::string_view name) {
  const std::size_t bar = name.rfind('|');
  const Command& command = *find_command(name.substr(0, bar));
  std::vector<std::string>& words = first_words_[entry_ids().of({command})];
  const std::string word = in_lower_case(name.substr(bar + 1));
  if (std::ranges::find(words, word) == words.end()) words.push_back(word);
  note_rule(true, fmt::format("{}|{}", command.name, word));
}

Result<> AclSelector::change_category(std::string_view name, bool allowed) {
  const std::string_view category = known_category(name);
  if (category.empty()) return fail(std::string(kUnknownName));
  for_each_entry([&](const CommandEntry& entry) {
    if (is_of_category(entry, category)) set(entry, allowed);
  });
  note_rule(allowed, category);
  return {};
}

// --- Decisions

bool AclSelector::may_execute(const CommandEntry& entry, Args args) const {
  // Whoever is anybody may say who else.
  if ((entry.flags() & kNoAuth) != 0) return true;
  const std::size_t id = entry_ids().of(entry);
  if (commands_[id]) return true;
  const auto words = first_words_.find(id);
  return words != first_words_.end() && args.size() > 1 &&
         std::ranges::any_of(words->second, [&](std::string_view word) {
           return equals_ignore_case(args[1], word);
         });
}

bool AclSelector::may_touch(std::string_view key, std::string_view flags) const {
  if (all_keys_) return true;
  bool reads = false, writes = false;
  for (const std::string_view flag : split_words(flags)) {
    reads = reads || flag == "access";
    writes = writes || flag == "insert" || flag == "delete" || flag == "update";
  }
  return std::ranges::any_of(keys_, [&](const KeyPattern& pattern) {
    return (!reads || pattern.read) && (!writes || pattern.write) &&
           glob_match(pattern.pattern, key);
  });
}

bool AclSelector::may_use_channel(std::string_view channel, bool is_pattern) const {
  if (all_channels_) return true;
  return std::ranges::any_of(channels_, [&](std::string_view pattern) {
    return is_pattern ? pattern == channel : glob_match(pattern, channel);
  });
}

bool AclSelector::may_read_all(const CommandEntry& entry) const {
  if (!may_execute(entry, {})) return false;
  return all_keys_ || std::ranges::any_of(keys_, [](const KeyPattern& pattern) {
           return pattern.read && pattern.pattern == "*";
         });
}

std::optional<AclDenial> AclSelector::check(const CommandEntry& entry, const Command& row,
                                            Args args) const {
  using Reason = AclDenial::Reason;
  if (!may_execute(entry, args)) return AclDenial{Reason::kCommand, entry.name()};
  if (!all_keys_ && row.docs.key_spec != "not_key") {
    std::optional<AclDenial> denial;
    std::size_t i = 0;
    for_each_key(row, args, [&](std::string_view key) {
      const std::string_view flags = flags_of_key(row, args, i++);
      if (!denial && !may_touch(key, flags)) denial = AclDenial{Reason::kKey, std::string(key)};
    });
    if (denial) return denial;
  }
  if (!all_channels_) {
    const ChannelWords channels = channels_of(entry.command, args);
    for (const std::string_view channel : channels.words) {
      if (!may_use_channel(channel, channels.patterns)) {
        return AclDenial{Reason::kChannel, std::string(channel)};
      }
    }
  }
  return std::nullopt;
}

std::optional<AclDenial> AclUser::check(Args args) const {
  if (may_all_) return std::nullopt;
  const std::optional<CommandEntry> entry = entry_of_request(args);
  if (!entry) return AclDenial{AclDenial::Reason::kCommand, std::string(args[0])};
  const Command& row = *find_command(args);
  // Of several reasons the user is told of the greatest, and of the word that comes last.
  const auto weight = [args](const AclDenial& denial) {
    return std::pair(denial.reason, std::ranges::find(args, denial.object) - args.begin());
  };
  std::optional<AclDenial> worst;
  for (const AclSelector& selector : selectors_) {
    std::optional<AclDenial> denial = selector.check(*entry, row, args);
    if (!denial) {
      worst.reset();
      break;
    }
    if (!worst || weight(*denial) > weight(*worst)) worst = std::move(denial);
  }
  if (worst) return worst;
  const std::string_view option = reaching_option(entry->command, args);
  const auto reads_all = [&](const AclSelector& selector) { return selector.may_read_all(*entry); };
  if (option.empty() || std::ranges::any_of(selectors_, reads_all)) return std::nullopt;
  return AclDenial{AclDenial::Reason::kPattern, std::string(option)};
}

bool AclUser::may_use_channel(std::string_view channel, bool is_pattern) const {
  return std::ranges::any_of(selectors_, [&](const AclSelector& selector) {
    return selector.may_use_channel(channel, is_pattern);
  });
}

bool AclUser::password_matches(std::string_view password) const {
  const std::string hash = password_hash(password);
  bool matches = false;
  for (const std::string& known : passwords_) {
    matches |= CRYPTO_memcmp(known.data(), hash.data(), kHashDigits) == 0;
  }
  return matches;
}

void AclUser::keep_scram_of(const AclUser& before) {
  for (const scram::Credentials& each : before.scram_) {
    const auto same = [&each](const scram::Credentials& other) {
      return other.password_hash == each.password_hash;
    };
    const bool has_password = std::ranges::find(passwords_, each.password_hash) != passwords_.end();
    if (has_password && std::ranges::none_of(scram_, same)) scram_.push_back(each);
  }
}

// --- As text

std::string AclSelector::commands() const {
  std::string out = all_commands_ ? "+@all" : "-@all";
  for (const std::string& rule : command_rules_) out.append(" ").append(rule);
  return out;
}

std::string AclSelector::keys() const {
  if (all_keys_) return "~*";
  std::string out;
  for (const KeyPattern& pattern : keys_) {
    if (!out.empty()) out += ' ';
    out += pattern.read && pattern.write ? "~" : pattern.read ? "%R~" : "%W~";
    out += pattern.pattern;
  }
  return out;
}

std::string AclSelector::channels() const {
  if (all_channels_) return "&*";
  std::string out;
  for (const std::string& channel : channels_) {
    if (!out.empty()) out += ' ';
    out.append("&").append(channel);
  }
  return out;
}

std::string AclSelector::describe() const {
  std::string out = keys();
  if (!out.empty()) out += ' ';
  if (!all_channels_) out += "resetchannels ";
  out += channels();
  if (!out.empty() && !out.ends_with(' ')) out += ' ';
  return out + commands();
}

std::vector<std::string_view> AclUser::flags() const {
  std::vector<std::string_view> out = {enabled_ ? "on" : "off"};
  if (no_password_) out.push_back("nopass");
  if (sanitize_ == Sanitize::kNo) out.push_back("skip-sanitize-payload");
  if (sanitize_ == Sanitize::kYes) out.push_back("sanitize-payload");
  return out;
}

std::string AclUser::describe(Secrets secrets) const {
  std::string out = fmt::format("{}", fmt::join(flags(), " "));
  for (const std::string& hash : passwords_) {
    if (secrets != Secrets::kNone) out.append(" #").append(hash);
  }
  for (const scram::Credentials& each : scram_) {
    if (secrets == Secrets::kAll) out.append(" ").append(1, kScramRule).append(each.encode());
  }
  if (secrets == Secrets::kAll && created_ != 0) {
    out.append(" ").append(kCreatedRule);
    if (!is_new()) out += fmt::format("{}", created_);
  }
  for (std::size_t i = 0; i < selectors_.size(); ++i) {
    const std::string selector = selectors_[i].describe();
    out += i == 0 ? " " + selector : fmt::format(" ({})", selector);
  }
  return out;
}

// --- Users

AclUser AclUser::with_all_rights(std::string name, std::string_view password) {
  AclUser user(std::move(name));
  for (const std::string_view rule : {"on", "~*", "&*", "+@all", "nopass"}) {
    EVEN_CHECK(user.apply(rule).has_value(), rule);
  }
  if (!password.empty()) {
    EVEN_CHECK(user.apply(">" + std::string(password)).has_value(), "any password is one");
  }
  return user;
}

Result<AclUser> AclUser::parse(std::string_view name, std::string_view definition,
                               UnknownNames unknown) {
  AclUser user{std::string(name)};
  const std::vector<std::string_view> words = split_words(definition);
  const Result<std::vector<std::string>> rules = merge_selectors(words);
  if (!rules) return std::unexpected(rules.error());
  for (const std::string& rule : *rules) {
    if (Result<> applied = user.apply(rule, unknown); !applied) {
      return fail(fmt::format("'{}': {}", without_password(rule), applied.error().message));
    }
  }
  return user;
}

Result<> AclUser::apply(std::string_view rule, UnknownNames unknown) {
  if (rule.empty()) return {};
  Result<> applied;
  bool known = true;
  if (rule.starts_with('(')) {
    applied = rule.ends_with(')') ? add_selector(rule.substr(1, rule.size() - 2), unknown)
                                  : fail(std::string(kSyntax));
  } else {
    applied = apply_to_user(rule, known);
    if (!known) applied = selectors_[0].apply(rule, unknown);
  }
  may_all_ = std::ranges::any_of(selectors_, &AclSelector::may_all);
  return applied;
}

Result<> AclUser::apply_to_user(std::string_view rule, bool& known) {
  const auto is = [rule](std::string_view name) { return equals_ignore_case(rule, name); };
  const char first = rule[0];
  if (is("on") || is("off")) {
    enabled_ = is("on");
  } else if (is("nopass")) {
    no_password_ = true;
    passwords_.clear();
    scram_.clear();
  } else if (is("resetpass")) {
    no_password_ = false;
    passwords_.clear();
    scram_.clear();
  } else if (first == kCreatedMark) {
    created_ = kNow;
    const char* end = rule.data() + rule.size();
    if (rule.size() > 1 && std::from_chars(rule.data() + 1, end, created_).ptr != end) {
      return fail(std::string(kSyntax));
    }
  } else if (first == kScramRule) {
    auto credentials = scram::Credentials::decode(rule.substr(1));
    if (!credentials ||
        std::ranges::find(passwords_, credentials->password_hash) == passwords_.end()) {
      return fail(std::string(kSyntax));
    }
    std::erase_if(scram_, [&](const scram::Credentials& each) {
      return each.password_hash == credentials->password_hash;
    });
    scram_.push_back(std::move(*credentials));
  } else if (is("sanitize-payload") || is("skip-sanitize-payload")) {
    sanitize_ = is("sanitize-payload") ? Sanitize::kYes : Sanitize::kNo;
  } else if (is("clearselectors")) {
    selectors_.resize(1);
  } else if (is("reset")) {
    reset();
  } else if (first == '>' || first == '#' || first == '<' || first == '!') {
    const bool hashed = first == '#' || first == '!';
    const std::string hash = hashed ? std::string(rule.substr(1)) : password_hash(rule.substr(1));
    const bool good = hash.size() == kHashDigits && std::ranges::all_of(hash, [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                      });
    if (!good) {
      return fail(
          "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
          "characters");
    }
    const auto there = std::ranges::find(passwords_, hash);
    if (first == '>' || first == '#') {
      if (there == passwords_.end()) passwords_.push_back(hash);
      no_password_ = false;
    } else if (there == passwords_.end()) {
      return fail("The password you are trying to remove from the user does not exist");
    } else {
      passwords_.erase(there);
      std::erase_if(scram_,
                    [&hash](const scram::Credentials& each) { return each.password_hash == hash; });
    }
  } else {
    known = false;
  }
  return {};
}

Result<> AclUser::add_selector(std::string_view rules, UnknownNames unknown) {
  AclSelector selector;
  for (const std::string_view rule : split_words(rules)) {
    if (Result<> applied = selector.apply(rule, unknown); !applied) return applied;
  }
  selectors_.push_back(std::move(selector));
  return {};
}

void AclUser::reset() {
  AclUser fresh(std::move(name_));
  fresh.sanitize_ = Sanitize::kYes;
  fresh.created_ = created_;
  *this = std::move(fresh);
}

Result<std::vector<std::string>> merge_selectors(Args words) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string rule(words[i]);
    if (const std::string_view first = words[i]; rule.starts_with('(')) {
      while (!rule.ends_with(')')) {
        if (++i == words.size()) {
          return fail(
              fmt::format("Unmatched parenthesis in acl selector starting at '{}'.", first));
        }
        rule.append(" ").append(words[i]);
      }
    }
    out.push_back(std::move(rule));
  }
  return out;
}

AclUsers::AclUsers(std::span<const std::pair<std::string, std::string>> definitions) {
  for (const auto& [name, definition] : definitions) {
    Result<AclUser> user = AclUser::parse(name, definition);
    if (!user) {
      unreadable_.push_back(name);
      user = AclUser(name);
    }
    users_.emplace(name, std::make_shared<const AclUser>(std::move(*user)));
  }
}

AclUserPointer AclUsers::find(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

bool valid_user_name(std::string_view name) { return !has_spaces(name); }

std::string password_hash(std::string_view password) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(password.data()), password.size(), digest);
  std::string out;
  for (const unsigned char byte : digest) out += fmt::format("{:02x}", byte);
  return out;
}

std::string without_password(std::string_view rule) {
  if (rule.starts_with('>')) return "#" + password_hash(rule.substr(1));
  if (rule.starts_with('<')) return "!" + password_hash(rule.substr(1));
  return std::string(rule);
}

Result<std::string> scram_rule(const AclUser& user, std::string_view password) {
  std::string salt;
  if (!user.scram_credentials().empty()) {
    salt = user.scram_credentials().back().salt;
  } else if (auto drawn = scram::draw_bytes(scram::kSaltBytes)) {
    salt = std::move(*drawn);
  } else {
    return std::unexpected(drawn.error());
  }
  return kScramRule + scram::derive_credentials(password_hash(password), password, salt).encode();
}

bool is_inner_rule(std::string_view rule) {
  return rule.starts_with(kScramRule) || rule.starts_with(kCreatedMark);
}

std::optional<std::vector<std::string>> commands_of_category(std::string_view name) {
  const std::string_view category = known_category(name);
  if (category.empty()) return std::nullopt;
  std::vector<std::string> out;
  for_each_entry([&](const CommandEntry& entry) {
    if (is_of_category(entry, category)) out.push_back(entry.name());
  });
  return out;
}

// --- Scripts of users

namespace {

constexpr Command kAsUserRow = {.name = kAsUserName,
                                .group = "scripting",
                                .arity = -5,
                                .flags = kNoScript | kMovableKeys,
                                .keys = {.count = 4},
                                .script = true,
                                .docs = {}};
constexpr Command read_only(Command row) {
  row.flags |= kReadonly;
  return row;
}

}  // namespace

const Command kAsUserCommand = kAsUserRow;
const Command kAsUserReadOnlyCommand = read_only(kAsUserRow);

const Command* find_as_user_command(Args words) {
  if (words.size() <= kAsUserWords || words[0] != kAsUserName) return nullptr;
  const Command* command = find_command(words.subspan(kAsUserWords));
  return command == nullptr || !command->script ? nullptr : &as_user_row(*command);
}

const Command& as_user_row(const Command& command) {
  return (command.flags & kReadonly) != 0 ? kAsUserReadOnlyCommand : kAsUserCommand;
}

std::string rights_of(const AclUser& user) {
  return fmt::format("{} {}", user.name(), user.rights());
}

Result<AclUser> user_of_rights(std::string_view rights) {
  const std::size_t space = rights.find(' ');
  if (space == std::string_view::npos) return fail("rights without a user");
  return AclUser::parse(rights.substr(0, space), rights.substr(space + 1));
}

}  // namespace even
