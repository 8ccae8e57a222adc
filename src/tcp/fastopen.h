// TCP Fast Open (RFC 7413): not there yet. The options that would switch it on fail with EOPNOTSUPP, a cookie that a
// SYN brings or asks for is not answered, and data on a SYN is left for the peer to send again, which RFC 7413 §3
// allows. State that the namespace will need lives in FastOpen.
#pragma once

namespace leat::tcp {

struct FastOpen {};

}  // namespace leat::tcp
