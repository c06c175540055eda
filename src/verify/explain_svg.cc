#include <fmt/format.h>

#include <algorithm>

#include "verify/explain.h"

namespace even::verify {
namespace {

// Pixels.
constexpr double kCharacter = 7.2;  // of the labels' font, about
constexpr double kStep = 26;
constexpr double kLane = 74;
constexpr double kBar = 30;
constexpr double kMargin = 24;
constexpr double kTop = 104;
constexpr double kLeastWidth = 640;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    switch (byte) {
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
        // XML has no way to write control characters.
        out += static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f ? '?' : byte;
    }
  }
  return out;
}

double text_width(std::string_view text) {
  return kCharacter * static_cast<double>(std::ranges::count_if(text, [](char byte) {
           return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
         }));
}

constexpr std::string_view kStyle = R"(
  <style>
    text { font-size: 12px; fill: #222;
           font-family: "DejaVu Sans", "Liberation Sans", Helvetica, Arial, sans-serif; }
    .title { font-size: 16px; font-weight: bold; }
    .reason { fill: #b3261e; font-size: 13px; }
    .note { fill: #666; }
    .order-text { font-size: 11px; }
    .process { font-weight: bold; }
    .axis { stroke: #999; stroke-width: 1.2; }
    .bar { fill: #dbe9f6; stroke: #3b6ea5; stroke-width: 1.4; }
    .write { fill: #e4f0dc; stroke: #56843a; }
    .open { stroke-dasharray: 5 4; }
    .culprit { fill: #fbe0dd; stroke: #b3261e; stroke-width: 2; }
    .label { text-anchor: middle; }
    .guide { stroke: #b3261e; stroke-width: 1; stroke-dasharray: 2 3; }
    .order { fill: none; stroke: #b3261e; stroke-width: 1.8; }
  </style>
  <defs>
    <marker id="time" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
            orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#999"/></marker>
    <marker id="then" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
            orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#b3261e"/></marker>
  </defs>
)";

}  // namespace

std::string explanation_svg(const Explanation& explanation) {
  const Problem& problem = explanation.problem;
  const auto& operations = problem.operations;
  std::vector<std::string> labels;
  std::vector<double> room;
  for (const Operation& it : operations) {
    labels.push_back(operation_text(*problem.history, it));
    room.push_back(text_width(labels.back()) + 22);
  }
  const Layout layout = lay_out(operations, room, kStep);
  double left = kMargin;
  for (const std::int64_t process : layout.processes) {
    left = std::max(left, kMargin + text_width(fmt::format("process {}", process)) + 24);
  }
  const std::string title =
      fmt::format("Not linearizable: key {}", problem.history->keys[operations.front().key]);
  const std::string given = sentence(explanation);
  const std::string first = fmt::format(
      "{}{}",
      explanation.hidden > 0
          ? fmt::format("{} earlier operations are not shown. ", explanation.hidden)
          : "",
      "From left to right: the order of real time. Bars reach from the request to the reply.");
  const double width = std::max(
      {left + layout.width + 2 * kMargin, kLeastWidth, 1.15 * text_width(given) + 2 * kMargin,
       1.35 * text_width(title) + 2 * kMargin, text_width(first) + 2 * kMargin});
  const double height = kTop + kLane * static_cast<double>(layout.processes.size()) + kMargin;
  const auto lane_y = [](std::size_t lane) {
    return kTop + kLane * static_cast<double>(lane) + kLane / 2;
  };

  std::string svg = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\">{2}"
      "  <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      width, height, kStyle);
  svg +=
      fmt::format("  <text class=\"title\" x=\"{}\" y=\"36\">{}</text>\n", kMargin, escaped(title));
  svg += fmt::format("  <text class=\"reason\" x=\"{}\" y=\"60\">{}</text>\n", kMargin,
                     escaped(given));
  svg +=
      fmt::format("  <text class=\"note\" x=\"{}\" y=\"82\">{}</text>\n", kMargin, escaped(first));
  for (std::size_t lane = 0; lane < layout.processes.size(); ++lane) {
    svg += fmt::format(
        "  <text class=\"process\" x=\"{}\" y=\"{:.1f}\">process {}</text>\n"
        "  <line class=\"axis\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" "
        "marker-end=\"url(#time)\"/>\n",
        kMargin, lane_y(lane) + 4, layout.processes[lane], left - 12, lane_y(lane), width - kMargin,
        lane_y(lane));
  }
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Layout::Span& span = layout.spans[i];
    const double x = left + span.begin;
    const double bar = span.end - span.begin;
    const double y = lane_y(span.lane);
    const Operation& it = operations[i];
    const bool writes = it.function != Function::kRead && it.function != Function::kContains &&
                        it.outcome != Outcome::kMismatch;
    svg += fmt::format(
        "  <g><title>process {}, {}</title>\n"
        "    <rect class=\"bar{}{}{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{}\" rx=\"5\"/>\n"
        "    <text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
        it.process,
        it.open() ? fmt::format("from line {} on", it.invoked)
                  : fmt::format("lines {} to {}", it.invoked, it.completed),
        writes ? " write" : "", it.open() ? " open" : "",
        explanation.culprit == i ? " culprit" : "", x, y - kBar / 2, bar, kBar, x + bar / 2, y + 4,
        escaped(labels[i]));
    svg += "  </g>\n";
    if (it.open()) {
      svg += fmt::format(
          "  <text class=\"note\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">no "
          "end yet</text>\n",
          x + bar, y + kBar / 2 + 14);
    }
  }
  if (explanation.before) {
    const Layout::Span& before = layout.spans[*explanation.before];
    const Layout::Span& culprit = layout.spans[*explanation.culprit];
    const double x1 = left + before.end;
    const double x2 = left + culprit.begin;
    if (before.lane == culprit.lane) {
      const double y = lane_y(before.lane) - kBar / 2;
      svg += fmt::format(
          "  <path class=\"order\" d=\"M{0:.1f},{1:.1f} C{0:.1f},{3:.1f} {2:.1f},{3:.1f} "
          "{2:.1f},{1:.1f}\" marker-end=\"url(#then)\"/>\n",
          x1, y, x2, y - 22);
    } else {
      const bool down = culprit.lane > before.lane;
      const double y1 = lane_y(before.lane) + (down ? kBar / 2 : -kBar / 2);
      const double y2 = lane_y(culprit.lane) + (down ? -kBar / 2 : kBar / 2);
      const double bend = (y2 - y1) / 2;
      svg += fmt::format(
          "  <path class=\"order\" d=\"M{:.1f},{:.1f} C{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}\" "
          "marker-end=\"url(#then)\"/>\n",
          x1, y1, x1, y1 + bend, x2, y2 - bend, x2, y2);
    }
    const std::string order =
        fmt::format("began after “{}” had ended", labels[*explanation.before]);
    const bool has_room = left + culprit.begin + text_width(order) < width - kMargin;
    svg += fmt::format(
        "  <text class=\"reason order-text\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}"
        "</text>\n",
        has_room ? left + culprit.begin : width - kMargin, lane_y(culprit.lane) + kBar / 2 + 16,
        has_room ? "start" : "end", escaped(order));
  }
  return svg + "</svg>\n";
}

}  // namespace even::verify
