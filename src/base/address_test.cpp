#include "base/address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace rtchan {
namespace {

TEST(IpAddress, ReadsAndWritesBothFamilies) {
  for (const char* text : {"10.0.0.1", "255.255.255.255", "0.0.0.0", "fe80::1", "::", "2001:db8::7", "::1"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
  EXPECT_TRUE(IpAddress::parse("10.0.0.1")->is_v4());
  EXPECT_FALSE(IpAddress::parse("fe80::1")->is_v4());
}

TEST(IpAddress, HasOneFormForIpv4) {
  EXPECT_EQ(IpAddress::parse("::ffff:10.0.0.1"), IpAddress::parse("10.0.0.1"));
  EXPECT_NE(IpAddress::parse("::10.0.0.1"), IpAddress::parse("10.0.0.1"));
}

TEST(IpAddress, KnowsTheUnspecifiedOfBothFamilies) {
  EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_unspecified());
  EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
  EXPECT_FALSE(IpAddress::parse("0.0.0.1")->is_unspecified());
  EXPECT_FALSE(IpAddress::parse("::1")->is_unspecified());
}

TEST(IpAddress, RefusesWhatIsNotANumericAddress) {
  using namespace std::string_view_literals;
  for (const auto text :
       {""sv, "host"sv, "10.0.0"sv, "10.0.0.256"sv, "10.0.0.1 "sv, "fe80::1%eth0"sv, "1:2"sv, "10.0.0.1\0x"sv,
        "00000000000000000000000000000000000000000000000000000001"sv}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(Endpoint, ReadsAndWritesBothFamilies) {
  for (const char* text : {"10.0.0.1:80", "[fe80::1]:65535", "[::]:0"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->text(), text);
  }
}

TEST(Endpoint, RefusesAmbiguousAndBrokenForms) {
  for (const char* text :
       {"10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:8x", "10.0.0.1: 8", "fe80::1:80",
        "[fe80::1]80", "[fe80::1:80", "[10.0.0.1]:80", ":80", "[]:80", "[:80"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(Endpoint, SurvivesTheSystemsForm) {
  for (const char* text : {"10.1.2.3:4567", "[2001:db8::7]:89"}) {
    const auto endpoint = Endpoint::parse(text);
    socklen_t length = 0;
    const sockaddr_storage storage = endpoint->to_sockaddr(length);
    EXPECT_EQ(length, endpoint->address.is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    EXPECT_EQ(Endpoint::from_sockaddr(storage), endpoint);
  }
  socklen_t length = 0;
  const sockaddr_storage storage = Endpoint::parse("10.1.2.3:4567")->to_sockaddr(length);
  EXPECT_EQ(reinterpret_cast<const sockaddr_in&>(storage).sin_port, htons(4567));
  EXPECT_EQ(reinterpret_cast<const sockaddr_in&>(storage).sin_addr.s_addr, htonl(0x0a010203));
}

TEST(Endpoint, RefusesOtherFamilies) {
  sockaddr_storage unix_socket{};
  unix_socket.ss_family = AF_UNIX;
  EXPECT_FALSE(Endpoint::from_sockaddr(unix_socket));
}

}  // namespace
}  // namespace rtchan
