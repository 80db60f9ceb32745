// Many paths that end at once, as when an application with all of its channels dies: what each costs does not grow with their number.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "rtcop/testing/line.hpp"

namespace rtchan::rtcop {
namespace {

using testing::Line;
using testing::ms;
using std::chrono::seconds;

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// CPU seconds that the source's node takes for the end of one of `many`.
double cost_of_an_end(int many) {
  Line line{2};
  std::vector<PathId> paths;
  for (int i = 0; i < many; ++i) {
    paths.push_back(line.open(0, 1, seconds{30}));
    if (i % 32 == 31) line.run(ms(2));
  }
  line.run(seconds{1});
  EXPECT_EQ(line.engine(0).paths(), static_cast<std::size_t>(many));
  const double before = thread_seconds();
  for (const PathId& path : paths) line.close(0, path);
  const double cost = (thread_seconds() - before) / many;
  line.run(seconds{10});
  EXPECT_TRUE(line.clean());
  return cost;
}

// CPU seconds for one more of `many` set-ups that wait for a neighbour who does not answer.
double cost_of_waiting(int many) {
  Line line{2};
  line.cables[0].cut[0] = true;
  const double before = thread_seconds();
  for (int i = 0; i < many; ++i) (void)line.open(0, 1, seconds{30});
  const double cost = (thread_seconds() - before) / many;
  line.run(seconds{60});
  EXPECT_TRUE(line.clean());
  return cost;
}

TEST(Crowd, a_set_up_costs_the_same_however_many_wait_with_it) {
  double few = 1, many = 1;
  for (int i = 0; i < 3; ++i) {
    few = std::min(few, cost_of_waiting(1'000));
    many = std::min(many, cost_of_waiting(16'000));
  }
  EXPECT_LT(many, 4 * few);
}

TEST(Crowd, the_end_of_a_path_costs_the_same_however_many_end_with_it) {
  double few = 1, many = 1;
  for (int i = 0; i < 3; ++i) {  // the fastest of three: others use this machine, too
    few = std::min(few, cost_of_an_end(1'000));
    many = std::min(many, cost_of_an_end(16'000));
  }
  EXPECT_LT(many, 4 * few);
  RecordProperty("nanoseconds", std::to_string(many * 1e9));
}

}  // namespace
}  // namespace rtchan::rtcop
