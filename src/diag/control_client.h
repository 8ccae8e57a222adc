// The asking side of a control socket, and where control sockets lie: ${XDG_RUNTIME_DIR:-/tmp}/leat-<name>.sock.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "diag/commands.h"
#include "leat/errno.h"

namespace leat::diag {

std::string control_path(std::string_view name);

// The sockets of this user's leats that run and answer, by path.
std::vector<std::string> find_instances();

// Sends one request and waits for the answer. On failure `error` is one line that says what to do. Pieces of a long
// answer go to `on_piece` as they come; false: nobody wants more. Without it they are joined.
using OnPiece = std::function<bool(std::string_view out)>;
Result<Answer> ask(const std::string& path, std::string_view verb, std::span<const std::string> words,
                   std::string& error, const OnPiece& on_piece = {});

}  // namespace leat::diag
