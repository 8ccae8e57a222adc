// Time and Duration are public; this is where the rooms take them from.
#pragma once

#include "leat/time.h"
