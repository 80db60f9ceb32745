// What a guard leaves of a link to be promised: the part of it that can be known without the link.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rtchan::link {

// htb: the root class runs at this share of the link, so that the queue forms here and not in the NIC or a
// switch.
inline constexpr std::uint32_t htb_root_percent = 97;

[[nodiscard]] constexpr std::uint64_t htb_root_rate(std::uint64_t bits_per_second,
                                                    std::uint32_t root_percent) noexcept {
  return bits_per_second / 100 * root_percent;
}
// Others are never starved altogether.
[[nodiscard]] constexpr std::uint64_t htb_other_rate(std::uint64_t root_rate) noexcept {
  return std::max<std::uint64_t>(root_rate / 100, 8'000);
}
// All in bits a second. share: what other programs may send.
[[nodiscard]] constexpr std::uint64_t left_by_htb(std::uint64_t link,
                                                  std::uint32_t root_percent = htb_root_percent) noexcept {
  return htb_root_rate(link, root_percent) - htb_other_rate(htb_root_rate(link, root_percent));
}
[[nodiscard]] constexpr std::uint64_t left_by_share(std::uint64_t link, std::uint64_t share) noexcept {
  return link - std::min(link, share);
}

}  // namespace rtchan::link
