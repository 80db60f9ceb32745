// Reads one table of a TOML file, key by key, and remembers what was read: whatever is left over is an unknown key.
// Errors go to a list that all tables of a file share.
#pragma once

#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace rtchan::rtcd {

// "file:line:column: what is wrong" of a text that is no TOML.
[[nodiscard]] std::string explained(const toml::parse_error& error, std::string_view text, std::string_view file);

class ConfigTable {
 public:
  // `path` is how errors call the table: "daemon", "link[1]".
  ConfigTable(const toml::table& table, std::string path, std::string_view file, std::vector<std::string>& errors)
      : table_(table), path_(std::move(path)), file_(file), errors_(errors) {}

  // Each takes a key that may be absent (the target keeps its value); false: absent or wrong.
  bool text(std::string_view key, std::string& out);
  bool integer(std::string_view key, std::int64_t least, std::int64_t most, std::int64_t& out);
  template <class T>
  bool number(std::string_view key, std::int64_t least, std::int64_t most, T& out) {
    std::int64_t value = 0;
    if (!integer(key, least, most, value)) return false;
    out = static_cast<T>(value);
    return true;
  }
  bool duration(std::string_view key, Duration least, Duration most, Duration& out);
  bool bytes(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t& out);
  bool bit_rate(std::string_view key, std::uint64_t least, std::uint64_t most, std::uint64_t& out);
  // "90%", or a number 0 ... 1.
  bool share(std::string_view key, std::uint32_t least_ppm, std::uint32_t most_ppm, std::uint32_t& out_ppm);
  // One of the words; writes its index.
  bool word(std::string_view key, std::span<const std::string_view> words, std::size_t& out);

  // A list of `count` texts.
  bool texts(std::string_view key, std::size_t count, std::vector<std::string>& out);
  // A table inside this one; none: absent, or (reported) something else.
  std::optional<ConfigTable> table(std::string_view key);
  // The tables [[key]] inside this one, in order.
  std::vector<ConfigTable> tables(std::string_view key);

  // The key must be there.
  void require(std::string_view key);
  void fail(std::string_view key, std::string_view what);
  [[nodiscard]] int line(std::string_view key) const;
  [[nodiscard]] int line() const;
  // Reports keys that nobody asked for, and the keys that exist instead.
  void finish();

 private:
  const toml::node* find(std::string_view key);
  const std::string* quoted(std::string_view key, std::string_view example, std::string& keep);

  const toml::table& table_;
  std::string path_;
  std::string_view file_;
  std::vector<std::string>& errors_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace rtchan::rtcd
