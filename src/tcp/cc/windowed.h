// The best value of a sliding window in three samples (Kathleen Nichols): the best, the best since it, and the best
// since that. When the first grows older than the window, the next steps up. `Sample` has `at` and `value`; `Better`
// says whether its first argument is as good as the second.
#pragma once

#include <cstdint>

namespace leat::tcp::cc {

// Field by field: a copy of both at once would wait for what has just been stored one by one.
template <class Sample>
void windowed_put(Sample& to, const Sample& from) {
  to.at = from.at;
  to.value = from.value;
}

template <class Sample>
void windowed_reset(Sample (&s)[3], const Sample& fresh) {
  for (Sample& each : s)
    windowed_put(each, fresh);
}

template <class Sample, class Better>
void windowed_update(Sample (&s)[3], uint32_t window, const Sample& fresh, Better is_as_good) {
  if (is_as_good(fresh.value, s[0].value) || fresh.at - s[2].at > window) return windowed_reset(s, fresh);
  if (is_as_good(fresh.value, s[1].value)) {
    s[1] = s[2] = fresh;
  } else if (is_as_good(fresh.value, s[2].value)) {
    s[2] = fresh;
  }
  const uint32_t age = fresh.at - s[0].at;
  if (age > window) {
    for (int i = 0; i < 2 && fresh.at - s[0].at > window; ++i) {
      s[0] = s[1];
      s[1] = s[2];
      s[2] = fresh;
    }
  } else if (s[1].at == s[0].at && age > window / 4) {  // a quarter has passed without a second choice: take this one
    s[1] = s[2] = fresh;
  } else if (s[2].at == s[1].at && age > window / 2) {
    s[2] = fresh;
  }
}

}  // namespace leat::tcp::cc
