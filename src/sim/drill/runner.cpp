// See runner.h.
#include "sim/drill/runner.h"

#include <fstream>
#include <sstream>

#include "sim/drill/parser.h"
#include "sim/drill/run.h"

namespace leat::drill {
namespace {

std::string last_lines(const std::vector<std::string>& trace) {
  constexpr size_t kShown = 24;
  std::string s;
  const size_t from = trace.size() > kShown ? trace.size() - kShown : 0;
  if (!trace.empty()) s = from == 0 ? "\n  before it:" : "\n  the last of what was before it:";
  for (size_t i = from; i < trace.size(); ++i)
    s += "\n  " + trace[i];
  return s;
}

std::string at_place(const std::string& path, const ScriptError& e) {
  return path + ":" + std::to_string(e.place.line) + ":" + std::to_string(e.place.column) + ": " + e.what();
}

// The device of leat's host makes super-segments of that MSS; the kernel's TUN has packets as they come.
void refuse_mss(const Script& script) {
  for (const ScriptOption& o : script.options) {
    if (o.name == "mss") throw ScriptError(o.place, "--mss is for leat's own device, not for the kernel's");
  }
}

}  // namespace

Outcome run_text(const std::string& path, std::string_view text, const RunOptions& options) {
  Outcome out;
  const auto failed = [&](const std::string& report) {
    out.kind = Outcome::Kind::kFailed;
    out.report = report;
    return out;
  };
  try {
    Settings settings(options.variant);
    const Script script = parse_script(path, text, settings.definitions(options.definitions));
    if (!settings.read(script)) {
      out.kind = Outcome::Kind::kSkipped;
      out.report = settings.why_not();
      return out;
    }
    if (options.is_real_time) refuse_mss(script);
    std::string why;
    const std::unique_ptr<Target> target = options.make_target(settings.network(), why);
    if (target == nullptr) {
      out.kind = Outcome::Kind::kSkipped;
      out.report = why;
      return out;
    }
    Run run(script, settings, options, *target);
    try {
      run.run();
    } catch (const Inconclusive& e) {
      out.kind = Outcome::Kind::kSkipped;
      out.is_late = e.is_late;
      out.report = at_place(path, e);
      return out;
    } catch (const ScriptError& e) {
      out.trace = run.trace();
      out.events = run.events();
      return failed(at_place(path, e) + last_lines(out.trace));
    }
    out.trace = std::move(run.trace());
    out.events = run.events();
  } catch (const ScriptError& e) {
    return failed(at_place(path, e));
  }
  return out;
}

Outcome run_script(const std::string& path, const RunOptions& options) {
  std::ifstream in(path);
  if (!in) {
    Outcome out;
    out.kind = Outcome::Kind::kFailed;
    out.report = path + ": cannot be read";
    return out;
  }
  std::stringstream text;
  text << in.rdbuf();
  return run_text(path, text.str(), options);
}

}  // namespace leat::drill
