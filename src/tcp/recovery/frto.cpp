// F-RTO (RFC 5682, with SACK): after a time-out, new data tell whether the time-out was needed. And the rest of what
// an ACK means in state Loss.
#include "tcp/recovery/recovery.h"

namespace leat::tcp {

void process_loss(Conn& c, uint32_t flag, uint32_t dupacks, Rexmit& rexmit) {
  const bool recovered = !before(c.snd_una, c.high_seq);
  if ((flag & kFlagSndUnaAdvanced) && try_undo_loss(c, false)) return;
  if (c.frto) {  // RFC 5682 §3.1
    // Step 3.b: something that was never sent again has arrived: the time-out was spurious.
    if ((flag & kFlagOrigSackAcked) && try_undo_loss(c, true)) return;
    if (after(c.snd_nxt, c.high_seq)) {
      if ((flag & kFlagDataSacked) || dupacks != 0) c.frto = false;  // step 3.a: the loss was real
    } else if ((flag & kFlagSndUnaAdvanced) && !recovered) {
      c.high_seq = c.snd_nxt;
      // Step 2.b: try new data; without any, fall back to ordinary recovery.
      if (c.has_unsent() && after(c.wnd_end(), c.snd_nxt)) {
        rexmit = Rexmit::kFreshData;
        return;
      }
      c.frto = false;
    }
  }
  if (recovered) {  // step 2.a
    try_undo_recovery(c);
    return;
  }
  if (c.is_reno()) {
    // A duplicate ACK now means that new data of step 2.b has arrived.
    if (after(c.snd_nxt, c.high_seq) && dupacks != 0) {
      add_reno_sack(c, dupacks, flag & kFlagEce);
    } else if (flag & kFlagSndUnaAdvanced) {
      reset_reno_sack(c);
    }
  }
  rexmit = Rexmit::kWhatIsLost;
}

}  // namespace leat::tcp
