#include "probe/files.hpp"

#include <algorithm>

namespace rtchan::probe {

std::vector<std::string> Files::list(const std::string& folder) const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at{root_ / folder, error}, end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace rtchan::probe
