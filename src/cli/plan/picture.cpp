#include "cli/plan/picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>

#include "base/text.hpp"
#include "cli/plan/show.hpp"
#include "lab/command.hpp"

namespace rtchan::cli {

namespace {

using plan::Network;
using plan::Outcome;
using plan::StageLoad;

constexpr double link_pixels = 320;  // of a link whose ends do not crowd
constexpr double flatter = 0.75;
constexpr double margin = 40;
constexpr double head_height = 96;  // title and scale
constexpr double line_height = 20;
constexpr double lane = 5;  // one direction of a link
constexpr double host_height = 46;
constexpr double name_size = 15, figure_size = 13, small_size = 11;
constexpr std::size_t named_links = 30;  // more than that: figures only
constexpr std::size_t sentence_letters = 120;
const std::string grey = "#66717d";

// Light blue, blue, amber, red: also apart in grey.
std::string colour(double filled) {
  struct Stop {
    double at;
    std::array<double, 3> rgb;
  };
  static constexpr std::array<Stop, 4> stops{
      {{0, {164, 198, 226}}, {0.5, {49, 130, 189}}, {0.8, {240, 160, 30}}, {1, {200, 30, 30}}}};
  const double x = std::clamp(filled, 0.0, 1.0);
  std::size_t i = 1;
  while (i + 1 < stops.size() && x > stops[i].at) ++i;
  const double part = (x - stops[i - 1].at) / (stops[i].at - stops[i - 1].at);
  std::array<int, 3> rgb{};
  for (std::size_t c = 0; c < 3; ++c) {
    rgb[c] =
        static_cast<int>(std::lround(stops[i - 1].rgb[c] + part * (stops[i].rgb[c] - stops[i - 1].rgb[c])));
  }
  return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}

std::string percent(double filled) {
  return fmt::format("{:.0f} %", filled * 100);
}

Point between(Point a, Point b, double t) {
  return {a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)};
}

// How much of the way from the middle of `box` toward `to` lies inside it.
double leaves(const Box& box, Point to) {
  const double dx = std::abs(to.x - (box.left + box.width / 2)),
               dy = std::abs(to.y - (box.top + box.height / 2));
  return std::min({1.0, dx > 0 ? box.width / 2 / dx : 1.0, dy > 0 ? box.height / 2 / dy : 1.0});
}

class Painter {
 public:
  Painter(const Network& network, const Outcome& outcome) : network_(network), outcome_(outcome) {}

  Drawing paint() {
    place_hosts();
    Drawing drawing{width_, height_};
    for (std::size_t l = 0; l < network_.links.size(); ++l) draw_link(drawing, l);
    for (std::size_t l = 0; l < network_.links.size(); ++l) label_link(drawing, l);
    for (std::size_t h = 0; h < network_.hosts.size(); ++h) draw_host(drawing, h);
    draw_head(drawing);
    draw_foot(drawing);
    return drawing;
  }

 private:
  void place_hosts() {
    std::vector<std::pair<std::size_t, std::size_t>> links;
    for (const plan::Link& link : network_.links) links.emplace_back(link.ends[0].host, link.ends[1].host);
    auto at = lay_out(network_.hosts.size(), links);
    for (Point& p : at) p.y *= flatter;  // what is written is wide
    std::vector<double> widths;
    for (const plan::Host& host : network_.hosts)
      widths.push_back(std::max(86.0, width_of(host.name, name_size, true) + 24));
    const double scale = scale_for(at, widths);
    for (std::size_t h = 0; h < at.size(); ++h) {
      hosts_.push_back({at[h].x * scale, at[h].y * scale + head_height, widths[h], host_height});
    }
    const double out_left = std::ranges::min(hosts_, {}, &Box::left).left - margin;
    for (Box& box : hosts_) {
      box.left -= box.width / 2;
    }
    const double left = std::min(out_left, std::ranges::min(hosts_, {}, &Box::left).left - margin);
    for (Box& box : hosts_) {
      box.left -= left;
      width_ = std::max(width_, box.left + box.width + margin);
      height_ = std::max(height_, box.top + box.height);
    }
    const double wanted = std::max(760.0, width_);
    for (Box& box : hosts_) box.left += (wanted - width_) / 2;
    width_ = wanted;
    foot_ = height_ + margin;
    height_ = foot_ + line_height * static_cast<double>(foot_lines().size()) + margin / 2;
    taken_ = hosts_;
  }

  // Large enough that no two hosts come too close, and that a link has room for its figures.
  static double scale_for(const std::vector<Point>& at, const std::vector<double>& widths) {
    double scale = link_pixels;
    for (std::size_t i = 0; i < at.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const double dx = std::max(std::abs(at[i].x - at[j].x), 1e-6),
                     dy = std::max(std::abs(at[i].y - at[j].y), 1e-6);
        const double needed = std::min(((widths[i] + widths[j]) / 2 + 24) / dx, (host_height + 24) / dy);
        scale = std::max(scale, std::min(needed, 4 * link_pixels));
      }
    }
    return scale;
  }

