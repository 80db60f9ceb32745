// The report as one HTML file that needs nothing else: pictures inside, no script, no link to anywhere.
#include <fmt/format.h>

#include "cli/demo/report.hpp"

namespace rtchan::demo {
namespace {

constexpr const char* kStyle = R"css(
:root{--ink:#1d2129;--soft:#5c626b;--line:#e3e6ea;--paper:#fff;--ground:#f5f6f8;--kept:#0a7a4b;--broken:#b3261e;--unsure:#946200}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:30px;line-height:1.2;margin:0 0 6px}h2{font-size:19px;margin:40px 0 10px}
p{max-width:76ch;margin:8px 0}.soft{color:var(--soft)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:20px 22px;margin:18px 0}
.verdict{border-left:8px solid var(--colour)}.verdict b{color:var(--colour);font-size:22px;letter-spacing:.02em}
.kept{--colour:var(--kept)}.broken{--colour:var(--broken)}.unsure{--colour:var(--unsure)}
.flows{display:grid;grid-template-columns:repeat(auto-fit,minmax(230px,1fr));gap:14px;margin:18px 0}
.flow{background:var(--paper);border:1px solid var(--line);border-top:5px solid var(--colour);border-radius:10px;padding:14px 16px}
.flow h3{margin:0;font-size:16px}.flow .big{font-size:25px;font-weight:650;margin:8px 0 0;font-variant-numeric:tabular-nums}
.flow p{font-size:14px;margin:4px 0}.bar{height:8px;border-radius:4px;background:var(--line);overflow:hidden;margin:8px 0 4px}
.bar i{display:block;height:100%;background:var(--colour)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums;white-space:nowrap}
th{font-weight:600;color:var(--soft);text-align:right;padding:6px 9px;border-bottom:1px solid var(--line);vertical-align:bottom}
th.group{text-align:center;border-bottom:none;padding-bottom:0}
td{text-align:right;padding:7px 9px;border-bottom:1px solid var(--line)}th:first-child,td:first-child,td.text,th.text{text-align:left}
td.strong{font-weight:650}.dot{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px;background:var(--colour)}
figure{margin:0}figure svg,figure img{width:100%;height:auto;display:block}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 18px;font-size:15px}dt{font-weight:600}dd{margin:0;max-width:76ch}
.net{width:100%;max-width:880px;height:auto;display:block;margin:6px auto}
summary{cursor:pointer;color:var(--soft)}code{font:14px ui-monospace,"DejaVu Sans Mono",monospace;background:var(--ground);padding:1px 5px;border-radius:4px}
)css";

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string base64(const std::string& bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) {
      result += i + k > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * k) & 63];
    }
  }
  return result;
}

const char* css_class(Verdict v) {
  switch (v) {
    case Verdict::kept:
      return "kept";
    case Verdict::broken:
      return "broken";
    case Verdict::inconclusive:
      return "unsure";
  }
  return "";
}

std::string in_one_sentence(const Report& r) {
  switch (r.judgement.verdict) {
    case Verdict::kept:
      return "Every message of every guaranteed channel arrived, and arrived within its bound, although one "
             "channel offered five "
             "times what it had asked for and a flood offered up to three times what was left.";
    case Verdict::broken:
      return "At least one guaranteed channel did not get what it was promised. What exactly, stands below.";
    case Verdict::inconclusive:
      return "No promise was seen broken by our doing, but this machine was not ours for long enough to "
             "tell. What to do stands below.";
  }
  return "";
}

std::string verdict_card(const Report& r) {
  std::string text =
      fmt::format("<section class=\"card verdict {}\"><b>{}</b><p>{}</p>", css_class(r.judgement.verdict),
                  headline(r.judgement.verdict), in_one_sentence(r));
  if (!r.judgement.findings.empty()) {
    text += "<ul>";
    for (const std::string& finding : r.judgement.findings) text += "<li>" + escaped(finding) + ".</li>";
    text += "</ul>";
  }
  return text + "</section>";
}

std::string flow_card(const Flow& flow, const Row& row, const FlowJudgement& j) {
  std::string text =
      fmt::format("<div class=\"flow\" style=\"--colour:{}\"><h3>{}</h3><p class=\"soft\">{}</p>",
                  flow.colour, escaped(flow.name), escaped(flow.story));
  if (!flow.contract.guaranteed) {
    return text + fmt::format(
                      "<p class=\"big\">{} Mbit/s</p><p>is what was left for it. {} of its messages never "
                      "arrived: that is "
                      "what &ldquo;best effort&rdquo; means.</p></div>",
                      row.megabits, j.lost + j.policed);
  }
  const double part = std::chrono::duration<double>(j.from_arrival.worst) /
                      std::chrono::duration<double>(flow.contract.delay);
  text += fmt::format(
      "<p class=\"big\">{} ms</p><div class=\"bar\"><i style=\"width:{:.0f}%\"></i></div>"
      "<p>worst of {} messages; promised: <b>{} ms</b></p><p>lost {} &middot; late {} &middot; {} messages/s "
      "delivered</p></div>",
      row.worst, std::min(part, 1.0) * 100, j.received, row.bound, row.lost, row.late, row.delivered);
  return text;
}

