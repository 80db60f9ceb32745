// main() of test programs that need a lab: link rtchan_lab_main and write ordinary GoogleTest cases. Where
// network namespaces cannot be made, every case is reported as skipped, with the reason, instead of failed.
#include <gtest/gtest.h>
#include <signal.h>

#include "lab/privileges.hpp"

namespace {

class NoLab : public testing::Environment {
 public:
  explicit NoLab(std::string reason) : reason_(std::move(reason)) {}
  void SetUp() override { GTEST_SKIP() << reason_; }

 private:
  std::string reason_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  signal(SIGPIPE, SIG_IGN);
  if (!testing::GTEST_FLAG(list_tests)) {
    if (auto ready = rtchan::lab::become_privileged(); !ready) {
      testing::AddGlobalTestEnvironment(new NoLab{ready.error().text});
    }
  }
  return RUN_ALL_TESTS();
}
