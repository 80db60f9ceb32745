#include <rtchan/channel.hpp>
#include <cstdio>
using namespace std::chrono_literals;

int main(int, char** argv) try {
  auto session = rtchan::Session::open().value();
  auto channel = session.connect(argv[1], {.max_rate = 500, .max_message_bytes = 64, .max_delay = 5ms}).value();
  for (int i = 0; i < 5'000; ++i) channel.send("position " + std::to_string(i)).value();  // rtcd keeps the pace
} catch (const std::bad_expected_access<rtchan::Error>& failed) {
  return std::puts(failed.error().text.c_str()), 1;
}
