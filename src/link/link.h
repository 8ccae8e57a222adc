// The link interface is public; this is where the rooms take it from.
#pragma once

#include "base/time.h"
#include "leat/link.h"
#include "pkt/packet.h"