constexpr const char* kNetwork =
    R"svg(<svg class="net" viewBox="0 0 880 190" role="img" aria-label="Host A and host B, each with rtcd, joined through a switch that carries 100 Mbit/s">
<g fill="none" stroke="#8a8f98" stroke-width="2"><rect x="10" y="20" width="270" height="150" rx="12"/><rect x="600" y="20" width="270" height="150" rx="12"/>
<rect x="372" y="66" width="136" height="62" rx="10"/><path d="M280 97h92"/><path stroke="#B3261E" stroke-width="5" d="M508 97h92"/></g>
<g font-family="system-ui,DejaVu Sans,sans-serif" font-size="15" fill="#1d2129"><text x="28" y="46" font-weight="600">host A</text><text x="618" y="46" font-weight="600">host B</text>
<text x="440" y="93" text-anchor="middle" font-weight="600">middle</text><text x="440" y="113" text-anchor="middle" font-size="13" fill="#5c626b">sees only frames</text>
<text x="554" y="84" text-anchor="middle" font-size="13" fill="#B3261E">100 Mbit/s</text>
<g font-size="13" fill="#fff"><rect x="28" y="60" width="112" height="22" rx="5" fill="#0072B2"/><rect x="28" y="86" width="112" height="22" rx="5" fill="#009E73"/><rect x="28" y="112" width="112" height="22" rx="5" fill="#D55E00"/><rect x="28" y="138" width="112" height="22" rx="5" fill="#8a8f98"/>
<text x="84" y="76" text-anchor="middle">control</text><text x="84" y="102" text-anchor="middle">video</text><text x="84" y="128" text-anchor="middle">bulk</text><text x="84" y="154" text-anchor="middle">best effort</text>
<rect x="740" y="60" width="112" height="22" rx="5" fill="#0072B2"/><rect x="740" y="86" width="112" height="22" rx="5" fill="#009E73"/><rect x="740" y="112" width="112" height="22" rx="5" fill="#D55E00"/><rect x="740" y="138" width="112" height="22" rx="5" fill="#8a8f98"/>
<text x="796" y="76" text-anchor="middle">control</text><text x="796" y="102" text-anchor="middle">video</text><text x="796" y="128" text-anchor="middle">bulk</text><text x="796" y="154" text-anchor="middle">best effort</text></g>
<g font-weight="600"><rect x="184" y="66" width="78" height="62" rx="8" fill="#eef1f5" stroke="#8a8f98"/><text x="223" y="102" text-anchor="middle">rtcd</text><rect x="618" y="66" width="78" height="62" rx="8" fill="#eef1f5" stroke="#8a8f98"/><text x="657" y="102" text-anchor="middle">rtcd</text></g></g></svg>)svg";

std::string delivery_rows(const Report& r, const std::vector<Row>& all) {
  std::string text =
      "<div class=\"scroll\"><table><thead><tr><th>flow</th><th "
      "class=\"text\">contract</th><th>offered/s</th><th>delivered/s</th><th>Mbit/s</th>"
      "<th>lost</th><th>late</th><th>excused</th><th>policed</th><th>shaped</th><th "
      "class=\"text\">late because of</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Row& row = all[i];
    text += fmt::format(
        "<tr><td><i class=\"dot\" style=\"--colour:{}\"></i>{}</td><td "
        "class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
        r.scenario.flows[i].colour, escaped(row.flow), escaped(row.contract), row.offered, row.delivered,
        row.megabits, row.lost, row.late, row.excused, row.policed, row.shaped, escaped(row.attribution));
  }
  return text + "</tbody></table></div>";
}

std::string delay_rows(const Report& r, const std::vector<Row>& all) {
  std::string text =
      "<div class=\"scroll\"><table><thead><tr><th></th><th class=\"group\" colspan=\"4\">from logical "
      "arrival, ms</th><th class=\"group\" colspan=\"4\">"
      "from hand-over, ms</th><th "
      "class=\"group\">application</th></tr><tr><th>flow</th><th>p50</th><th>p99</th><th>worst</"
      "th><th>bound</th><th>p50</th>"
      "<th>p99</th><th>worst</th><th>bound</th><th>wakes, p99 ms</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Row& row = all[i];
    text += fmt::format(
        "<tr><td><i class=\"dot\" style=\"--colour:{}\"></i>{}</td><td>{}</td><td>{}</td><td "
        "class=\"strong\">{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td><td class=\"strong\">{}</td><td>{}</td><td>{}</td></tr>",
        r.scenario.flows[i].colour, escaped(row.flow), row.p50, row.p99, row.worst, row.bound,
        row.handover_p50, row.handover_p99, row.handover_worst, row.handover_bound, row.wake_p99);
  }
  return text + "</tbody></table></div>";
}

