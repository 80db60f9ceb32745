// A picture as a list of shapes, written as SVG, or as a script for gnuplot that makes a PNG of it. Pixels; y
// grows downward.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/plan/layout.hpp"

namespace rtchan::cli {

struct Box {
  double left = 0, top = 0, width = 0, height = 0;
  [[nodiscard]] bool overlaps(const Box& o) const {
    return left < o.left + o.width && o.left < left + width && top < o.top + o.height && o.top < top + height;
  }
};

enum class Align : std::uint8_t { left, centre, right };

struct Shape {
  std::vector<Point> corners;
  std::string fill;     // "#rrggbb"
  std::string outline;  // empty: none
};
struct Words {
  Point at;  // its middle line
  std::string text;
  double size = 13;
  std::string colour = "#1f2933";
  Align align = Align::centre;
  bool bold = false;
};

class Drawing {
 public:
  Drawing(double width, double height) : width_(width), height_(height) {}

  void line(Point from, Point to, double thickness, const std::string& colour);
  void box(const Box& box, const std::string& fill, const std::string& outline = "");
  void shape(Shape shape) { shapes_.push_back(std::move(shape)); }
  void words(Words words) { words_.push_back(std::move(words)); }  // always in front of shapes

  [[nodiscard]] std::string svg() const;
  // Writes `png` when gnuplot runs it.
  [[nodiscard]] std::string gnuplot(const std::string& png) const;

 private:
  double width_, height_;
  std::vector<Shape> shapes_;  // in order, the last in front
  std::vector<Words> words_;
};

// About as wide as any common sans-serif draws it, pixels.
[[nodiscard]] double width_of(const std::string& text, double size, bool bold = false);

}  // namespace rtchan::cli
