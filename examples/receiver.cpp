#include <rtchan/channel.hpp>
#include <cstdio>

int main() try {
  auto session = rtchan::Session::open().value();
  auto listener = session.listen(7000).value();
  auto channel = listener.accept().value();
  while (auto message = channel.receive_loan())
    std::printf("%.*s\n", int(message->bytes().size()), reinterpret_cast<const char*>(message->bytes().data()));
} catch (const std::bad_expected_access<rtchan::Error>& failed) {
  return std::puts(failed.error().text.c_str()), 1;
}