constexpr const char* kGlossary = R"html(<h2>How to read this</h2><dl>
<dt>contract</dt><dd>what a channel asked for before it sent anything: at most so many messages a second, of at most that size, in bursts of at most so many. Both hosts and the link checked that they can carry it beside everything promised already, reserved it, and then said yes.</dd>
<dt>bound</dt><dd>the promise: every message is readable at the receiver within this time of its <i>logical arrival</i>. For a source that keeps its contract that is within D + (B&minus;1)/R of its hand-over.</dd>
<dt>logical arrival</dt><dd>when the message would have come from a source that spaces its messages as its contract says. It is computed here from the sending application&rsquo;s own time stamps, not taken from rtcd.</dd>
<dt>policed, shaped</dt><dd>what happens to messages beyond the contract: refused to the sender because its buffers are full, or held back until the contract allows them. Nobody else notices.</dd>
<dt>late, excused</dt><dd>past the bound. A late message is excused only by as much time as an independent probe, which shares no code with rtcd, was itself not run during the message&rsquo;s life: then the whole machine was away. Excused messages are still counted as late. More than 1 % of them, and the run proves nothing.</dd>
<dt>application wakes</dt><dd>from &ldquo;readable&rdquo; until the receiving program saw it: the operating system&rsquo;s doing, not part of the promise, shown because it is part of life.</dd></dl>)html";

std::string circumstances(const Report& r) {
  std::string text = "<h2>Circumstances</h2><ul>";
  const auto item = [&](const std::string& sentence) { text += "<li>" + escaped(sentence) + "</li>"; };
  item(fmt::format("{}; {}; {:.0f} s.", r.circumstances.when, r.circumstances.machine,
                   std::chrono::duration<double>(r.evidence.duration).count()));
  if (!r.circumstances.weaker.empty()) item("Weaker here: " + r.circumstances.weaker + ".");
  for (const std::string& condition : r.circumstances.conditions) item(condition);
  for (const lab::CanaryLog& probe : r.circumstances.probes) {
    item(fmt::format("Probe on core {}: {} class, {} gaps{}.", probe.core,
                     probe.realtime ? "real-time" : "ordinary", probe.gaps.size(),
                     probe.complete ? "" : "; it did not end in order, so later gaps may be missing"));
  }
  return text + "</ul>";
}

std::string without_prologue(const std::string& svg) {
  const std::size_t at = svg.find("<svg");
  return at == std::string::npos ? std::string{} : svg.substr(at);
}

}  // namespace

std::string page(const Report& r, const std::string& svg, const std::string& png) {
  const std::vector<Row> all = rows(r);
  std::string cards;
  for (std::size_t i = 0; i < all.size(); ++i)
    cards += flow_card(r.scenario.flows[i], all[i], r.judgement.flows[i]);
  return fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<title>rtchan: {0}</title><style>{1}</style></head><body><main>"
      "<h1>Three guarantees, one cheat, one flood</h1>"
      "<p class=\"soft\">Two hosts run <code>rtcd</code>. Three channels with different contracts and a "
      "flood of best effort share one "
      "{2:.0f} Mbit/s bottleneck that lies beyond the sender. Did everybody get what was promised?</p>"
      "{3}<div class=\"flows\">{4}</div>"
      "<section class=\"card\"><figure>{5}</figure><p class=\"soft\">Dashed lines are the bounds; grey "
      "stripes are times at which the probe "
      "saw this machine taken away. The cheating channel&rsquo;s layer does not grow when it offers "
      "more.</p></section>"
      "<h2>The network</h2><section class=\"card\">{6}<p class=\"soft\">The slow link is one hop away, so "
      "the sender&rsquo;s socket does not feel "
      "its queue: only scheduling by the clock of the promised capacity keeps that queue empty.</p></section>"
      "<h2>Contract beside delivery</h2><section class=\"card\">{7}</section><h2>Delay beside "
      "bound</h2><section class=\"card\">{8}</section>"
      "{9}{10}<h2>Again</h2><p>Run <code>rtc demo</code>, or <code>make demo</code> in the source tree. All "
      "figures of this run are in "
      "<code>demo.json</code>, every message in the <code>.csv</code> files beside this page, if it still "
      "lies where it was made.</p>"
      "<details><summary>The same picture as PNG</summary><figure><img alt=\"Delivered throughput and worst "
      "delay over time\" "
      "src=\"data:image/png;base64,{11}\"></figure></details></main></body></html>\n",
      headline(r.judgement.verdict), kStyle, static_cast<double>(r.scenario.bottleneck_bits) / 1e6,
      verdict_card(r), cards, without_prologue(svg), kNetwork, delivery_rows(r, all), delay_rows(r, all),
      kGlossary, circumstances(r), base64(png));
}

}  // namespace rtchan::demo
