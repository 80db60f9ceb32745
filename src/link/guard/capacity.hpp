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

// htb: the largest piece that others may hand over at once, unless it is configured; `frame_bytes`:
// link-layer bytes.
[[nodiscard]] constexpr std::uint32_t htb_piece_bytes(std::uint64_t root_rate,
                                                      std::uint32_t frame_bytes) noexcept {
  const auto in_250_us = static_cast<std::uint32_t>(std::min<std::uint64_t>(root_rate / 8 / 4'000, 65'536));
  return std::max(in_250_us, 2 * frame_bytes);
}
// What of others can stand ahead of us: a full token bucket goes out at wire speed, and its last token may
// start one more piece. Link-layer bytes.
[[nodiscard]] constexpr std::uint64_t before_us_with_htb(std::uint32_t piece_bytes,
                                                         std::uint32_t frame_bytes) noexcept {
  return 2 * std::uint64_t{piece_bytes} + frame_bytes;
}

}  // namespace rtchan::link
