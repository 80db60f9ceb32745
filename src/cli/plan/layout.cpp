#include "cli/plan/layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <numbers>

namespace rtchan::cli {

namespace {

using Links = std::vector<std::pair<std::size_t, std::size_t>>;
using Distances = std::vector<std::vector<double>>;

constexpr std::size_t few_hosts = 80;  // up to here several beginnings are tried
constexpr int beginnings = 24;
constexpr int most_rounds = 300;

// Links between each two; where there is no way, one more than the longest.
Distances distances(std::size_t hosts, const Links& links) {
  std::vector<std::vector<std::size_t>> beside(hosts);
  for (const auto& [a, b] : links) {
    beside[a].push_back(b);
    beside[b].push_back(a);
  }
  Distances d(hosts, std::vector<double>(hosts, -1));
  double longest = 1;
  for (std::size_t from = 0; from < hosts; ++from) {
    d[from][from] = 0;
    std::deque<std::size_t> edge{from};
    while (!edge.empty()) {
      const std::size_t at = edge.front();
      edge.pop_front();
      for (const std::size_t next : beside[at]) {
        if (d[from][next] >= 0) continue;
        longest = std::max(longest, d[from][next] = d[from][at] + 1);
        edge.push_back(next);
      }
    }
  }
  for (auto& row : d) {
    for (double& x : row) x = x < 0 ? longest + 1 : x;
  }
  return d;
}

// A deterministic scatter.
std::vector<Point> scattered(std::size_t hosts, std::uint64_t seed) {
  std::vector<Point> at(hosts);
  const double radius = std::sqrt(static_cast<double>(hosts));
  std::uint64_t x = seed * 0x9e3779b97f4a7c15ULL + 1;
  const auto next = [&] {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return static_cast<double>(x >> 11) / 9007199254740992.0;
  };
  for (std::size_t i = 0; i < hosts; ++i) {
    const double angle =
        2 * std::numbers::pi * (seed == 0 ? static_cast<double>(i) / static_cast<double>(hosts) : next());
    const double far = radius * (seed == 0 ? 1 : 0.3 + next());
    at[i] = {far * std::cos(angle), far * std::sin(angle)};
  }
  return at;
}

// Each in turn moves to where the others, weighted by 1/d^2, would have it. Returns the stress that is left.
double relax(std::vector<Point>& at, const Distances& d) {
  const std::size_t n = at.size();
  double moved = 1;
  for (int round = 0; round < most_rounds && moved > 1e-4; ++round) {
    moved = 0;
    for (std::size_t i = 0; i < n; ++i) {
      Point sum;
      double weights = 0;
      for (std::size_t j = 0; j < n; ++j) {
        if (i == j) continue;
        const double dx = at[i].x - at[j].x, dy = at[i].y - at[j].y;
        const double apart = std::max(std::hypot(dx, dy), 1e-9), w = 1 / (d[i][j] * d[i][j]);
        sum.x += w * (at[j].x + d[i][j] * dx / apart);
        sum.y += w * (at[j].y + d[i][j] * dy / apart);
        weights += w;
      }
      if (weights == 0) continue;
      const Point to{sum.x / weights, sum.y / weights};
      moved = std::max(moved, std::hypot(to.x - at[i].x, to.y - at[i].y));
      at[i] = to;
    }
  }
  double stress = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double error = std::hypot(at[i].x - at[j].x, at[i].y - at[j].y) - d[i][j];
      stress += error * error / (d[i][j] * d[i][j]);
    }
  }
  return stress;
}

double side_of(Point a, Point b, Point p) {
  return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

double from_segment(Point a, Point b, Point p) {
  const double dx = b.x - a.x, dy = b.y - a.y, length = std::max(dx * dx + dy * dy, 1e-12);
  const double t = std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length, 0.0, 1.0);
  return std::hypot(a.x + t * dx - p.x, a.y + t * dy - p.y);
}

