#include "cli/demo/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "cli/demo/series.hpp"
#include "lab/command.hpp"

namespace rtchan::demo {
namespace {

constexpr Duration kBin = std::chrono::milliseconds{250};

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

// Columns: time, then per flow: top of its layer in the stack (Mbit/s), worst delay (ms, or NaN).
std::string data(const Evidence& e) {
  std::vector<std::vector<Bin>> all;
  for (const FlowResult& flow : e.flows) all.push_back(series(flow, e.start, e.duration, kBin));
  std::string text;
  for (std::size_t i = 0; !all.empty() && i < all[0].size(); ++i) {
    text += fmt::format("{:.3f}", all[0][i].begin + seconds(kBin) / 2);
    double top = 0;
    for (const auto& bins : all) {
      top += bins[i].bits / 1e6;
      text += fmt::format(" {:.3f} {}", top,
                          bins[i].messages > 0 ? fmt::format("{:.4f}", bins[i].worst_ms) : "NaN");
    }
    text += '\n';
  }
  return text;
}

// Inside single quotes gnuplot knows one escape: a quote is written twice.
std::string quoted(const std::filesystem::path& path) {
  std::string text;
  for (const char c : path.string()) text += c == '\'' ? "''" : std::string(1, c);
  return text;
}

std::string terminal(const std::filesystem::path& file, Picture kind) {
  const std::string size = "size 1200,860";
  return kind == Picture::svg ? fmt::format(
                                    "set terminal svg {} dynamic enhanced font 'DejaVu Sans,15' background "
                                    "'#ffffff'\nset output '{}'\n",
                                    size, quoted(file))
                              : fmt::format(
                                    "set terminal pngcairo {} enhanced font 'DejaVu Sans,11' background "
                                    "'#ffffff'\nset output '{}'\n",
                                    size, quoted(file));
}

// Grey stripes where the machine was away, dotted lines where a flow changes what it offers.
std::string events(const Scenario& s, const Evidence& e) {
  std::string text;
  int object = 1;
  for (const lab::Gap& gap : merged_stalls(e.gaps)) {
    const double begin = seconds(gap.begin - e.start), end = seconds(gap.end - e.start);
    if (end < 0 || begin > seconds(e.duration) || gap.length() < std::chrono::milliseconds{2}) continue;
    // At least a visible width.
    text += fmt::format(
        "set object {} rectangle from first {:.4f},graph 0 to first {:.4f},graph 1 behind fillcolor rgb "
        "'#dfe3e8' fillstyle solid noborder\n",
        object++, begin, std::max(end, begin + 0.02));
  }
  int arrow = 1;
  for (const Flow& flow : s.flows) {
    for (const Phase& phase : flow.schedule) {
      if (phase.begin <= 0) continue;
      text += fmt::format(
          "set arrow {} from first {:.3f},graph 0 to first {:.3f},graph 1 nohead dashtype 3 linewidth 1.2 "
          "linecolor rgb '{}'\n",
          arrow++, phase.begin, phase.begin, flow.colour);
    }
  }
  return text;
}

std::string labels(const Scenario& s) {
  std::string text;
  int label = 1;
  for (const Flow& flow : s.flows) {
    for (const Phase& phase : flow.schedule) {
      if (phase.begin <= 0) continue;
      const double line = flow.contract.guaranteed ? 0.955 : 0.885;
      text += fmt::format(
          "set label {} '{} offers {:g}x' at first {:.3f},graph {} offset 0.6,0 textcolor rgb '{}' front\n",
          label++, flow.name, phase.factor, phase.begin, line,
          flow.contract.guaranteed ? flow.colour : "#5c626b");
    }
  }
  return text;
}

std::string throughput(const Scenario& s, const std::string& file) {
  std::string curves;
  for (std::size_t i = s.flows.size(); i-- > 0;) {
    curves += fmt::format(
        "'{}' using 1:{} with filledcurves y1=0 fillcolor rgb '{}' fillstyle solid {} noborder title '{}', "
        "\\\n",
        file, 2 + 2 * i, s.flows[i].colour, s.flows[i].contract.guaranteed ? "0.92" : "0.40",
        s.flows[i].name);
  }
  return labels(s) +
         fmt::format(
             "set label 95 '{{/:Bold Delivered}}  payload, stacked, Mbit/s' at graph 0,1.07\n"
             "set yrange [0:{0:.0f}]\nunset logscale y\nset ytics 20\n"
             "set label 90 'bottleneck {1:.0f} Mbit/s' at graph 0.005,first {1:.0f} offset 0,0.6 textcolor "
             "rgb '#5c626b' front\n"
             "plot {2}{1:.0f} with lines dashtype 2 linewidth 1.5 linecolor rgb '#5c626b' notitle\n",
             static_cast<double>(s.bottleneck_bits) / 1e6 * 1.25,
             static_cast<double>(s.bottleneck_bits) / 1e6, curves);
}

std::string delays(const Scenario& s, const std::string& file) {
  std::string curves;
  for (std::size_t i = 0; i < s.flows.size(); ++i) {
    const Flow& flow = s.flows[i];
    curves += fmt::format("'{}' using 1:{} with lines linewidth {} linecolor rgb '{}' title '{}', \\\n", file,
                          3 + 2 * i, flow.contract.guaranteed ? 2.6 : 1.6, flow.colour, flow.name);
    if (!flow.contract.guaranteed) continue;
    curves += fmt::format("{:g} with lines dashtype 2 linewidth 1.6 linecolor rgb '{}' notitle, \\\n",
                          seconds(flow.contract.delay) * 1e3, flow.colour);
  }
  std::string bounds;
  int label = 50;
  for (const Flow& flow : s.flows) {
    if (!flow.contract.guaranteed) continue;
    const double ms = seconds(flow.contract.delay) * 1e3;
    bounds += fmt::format(
        "set label {} 'promised to {}: {:g} ms' at graph 0.005,first {:g} offset 0,0.55 textcolor rgb '{}' "
        "front\n",
        label++, flow.name, ms, ms, flow.colour);
  }
  return "unset label\n" + bounds +
         "set label 95 '{/:Bold Worst delay}  in each quarter second, from logical arrival (best effort: "
         "from "
         "hand-over), ms' at graph 0,1.07\n"
         "set logscale y 10\nset yrange [0.05:3000]\nset ytics (0.1,1,10,100,1000)\nset xlabel 'seconds'\n"
         "plot " +
         curves + " 1/0 notitle\n";
}

std::string script(const Scenario& s, const Evidence& e, const std::string& data_file,
                   const std::filesystem::path& file, Picture kind) {
  return terminal(file, kind) +
         "set multiplot\n"
         "set border 3 linecolor rgb '#8a8f98'\nset tics nomirror textcolor rgb '#30343a'\n"
         "set grid ytics linecolor rgb '#e6e9ed' linewidth 1\n"
         "set key outside right center vertical Left reverse samplen 1.6 spacing 1.4 textcolor rgb "
         "'#30343a'\n"
         "set lmargin at screen 0.06\nset rmargin at screen 0.86\n" +
         fmt::format("set xrange [0:{:.2f}]\n", seconds(e.duration)) + events(s, e) +
         "set tmargin at screen 0.94\nset bmargin at screen 0.56\n" + throughput(s, data_file) +
         "set tmargin at screen 0.46\nset bmargin at screen 0.08\n" + delays(s, data_file) +
         "unset multiplot\n";
}

}  // namespace

std::expected<void, Error> plot(const Scenario& scenario, const Evidence& evidence,
                                const std::filesystem::path& file, Picture kind) {
  const std::filesystem::path data_file = file.parent_path() / "demo.dat",
                              script_file = file.parent_path() / "demo.gnuplot";
  std::ofstream{data_file} << data(evidence);
  std::ofstream{script_file} << script(scenario, evidence, quoted(data_file), file, kind);
  if (auto drawn = lab::run({"gnuplot", script_file.string()}, std::chrono::minutes{1}); !drawn)
    return std::unexpected(drawn.error());
  if (!std::filesystem::exists(file))
    return std::unexpected(Error{Errc::system, "gnuplot did not write " + file.string()});
  return {};
}

}  // namespace rtchan::demo
