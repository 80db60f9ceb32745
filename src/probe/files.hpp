// The kernel's answers in /proc and /sys. A test puts a folder in their place.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace rtchan::probe {

class Files {
 public:
  explicit Files(std::filesystem::path root = "/") : root_(std::move(root)) {}

  // Without the blanks at its end; nullopt: there is none, or it cannot be read.
  [[nodiscard]] std::optional<std::string> read(const std::string& path) const {
    std::ifstream in{root_ / path};
    if (!in) return std::nullopt;
    std::string text{std::istreambuf_iterator<char>{in}, {}};
    if (in.bad()) return std::nullopt;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
  }
  // Nullopt also where the file holds no integer.
  [[nodiscard]] std::optional<std::int64_t> number(const std::string& path) const {
    const auto text = read(path);
    if (!text) return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    return error == std::errc{} && end == text->data() + text->size() ? std::optional{value} : std::nullopt;
  }
  // Names in a folder, sorted.
  [[nodiscard]] std::vector<std::string> list(const std::string& folder) const;

 private:
  std::filesystem::path root_;
};

}  // namespace rtchan::probe