  [[nodiscard]] Point centre(std::size_t host) const {
    return {hosts_[host].left + hosts_[host].width / 2, hosts_[host].top + hosts_[host].height / 2};
  }
  [[nodiscard]] const StageLoad& load(std::size_t link, std::size_t side) const {
    return outcome_.links[2 * link + side];
  }

  // Several links between the same two hosts lie side by side.
  [[nodiscard]] double beside(std::size_t link) const {
    const auto ends = [&](std::size_t l) {
      return std::minmax(network_.links[l].ends[0].host, network_.links[l].ends[1].host);
    };
    std::size_t before = 0, all = 0;
    for (std::size_t l = 0; l < network_.links.size(); ++l) {
      if (ends(l) != ends(link)) continue;
      before += l < link ? 1 : 0;
      ++all;
    }
    const bool turned = network_.links[link].ends[0].host > network_.links[link].ends[1].host;
    return (static_cast<double>(before) - static_cast<double>(all - 1) / 2) * 22 * (turned ? -1 : 1);
  }

  // The lane by which `side` sends: on the right of its way.
  [[nodiscard]] std::pair<Point, Point> way(std::size_t link, std::size_t side, double apart) const {
    Point a = centre(network_.links[link].ends[side].host),
          b = centre(network_.links[link].ends[1 - side].host);
    const double length = std::max(std::hypot(b.x - a.x, b.y - a.y), 1.0);
    const double off = apart + beside(link) * (side == 0 ? 1 : -1);
    const double x = -(b.y - a.y) / length * off, y = (b.x - a.x) / length * off;
    return {{a.x + x, a.y + y}, {b.x + x, b.y + y}};
  }

  void draw_link(Drawing& drawing, std::size_t link) const {
    for (const std::size_t side : {0U, 1U}) {
      const auto [from, to] = way(link, side, lane / 2 + 0.75);
      drawing.line(from, to, lane, colour(load(link, side).filled()));
    }
  }

  // A label at one of the places along the lane, the first that covers nothing.
  void put(Drawing& drawing, const std::pair<Point, Point>& lane_ends, std::initializer_list<double> places,
           Words words) {
    Box best{};
    Point at{};
    for (const double t : places) {
      const Point p = between(lane_ends.first, lane_ends.second, t);
      const double w = width_of(words.text, words.size, words.bold) + 6, h = words.size + 5;
      const Box box{p.x - w / 2, p.y - h / 2, w, h};
      const bool covers = std::ranges::any_of(taken_, [&](const Box& o) { return box.overlaps(o); });
      if (best.width == 0 || !covers) {
        best = box;
        at = p;
      }
      if (!covers) break;
    }
    taken_.push_back(best);
    drawing.box(best, "#ffffff");
    words.at = at;
    drawing.words(std::move(words));
  }

  void label_link(Drawing& drawing, std::size_t link) {
    const auto& ends = network_.links[link].ends;
    for (const std::size_t side : {0U, 1U}) {
      // Near the host that sends, on the visible part.
      auto lane_ends = way(link, side, 0);
      const double begin = leaves(hosts_[ends[side].host], centre(ends[1 - side].host));
      const double end = 1 - leaves(hosts_[ends[1 - side].host], centre(ends[side].host));
      lane_ends = {between(lane_ends.first, lane_ends.second, std::min(begin, 0.5)),
                   between(lane_ends.first, lane_ends.second, std::max(end, 0.5))};
      const StageLoad& l = load(link, side);
      put(drawing, lane_ends, {0.16, 0.2, 0.12, 0.24, 0.28, 0.32, 0.36, 0.4},
          {{},
           percent(l.filled()),
           figure_size,
           l.filled() > 0.8 ? "#a01515" : "#1f2933",
           Align::centre,
           true});
    }
    if (network_.links.size() > named_links) return;
    const plan::Link& l = network_.links[link];
    const std::string usual =
        fmt::format("{}-{}", network_.hosts[ends[0].host].name, network_.hosts[ends[1].host].name);
    const std::string rate = format_bit_rate(l.ends[0].settings.bits_per_second);
    auto middle = way(link, 0, 0);
    const double dx = middle.second.x - middle.first.x, dy = middle.second.y - middle.first.y;
    if (std::abs(dy) < 0.2 * std::abs(dx)) {  // above a level link, not across it
      middle.first.y -= 16;
      middle.second.y -= 16;
    }
    put(drawing, middle, {0.5, 0.47, 0.53, 0.44, 0.56, 0.4, 0.6},
        {{},
         l.name == usual ? rate : fmt::format("{} {}", l.name, rate),
         small_size,
         grey,
         Align::centre,
         false});
  }

