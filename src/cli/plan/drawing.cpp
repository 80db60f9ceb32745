#include "cli/plan/drawing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace rtchan::cli {

namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

// Inside single quotes gnuplot knows one escape: a quote is written twice.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string{"''"} : std::string(1, static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  return out + "'";
}

}  // namespace

double width_of(const std::string& text, double size, bool bold) {
  const auto letters = std::count_if(text.begin(), text.end(),
                                     [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return static_cast<double>(letters) * size * (bold ? 0.68 : 0.61);
}

void Drawing::line(Point from, Point to, double thickness, const std::string& colour) {
  const double length = std::max(std::hypot(to.x - from.x, to.y - from.y), 1e-9);
  const double x = (to.y - from.y) / length * thickness / 2, y = -(to.x - from.x) / length * thickness / 2;
  shape({{{from.x + x, from.y + y}, {to.x + x, to.y + y}, {to.x - x, to.y - y}, {from.x - x, from.y - y}},
         colour,
         ""});
}

void Drawing::box(const Box& b, const std::string& fill, const std::string& outline) {
  const double right = b.left + b.width, bottom = b.top + b.height;
  shape({{{b.left, b.top}, {right, b.top}, {right, bottom}, {b.left, bottom}}, fill, outline});
}

std::string Drawing::svg() const {
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
      "{1:.0f}\" "
      "font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#ffffff\"/>\n",
      width_, height_);
  for (const Shape& s : shapes_) {
    std::string points;
    for (const Point& p : s.corners)
      points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", p.x, p.y);
    const std::string outline =
        s.outline.empty()
            ? ""
            : fmt::format(" stroke=\"{}\" stroke-width=\"2\" stroke-linejoin=\"round\"", s.outline);
    out += fmt::format("<polygon points=\"{}\" fill=\"{}\"{}/>\n", points, s.fill, outline);
  }
  static constexpr const char* anchors[] = {"start", "middle", "end"};
  for (const Words& w : words_) {
    out += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" fill=\"{}\" text-anchor=\"{}\"{}>{}</text>\n",
        w.at.x, w.at.y + w.size * 0.36, w.size, w.colour, anchors[static_cast<std::size_t>(w.align)],
        w.bold ? " font-weight=\"bold\"" : "", escaped(w.text));
  }
  return out + "</svg>\n";
}

std::string Drawing::gnuplot(const std::string& png) const {
  std::string out = fmt::format(
      "set terminal pngcairo size {0:.0f},{1:.0f} font 'DejaVu Sans,10' background '#ffffff'\nset output "
      "{2}\n"
      "set lmargin 0\nset rmargin 0\nset tmargin 0\nset bmargin 0\nunset border\nunset tics\nunset key\n"
      "set xrange [0:{0:.0f}]\nset yrange [{1:.0f}:0]\n",
      width_, height_, quoted(png));
  int object = 1;
  for (const Shape& s : shapes_) {
    std::string points;
    for (std::size_t i = 0; i <= s.corners.size(); ++i) {
      const Point& p = s.corners[i % s.corners.size()];
      points += fmt::format("{}{:.1f},{:.1f}", i == 0 ? " from " : " to ", p.x, p.y);
    }
    const std::string border =
        s.outline.empty() ? "noborder" : fmt::format("border linecolor rgb '{}' linewidth 2", s.outline);
    out += fmt::format("set object {} polygon{} fillcolor rgb '{}' fillstyle solid {} back\n", object++,
                       points, s.fill, border);
  }
  static constexpr const char* anchors[] = {"left", "center", "right"};
  for (const Words& w : words_) {
    // Points are 4/3 of a pixel.
    out += fmt::format(
        "set label {} at {:.1f},{:.1f} {} font 'DejaVu Sans{},{:.1f}' textcolor rgb '{}' noenhanced front\n",
        quoted(w.text), w.at.x, w.at.y, anchors[static_cast<std::size_t>(w.align)], w.bold ? ":Bold" : "",
        w.size * 0.75, w.colour);
  }
  return out + "plot -1 notitle\n";
}

}  // namespace rtchan::cli