// Links that cross, and hosts that a link passes too closely, are what makes a picture hard to read.
double clutter(const std::vector<Point>& at, const Links& links) {
  double sum = 0;
  for (std::size_t i = 0; i < links.size(); ++i) {
    const auto [a, b] = links[i];
    for (std::size_t j = 0; j < i; ++j) {
      const auto [c, e] = links[j];
      if (a == c || a == e || b == c || b == e) continue;
      const bool across = side_of(at[a], at[b], at[c]) * side_of(at[a], at[b], at[e]) < 0 &&
                          side_of(at[c], at[e], at[a]) * side_of(at[c], at[e], at[b]) < 0;
      sum += across ? 2 : 0;
    }
    for (std::size_t h = 0; h < at.size(); ++h) {
      if (h != a && h != b && from_segment(at[a], at[b], at[h]) < 0.3) sum += 3;
    }
  }
  return sum;
}

// The longest way lies level.
void turn_level(std::vector<Point>& at) {
  Point middle;
  for (const Point& p : at) {
    middle.x += p.x / static_cast<double>(at.size());
    middle.y += p.y / static_cast<double>(at.size());
  }
  double xx = 0, xy = 0, yy = 0;
  for (const Point& p : at) {
    xx += (p.x - middle.x) * (p.x - middle.x);
    xy += (p.x - middle.x) * (p.y - middle.y);
    yy += (p.y - middle.y) * (p.y - middle.y);
  }
  const double angle = std::atan2(2 * xy, xx - yy) / 2;
  const double c = std::cos(angle), s = std::sin(angle);
  for (Point& p : at) {
    const double x = p.x - middle.x, y = p.y - middle.y;
    p = {c * x + s * y, c * y - s * x};
  }
  if (!at.empty() && at.front().x > 0) {  // the first host of the file on the left
    for (Point& p : at) p.x = -p.x;
  }
}

// A host with many others that lead nowhere else: these fan out evenly, away from the rest of the network.
void fan_out(std::vector<Point>& at, const Links& links) {
  constexpr std::size_t many = 4;
  std::vector<std::vector<std::size_t>> beside(at.size());
  for (const auto& [a, b] : links) {
    beside[a].push_back(b);
    beside[b].push_back(a);
  }
  for (std::size_t hub = 0; hub < at.size(); ++hub) {
    std::vector<std::size_t> leaves;
    Point rest;
    for (const std::size_t other : beside[hub]) {
      if (beside[other].size() == 1) {
        leaves.push_back(other);
      } else {
        rest = {rest.x + at[other].x - at[hub].x, rest.y + at[other].y - at[hub].y};
      }
    }
    if (leaves.size() < many) continue;
    const bool alone = leaves.size() == beside[hub].size();
    const double turns = static_cast<double>(leaves.size());
    const double sector =
        alone ? 2 * std::numbers::pi * (turns - 1) / turns : std::min(0.72 * std::numbers::pi, turns * 0.5);
    const double outward = alone ? 0 : std::atan2(-rest.y, -rest.x);
    const double far = std::max(0.9, turns * 0.3 / std::max(sector, 1.0));
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const double angle = outward + sector * (static_cast<double>(i) / (turns - 1) - 0.5);
      at[leaves[i]] = {at[hub].x + far * std::cos(angle), at[hub].y + far * std::sin(angle)};
    }
  }
}

}  // namespace

std::vector<Point> lay_out(std::size_t hosts, const Links& links) {
  const Distances d = distances(hosts, links);
  std::vector<Point> best;
  double least = std::numeric_limits<double>::max();
  const int tries = hosts <= few_hosts ? beginnings : 1;
  for (int seed = 0; seed < tries; ++seed) {
    std::vector<Point> at = scattered(hosts, static_cast<std::uint64_t>(seed));
    const double stress = relax(at, d);
    const double cost = (hosts <= few_hosts ? clutter(at, links) : 0) +
                        stress / static_cast<double>(std::max<std::size_t>(hosts, 1));
    if (cost < least - 1e-6) {
      least = cost;
      best = std::move(at);
    }
  }
  turn_level(best);
  fan_out(best, links);
  Point least_corner{std::numeric_limits<double>::max(), std::numeric_limits<double>::max()};
  for (const Point& p : best) least_corner = {std::min(least_corner.x, p.x), std::min(least_corner.y, p.y)};
  for (Point& p : best) p = {p.x - least_corner.x, p.y - least_corner.y};
  return best;
}

}  // namespace rtchan::cli