  void draw_host(Drawing& drawing, std::size_t host) const {
    double filled = 0;
    for (const StageLoad& cpu : outcome_.cpus) {
      if (cpu.host == host) filled = std::max(filled, cpu.filled());
    }
    const Box& b = hosts_[host];
    drawing.box(b, "#ffffff", "#3c4650");
    drawing.box({b.left + 2, b.top + b.height - 8, b.width - 4, 6}, "#eceff2");
    drawing.box({b.left + 2, b.top + b.height - 8, (b.width - 4) * std::min(filled, 1.0), 6}, colour(filled));
    const double x = b.left + b.width / 2;
    drawing.words({{x, b.top + 13}, network_.hosts[host].name, name_size, "#1f2933", Align::centre, true});
    drawing.words({{x, b.top + 29}, "cpu " + percent(filled), small_size, "#1f2933", Align::centre, false});
  }

  void draw_head(Drawing& drawing) const {
    const std::size_t all = outcome_.verdicts.size(), admitted = outcome_.admitted();
    const std::string title = network_.name.empty() ? "Planned network" : network_.name;
    drawing.words({{margin, 30}, title, 20, "#1f2933", Align::left, true});
    drawing.words({{margin, 56},
                   fmt::format("{} channels: {} admitted, {} refused", all, admitted, all - admitted),
                   14,
                   admitted == all ? "#1f2933" : "#a01515",
                   Align::left,
                   false});
    constexpr double scale = 200;
    const double left = width_ - margin - scale;
    for (int i = 0; i < 100; ++i)
      drawing.box({left + i * scale / 100, 26, scale / 100 + 0.4, 10}, colour((i + 0.5) / 100));
    drawing.words({{left, 48}, "0", small_size, grey, Align::left, false});
    drawing.words({{left + scale / 2, 48}, "promised", small_size, grey, Align::centre, false});
    drawing.words({{left + scale, 48}, "100 %", small_size, grey, Align::right, false});
    drawing.words({{width_ - margin, 66},
                   "share of what may be promised; beside a host: of what it sends",
                   small_size,
                   grey,
                   Align::right,
                   false});
  }

  // The first refusal, in lines that fit.
  [[nodiscard]] std::vector<std::string> foot_lines() const {
    if (!outcome_.first_refused) return {};
    const plan::Verdict& v = outcome_.verdicts[*outcome_.first_refused];
    std::string rest =
        fmt::format("First refused: {}: {}", name_of(network_.channels[v.group], v.number), v.refused->text);
    const plan::Nearest nearest = outcome_.nearest.value_or(plan::Nearest{});
    std::string fits;
    if (nearest.delay)
      fits += fmt::format("{}a delay of {}", fits.empty() ? "" : ", or ", format_duration(*nearest.delay));
    if (nearest.rate)
      fits += fmt::format("{}a rate of {}", fits.empty() ? "" : ", or ", format_rate(*nearest.rate));
    if (nearest.message_bytes)
      fits +=
          fmt::format("{}messages of {}", fits.empty() ? "" : ", or ", format_bytes(*nearest.message_bytes));
    std::vector<std::string> lines;
    const auto letters = std::min(
        sentence_letters, static_cast<std::size_t>((width_ - 2 * margin) / width_of("x", figure_size)));
    for (std::string text : {rest, fits.empty() ? std::string{} : "It would be admitted with " + fits}) {
      while (text.size() > letters) {
        std::size_t cut = text.rfind(' ', letters);
        if (cut == std::string::npos || cut == 0) cut = letters;
        lines.push_back(text.substr(0, cut));
        text = "    " + text.substr(text[cut] == ' ' ? cut + 1 : cut);
        if (lines.size() > 8) break;
      }
      if (!text.empty()) lines.push_back(text);
    }
    return lines;
  }

  void draw_foot(Drawing& drawing) const {
    double y = foot_ + line_height / 2;
    for (const std::string& line : foot_lines()) {
      drawing.words({{margin, y}, line, figure_size, "#a01515", Align::left, false});
      y += line_height;
    }
  }

  const Network& network_;
  const Outcome& outcome_;
  std::vector<Box> hosts_;
  std::vector<Box> taken_;
  double width_ = 0, height_ = 0, foot_ = 0;
};

std::expected<void, std::string> write(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out{file};
  out << text;
  out.close();
  if (!out) return std::unexpected(fmt::format("cannot write {}", file.string()));
  return {};
}

}  // namespace

Drawing picture_of(const Network& network, const Outcome& outcome) {
  return Painter{network, outcome}.paint();
}

std::expected<void, std::string> draw_plan(const Network& network, const Outcome& outcome,
                                           const std::filesystem::path& file) {
  const Drawing drawing = picture_of(network, outcome);
  if (file.extension() != ".png") return write(file, drawing.svg());
  const std::filesystem::path script = file.string() + ".gnuplot";
  if (auto written = write(script, drawing.gnuplot(file.string())); !written) return written;
  const auto made = lab::run({"gnuplot", script.string()});
  std::error_code ignored;
  std::filesystem::remove(script, ignored);
  if (!made)
    return std::unexpected(
        fmt::format("{} was not drawn (an .svg needs no gnuplot): {}", file.string(), made.error().text));
  return {};
}

}  // namespace rtchan::cli
